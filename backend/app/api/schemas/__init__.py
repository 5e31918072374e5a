"""The bodies of requests and responses, one module a resource."""
