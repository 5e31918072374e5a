"""Other people's libraries told as our events, one module a library."""
