"""Prometheus and Alertmanager on a running server, with the repository's rules and configuration."""
