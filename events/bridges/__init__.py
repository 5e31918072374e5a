"""Bridges: each package here turns the calls and hooks of one library into this project's events."""
