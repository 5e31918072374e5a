"""Metric families as Protocol Buffers: Prometheus's exposition format for created timestamps and native histograms."""
