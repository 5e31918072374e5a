"""``python -m app record FILE``: keep what a running studio does, from its live feed, until Ctrl-C.

The file has a header, then the records of events, one a line (`events.bus.recordings`). ``python -m metrics replay``
plays it. A record has no prompt and no answer.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from .feed_client import FeedClient, FeedConnected, FeedRecord, FeedStatus, FeedUnreachable
from .recording_file import STANDARD_OUTPUT, RecordingFile
from .stop_signals import StopSignals, stop_signals

ADDRESS = "http://127.0.0.1:8000"
KEY_VARIABLE = "SPARKLIO_API_KEY"

ALL_KEPT = "0"
"""The id of an event that asks a feed for all that it has kept."""

DONE, BROKEN_OFF, UNUSABLE = 0, 1, 2


class KeyNotFound(Exception):
    """There is no key where it should be; the message says why, and not what there is."""


def run(arguments: Sequence[str]) -> int:
    """Record until Ctrl-C; return the exit code: 1 where it was broken off, 2 where it cannot begin."""
    options = build_parser().parse_args(arguments)
    query = [
        *(("signal", name) for name in options.signal),
        *((name, value) for name in ("run_id", "workflow_type") if (value := getattr(options, name)) is not None),
    ]
    try:
        key = read_key(options.key_file)
        file = RecordingFile(options.file, append=options.append)
    except (KeyNotFound, OSError) as error:
        exists = isinstance(error, FileExistsError)
        tell(f"{options.file} exists: --append continues it, or give another name" if exists else reason_of(error))
        return UNUSABLE
    with FeedClient(options.url, key, query, tell_break) as client, file:
        return Recorder(client, file, options.file).run(options.seconds, begins_with_kept=options.kept)


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m app record",
        description="Record the events of a running studio, until Ctrl-C; `python -m metrics replay` plays them.",
        epilog="Exit codes: 0 it was stopped, 1 it was broken off, 2 it could not begin.",
    )
    parser.add_argument("file", metavar="FILE", help="where to, one JSON object a line; - for standard output")
    parser.add_argument("--url", default=ADDRESS, help=f"address of the studio (default: {ADDRESS})")
    parser.add_argument(
        "--key-file",
        type=Path,
        metavar="FILE",
        help=f"file that has a key of the API and nothing else (default: the variable {KEY_VARIABLE})",
    )
    parser.add_argument("--append", action="store_true", help="continue a recording, from its last event if possible")
    parser.add_argument("--kept", action="store_true", help="begin with the events that the studio has kept")
    parser.add_argument("--signal", action="append", default=[], metavar="NAME", help="only these (again for more)")
    parser.add_argument("--run-id", metavar="ID", help="only of this run")
    parser.add_argument("--workflow-type", metavar="NAME", help="only of this workflow")
    parser.add_argument("--seconds", type=positive, metavar="N", help="end after so many (default: at Ctrl-C)")
    return parser


def positive(text: str) -> float:
    """Return a number of seconds above 0."""
    seconds = float(text)
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError("give a number of seconds above 0")
    return seconds


def read_key(file: Path | None) -> str:
    """Return the key in a file, else in the environment, else nothing.

    Raises:
        KeyNotFound: The file cannot be read or has no key, or the variable has something else.
    """
    if file is None:
        key = os.environ.get(KEY_VARIABLE, "").strip()
        if key and not is_key(key):
            raise KeyNotFound(f"{KEY_VARIABLE} is to be a key of the API: ASCII, without spaces")
        return key
    try:
        key = file.read_text("utf-8-sig").strip()
    except OSError as error:
        raise KeyNotFound(f"{file} cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise KeyNotFound(f"{file} is not UTF-8") from None
    if not is_key(key):
        raise KeyNotFound(f"{file} is to have a key of the API, in one line, and nothing else")
    return key


def is_key(text: str) -> bool:
    """Return whether a text can be a key, which a header takes as it is."""
    return bool(re.fullmatch(r"[!-~]+", text))


class Recorder:
    """Writes what a feed sends into a file, and says at the end what that was."""

    def __init__(self, client: FeedClient, file: RecordingFile, name: str) -> None:
        self._client = client
        self._file = file
        self._name = "standard output" if name == STANDARD_OUTPUT else name
        self._counts: Counter[str] = Counter()
        self._gaps: list[int | None] = []
        self._is_begun = False
        self._must_resume = False
        self._missed = 0

    def run(self, seconds: float | None, *, begins_with_kept: bool) -> int:
        """Record until a signal, or for so many seconds; return the exit code."""
        code = DONE
        try:
            with stop_signals(seconds) as signals:
                self._follow(signals, self._file.last_id() or (ALL_KEPT if begins_with_kept else ""))
        except KeyboardInterrupt:
            pass
        except FeedUnreachable as reason:
            tell(str(reason))
            code = BROKEN_OFF if self._is_begun else UNUSABLE
        except BrokenPipeError:  # who reads standard output has enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        except OSError as error:
            tell(f"{self._name} cannot be written: {error.strerror}")
            code = BROKEN_OFF if self._is_begun else UNUSABLE
        if self._is_begun:
            tell(self._summary())
        return code

    def _follow(self, signals: StopSignals, last_id: str) -> None:
        self._must_resume = self._file.is_continued
        for message in self._client.follow(last_id):
            with signals.deferred():
                match message:
                    case FeedConnected(is_again):
                        self._connected(is_again=is_again)
                    case FeedStatus(resumed, missed):
                        self._note(resumed, missed)
                    case FeedRecord(sent_id, record):
                        self._file.write({**record, "id": sent_id})
                        self._counts[str(record["signal"])] += 1

    def _connected(self, *, is_again: bool) -> None:
        self._missed = 0
        if is_again:
            self._must_resume = True
            tell("connected again")
            return
        self._file.begin(self._client.address)
        self._is_begun = True
        tell(f"recording {self._client.address} in {self._name}; stop with Ctrl-C")

    def _note(self, resumed: bool, missed: int | None) -> None:
        """Write a gap where the studio says that events are missing since the last it sent."""
        if self._must_resume and not resumed:
            self._gap(missed)
        elif (missed or 0) > self._missed:
            self._gap((missed or 0) - self._missed)
        self._must_resume = False
        self._missed = missed or 0

    def _gap(self, missed: int | None) -> None:
        self._file.write_gap(missed)
        self._gaps.append(missed)
        tell(f"{'events' if missed is None else f'{missed:,} events'} are missing: the break was too long")

    def _summary(self) -> str:
        total = self._counts.total()
        text = f"recorded {total:,} events of {len(self._counts)} signals in {self._name}"
        if not self._gaps:
            return text
        return f"{text}; {len(self._gaps)} gaps, {missing(self._gaps)} missing"


def missing(gaps: Iterable[int | None]) -> str:
    """Return how many events are missing in some gaps."""
    numbers = [*gaps]
    known = sum(number or 0 for number in numbers)
    if None not in numbers:
        return f"{known:,} events"
    return f"more than {known:,} events" if known else "nobody knows how many events"


def tell_break(reason: str, wait: float) -> None:
    """Print that the connection broke, and when the next one is made."""
    tell(f"no connection: {reason}; again in {wait:g} s")


def reason_of(error: Exception) -> str:
    """Return why a recording cannot begin."""
    return error.strerror or type(error).__name__ if isinstance(error, OSError) else str(error)


def tell(text: str) -> None:
    """Print a line for the person at the terminal; standard output may be the recording."""
    print(f"python -m app record: {text}", file=sys.stderr, flush=True)
