"""A registry rendered and served to scrapers.

`render` renders it; `content_type` and `content_encoding` choose how, from the headers that `accept_parsing` parses;
`scrape` combines these for one request; `endpoint` is the ASGI application, `mounting` its place in Starlette's, and
`http_server` serves it where there is no ASGI server.
"""
