"""Rows of the catalogue subscribed to signals: one receiver a signal, label limits, series, gauges, pollers."""
