"""Durable workflows of agents: what can be run (`definitions`) and the service that runs it (`service`)."""
