"""``python -m tools.demo``: lead a studio through good and bad times; see `command`."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported ends it without a traceback
    from .command import main

    sys.exit(main())
