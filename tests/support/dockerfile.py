"""The instructions of a Dockerfile, as text: what is copied, what is run, and what the image starts."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Instruction:
    """One instruction.

    Attributes:
        name: Its name, as in ``COPY``.
        text: What follows, in one line.
    """

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """The words that follow, without options such as ``--from=build``."""
        return [word for word in shlex.split(self.text) if not word.startswith("--")]

    @property
    def is_copy(self) -> bool:
        """Whether it copies out of the folder that the image is built from, and not out of another stage."""
        return self.name == "COPY" and not self.text.startswith("--from=")


def read_stages(file: Path) -> list[list[Instruction]]:
    """Return the instructions of each stage, its ``FROM`` first."""
    text = re.sub(r"^\s*#.*\n", "", file.read_text(), flags=re.MULTILINE)
    stages: list[list[Instruction]] = []
    for line in re.sub(r"\\\n\s*", "", text).splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            if name == "FROM":
                stages.append([])
            stages[-1].append(Instruction(name, rest.strip()))
    return stages


def environment_of(stage: Sequence[Instruction]) -> dict[str, str]:
    """Return the variables that a stage sets, as they stand there."""
    pairs = (word.partition("=") for each in stage if each.name == "ENV" for word in each.words)
    return {name: value for name, _, value in pairs}


def entrypoint_of(stage: Sequence[Instruction]) -> list[str]:
    """Return the command that a container of a stage starts."""
    [text] = [each.text for each in stage if each.name == "ENTRYPOINT"]
    command: list[str] = json.loads(text)
    return command


def last(stage: Sequence[Instruction], name: str) -> str:
    """Return what the last instruction of a name says, as the user of ``USER``."""
    return next(each.text for each in reversed(stage) if each.name == name)
