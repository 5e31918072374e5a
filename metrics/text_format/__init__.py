"""The lines of the exposition formats: one sample's line, its escaping, the cache of what stands around its value."""
