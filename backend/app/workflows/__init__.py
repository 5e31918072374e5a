"""Durable workflows of agents: what there is to run, and the studio that runs it."""
