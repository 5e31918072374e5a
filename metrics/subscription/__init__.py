"""The catalogue's rows turned into one receiver a signal: label limits, series, pollers, value limits."""
