"""``python -m tests.support.studio_with_faults``: the studio with an impatient pool and a failing listener.

Whoever waits for a connection is sent away after half a second, not after half a minute. The listener fails while the
file ``listener-fails`` is in the working directory.
"""

from __future__ import annotations

import runpy
from functools import partial
from pathlib import Path

from sqlalchemy.ext.asyncio import create_async_engine

from app.database import engine
from events import workflow_finished

FAILS = "listener-fails"


def bill_customer(_event: object) -> None:
    """Raise an error while the file is there.

    Raises:
        OSError: It is.
    """
    if Path(FAILS).exists():
        raise OSError("the billing system does not answer")


if __name__ == "__main__":
    vars(engine)["create_async_engine"] = partial(create_async_engine, pool_timeout=0.5)
    workflow_finished.connect(bill_customer)
    runpy.run_module("app", run_name="__main__", alter_sys=True)
