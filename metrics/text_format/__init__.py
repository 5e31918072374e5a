"""The text exposition formats: families, their lines, the escaping of names, and the cache of rendered lines."""
