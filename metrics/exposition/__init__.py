"""A registry rendered and served to scrapers: formats, negotiation, compression, the endpoint."""
