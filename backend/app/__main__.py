"""Run the studio: ``python -m app``; ``--help`` lists the settings."""

from __future__ import annotations

import sys

from app.server.launcher import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], factory="app.main:create_app"))
