"""``make soak``: a studio under mixed load for minutes, whose memory, descriptors, threads, series and latency stay."""
