"""The studio on a machine of another name: what `Host` runs as its main module.

    HOST_NAME=hosta WORKFLOW_VERSION=2 python -m tests.support.named_host

The name is set in a UTS namespace of the process's own. That takes root, or a kernel that lets anybody have a user
namespace; where there is neither, Python alone is given the name.
"""

from __future__ import annotations

import ctypes
import os
import runpy
import socket
from pathlib import Path

_NEWUTS, _NEWUSER = 0x04000000, 0x10000000  # linux/sched.h
_libc = ctypes.CDLL(None, use_errno=True)


def set_host_name(name: str) -> None:
    """Set the host name of this process, and of those that it starts."""
    if _libc.unshare(_NEWUTS) != 0 and not _unshare_as_user():
        socket.gethostname = lambda: name
        return
    socket.sethostname(name)


def _unshare_as_user() -> bool:
    """Return whether a user namespace, in which anybody may have a UTS namespace, was to be had."""
    user, group = os.getuid(), os.getgid()
    if _libc.unshare(_NEWUSER | _NEWUTS) != 0:
        return False
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{user} {user} 1")
    Path("/proc/self/gid_map").write_text(f"{group} {group} 1")
    return True


def set_workflow_version(version: str) -> None:
    """Have the studio run workflows of this version, as a release does that has changed their steps."""
    from app.workflows import dbos_client  # the name comes first: whatever is imported may read it

    dbos_client.VERSION = version


if __name__ == "__main__":
    set_host_name(os.environ["HOST_NAME"])
    set_workflow_version(os.environ["WORKFLOW_VERSION"])
    runpy.run_module("app", run_name="__main__", alter_sys=True)
