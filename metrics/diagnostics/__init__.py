"""Diagnostics of missing or wrong numbers.

- `check` compares the catalogue with the source code: ``python -m metrics check``.
- `source_scan` finds the signals that source code emits and declares.
- `doctor` examines a running server through `scrape_client`: ``python -m metrics doctor``.
- `deployment` finds faults in the way the process was started, and `lifespan` runs it around a serving process.
- `otel` maps the catalogue's names to OpenTelemetry's semantic conventions.
- `project_config` reads the defaults of the command line from ``pyproject.toml``.
"""
