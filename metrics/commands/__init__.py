"""The commands of ``python -m metrics``: a module each, with its options and what it prints."""
