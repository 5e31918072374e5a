"""Pictures of the dashboards: their own JSON, what a real Prometheus answers, and Grafana's own panels in a browser."""
