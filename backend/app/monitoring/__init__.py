"""The Prometheus registry of this process, and the subscription that feeds it from the events."""
