"""``python -m tools.monitor``: run Prometheus and Alertmanager on a running server; see `command`."""

import signal
import sys

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # Ctrl-C while modules are imported ends it without a traceback
    from .command import main

    sys.exit(main())
