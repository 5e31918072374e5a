"""What reads and writes rows, one module a resource."""
