"""Looks for known vulnerabilities in files of pins: ``python -m tools.audit_pins PIP_AUDIT FILE ...``.

pip-audit passes where its source of advisories does not know a package, as behind a mirror. Here that is said.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any


def main(program: str, files: Sequence[str]) -> int:
    """Audit the files, print what was found, and return the exit code: 1 where a vulnerability is known."""
    codes = [report(file, *audit(program, file)) for file in files]
    return max(codes, default=0)


def audit(program: str, file: str) -> tuple[Mapping[str, Any] | None, str]:
    """Return what pip-audit reports about a file, None if it cannot; and the last line of its messages."""
    command = [program, "--format", "json", "--progress-spinner", "off", "--disable-pip", "--require-hashes"]
    ran = subprocess.run([*command, "--requirement", file], capture_output=True, text=True, check=False)  # noqa: S603 - the Makefile names it
    try:
        return json.loads(ran.stdout), ""
    except ValueError:
        return None, (ran.stderr.strip().splitlines() or [f"exit code {ran.returncode}"])[-1]


def report(file: str, found: Mapping[str, Any] | None, message: str) -> int:
    """Print the findings about a file, and return 1 if there are any."""
    if found is None:
        print(f"{file}: not audited: {message}")
        return 0
    known = [each for each in found["dependencies"] if "skip_reason" not in each]
    faults = [(each, fault) for each in known for fault in each["vulns"]]
    for each, fault in faults:
        fixed = ", ".join(fault["fix_versions"]) or "no version"
        print(f"{file}: {each['name']} {each['version']} has {fault['id']}, fixed in {fixed}")
    total = len(found["dependencies"])
    if not known:
        print(f"{file}: not audited: no source of advisories answers for any of its {total} packages here")
    elif not faults:
        print(f"{file}: {len(known)} of {total} packages audited, no known vulnerability")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
