"""A receiver that raises, or a field that does not fit, never affects the emitting code and is always reported."""

from __future__ import annotations

import logging
import subprocess
import sys
from contextlib import ExitStack
from dataclasses import dataclass
from threading import Barrier, Thread
from typing import Any

import pytest
from blinker import Namespace

import events
from events import EventDropped, ReceiverFailed, Signal, agent_run, event_dropped, receiver_failed
from events.bus.failures import FailureHooks, failure_hooks, report_drop
from events.bus.log_throttle import LogThrottle

SECRET = "sk-1234 wrote a secret prompt"  # an example of what a message may quote


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorOpened:
    """A door was opened."""

    door: str = "front"

    def __post_init__(self) -> None:
        if self.door == "none":
            raise ValueError(SECRET)


@pytest.fixture
def door_opened() -> Signal[..., DoorOpened]:
    return Signal(DoorOpened, Namespace())


@pytest.fixture(autouse=True)
def fresh_log_throttle(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forget what was logged a moment ago, for another test."""
    monkeypatch.setattr("events.bus.failures._throttle", LogThrottle())


def broken(event: object) -> None:
    raise ValueError(SECRET)


@pytest.mark.lenient
def test_a_receiver_that_raises_affects_nobody_else_and_stays_connected(door_opened: Signal[..., DoorOpened]) -> None:
    received: list[list[DoorOpened]] = [[] for _ in range(8)]
    for one in received[:4]:
        door_opened.connect(one.append)
    door_opened.connect(broken)
    for one in received[4:]:
        door_opened.connect(one.append)
    with receiver_failed.captured() as failures:
        door_opened.emit()
        door_opened.emit()
    assert [len(one) for one in received] == [2] * 8
    assert failures == [ReceiverFailed(signal="door_opened", receiver="broken", error="ValueError")] * 2


@pytest.mark.lenient
def test_a_failure_is_reported_through_the_hook(
    door_opened: Signal[..., DoorOpened], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bus knows none of the events that are declared on top of it."""
    reported: list[tuple[str, str, str]] = []

    def record(signal: str, receiver: str, error: BaseException) -> None:
        reported.append((signal, receiver, str(error)))

    monkeypatch.setattr(failure_hooks, "receiver_failed", record)
    door_opened.connect(broken)
    door_opened.emit()
    assert reported == [("door_opened", "broken", SECRET)]


def test_a_strict_failure_is_raised_instead_of_reported(
    door_opened: Signal[..., DoorOpened], monkeypatch: pytest.MonkeyPatch
) -> None:
    reported: list[object] = []
    monkeypatch.setattr(failure_hooks, "receiver_failed", lambda *report: reported.append(report))
    door_opened.connect(broken)
    with events.strict(), pytest.raises(ValueError, match="secret"):
        door_opened.emit()
    assert reported == []


def test_a_drop_is_reported_through_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    reported: list[tuple[str, str]] = []
    monkeypatch.setattr(failure_hooks, "event_dropped", lambda *report: reported.append(report))
    report_drop("door_opened", "audit")
    assert reported == [("door_opened", "audit")]


@pytest.mark.lenient
def test_the_hooks_do_nothing_until_they_are_set() -> None:
    hooks = FailureHooks()
    with receiver_failed.captured() as failures, event_dropped.captured() as drops:
        hooks.receiver_failed("door_opened", "broken", ValueError())
        hooks.event_dropped("door_opened", "broken")
    assert (failures, drops) == ([], [])


def test_the_vocabulary_turns_reports_into_events() -> None:
    with receiver_failed.captured() as failures, event_dropped.captured() as drops:
        failure_hooks.receiver_failed("door_opened", "broken", ValueError(SECRET))
        failure_hooks.event_dropped("door_opened", "broken")
    assert failures == [ReceiverFailed(signal="door_opened", receiver="broken", error="ValueError")]
    assert drops == [EventDropped(signal="door_opened", receiver="broken")]


@pytest.mark.parametrize("signal", [receiver_failed.name, event_dropped.name])
def test_a_report_about_the_events_of_reports_emits_nothing(signal: str) -> None:
    """Each would lead to one more, without end."""
    with receiver_failed.captured() as failures, event_dropped.captured() as drops:
        if signal == receiver_failed.name:
            failure_hooks.receiver_failed(signal, "broken", ValueError())
        else:
            failure_hooks.event_dropped(signal, "full")
    assert (failures, drops) == ([], [])


@pytest.mark.lenient
def test_an_error_that_is_not_an_exception_passes_through(door_opened: Signal[..., DoorOpened]) -> None:
    """An interrupt that reaches a receiver is for the program."""

    def interrupted(event: object) -> None:
        raise KeyboardInterrupt

    door_opened.connect(interrupted)
    with pytest.raises(KeyboardInterrupt):
        door_opened.emit()


@pytest.mark.lenient
def test_a_failing_receiver_of_failures_is_only_logged(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture
) -> None:
    door_opened.connect(broken)
    calls: list[object] = []

    def also_broken(event: object) -> None:
        calls.append(event)
        raise RuntimeError(SECRET)

    with receiver_failed.connected_to(also_broken), receiver_failed.captured() as failures:
        door_opened.emit()
    assert len(calls) == 1
    assert [failure.signal for failure in failures] == ["door_opened"]
    assert [record.getMessage().split(" at ")[0] for record in caplog.records] == [
        "door_opened: receiver broken failed with ValueError",
        f"receiver_failed: receiver {also_broken.__qualname__} failed with RuntimeError",
    ]


@pytest.mark.lenient
@pytest.mark.parametrize(
    ("fields", "error"), [({"dor": "back"}, "TypeError"), ({"door": "none"}, "ValueError")], ids=["misspelt", "refused"]
)
def test_a_field_that_does_not_fit_is_reported_not_raised(
    door_opened: Signal[..., DoorOpened], fields: dict[str, Any], error: str
) -> None:
    with receiver_failed.captured() as failures, door_opened.captured() as received:
        door_opened.emit(**fields)
    assert received == []
    assert failures == [ReceiverFailed(signal="door_opened", receiver="emit", error=error)]


@pytest.mark.lenient
def test_the_log_says_where_a_field_was_misspelt(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture
) -> None:
    """The place is that of the emitting code, not of the bus."""
    with door_opened.captured():
        door_opened.emit(dor="back")
    assert caplog.messages[0].startswith(f"door_opened: emit failed, no field 'dor', at {__file__}:")


@dataclass(frozen=True, slots=True, kw_only=True)
class DoorPainted:
    """A door was painted."""

    door: str
    colour: str
    layers: int = 1


@pytest.mark.lenient
@pytest.mark.parametrize(
    ("fields", "misfits"),
    [
        ({"dor": SECRET, "colour": "red"}, "no field 'dor'"),
        ({"dor": SECRET, "color": SECRET}, "no field 'dor', 'color'"),
        ({"colour": SECRET}, "field 'door' is missing"),
    ],
)
def test_the_log_names_the_fields_that_do_not_fit_and_no_value(
    caplog: pytest.LogCaptureFixture, fields: dict[str, Any], misfits: str
) -> None:
    door_painted: Signal[..., DoorPainted] = Signal(DoorPainted, Namespace())
    with door_painted.captured(), receiver_failed.captured() as failures:
        door_painted.emit(**fields)
    assert caplog.messages[0].startswith(f"door_painted: emit failed, {misfits}, at {__file__}:")
    assert SECRET not in caplog.text
    assert failures == [ReceiverFailed(signal="door_painted", receiver="emit", error="TypeError")]


@pytest.mark.lenient
def test_a_value_that_the_event_refuses_is_logged_by_its_error(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture
) -> None:
    with door_opened.captured():
        door_opened.emit(door="none")
    assert caplog.messages[0].startswith("door_opened: emit failed with ValueError at ")


@pytest.mark.lenient
@pytest.mark.parametrize("receiver_count", [1, 2])
def test_too_few_values_for_a_bound_emitter_are_no_failure_of_a_receiver_named_emit(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture, receiver_count: int
) -> None:
    emit = door_opened.bind("door")
    with ExitStack() as stack:
        for _ in range(receiver_count):
            stack.enter_context(door_opened.captured())
        emit(())
    assert caplog.messages[0].startswith(f"door_opened: emit failed with ValueError at {__file__}:")


@pytest.mark.lenient
def test_the_log_names_the_fields_that_a_scope_or_a_note_does_not_take(caplog: pytest.LogCaptureFixture) -> None:
    with agent_run.scope(agent="writer"), agent_run(agent_name="writer") as run:
        run.note(stile=SECRET)
    assert [message.split(" at ")[0] for message in caplog.messages] == [
        "agent_started: scope failed, no field agent,",
        "agent_finished: note failed, no field stile that can be noted,",
    ]
    assert SECRET not in caplog.text


@pytest.mark.lenient
def test_the_log_says_where_a_listener_raised(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture
) -> None:
    door_opened.connect(broken)
    door_opened.emit()
    assert caplog.messages == [
        f"door_opened: receiver broken failed with ValueError at {__file__}:{broken.__code__.co_firstlineno + 1}"
    ]
    assert [(record.name, record.levelno) for record in caplog.records] == [("events", logging.WARNING)]


@pytest.mark.lenient
def test_the_log_says_where_a_listener_raised_in_what_it_called(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture
) -> None:
    def listener(event: DoorOpened) -> None:
        inner(event)

    def inner(event: DoorOpened) -> None:
        broken(event)

    door_opened.connect(listener)
    door_opened.emit()
    assert caplog.messages[0].endswith(f"{__file__}:{broken.__code__.co_firstlineno + 1}")


@pytest.mark.lenient
def test_the_log_quotes_no_message(door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture) -> None:
    """A message may quote a prompt or a key."""
    door_opened.connect(broken)
    door_opened.emit()
    door_opened.emit(door="none")
    assert len(caplog.records) == 2
    assert SECRET not in caplog.text
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.lenient
def test_the_log_is_written_once_a_minute_for_one_receiver(
    door_opened: Signal[..., DoorOpened], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1_000.0
    monkeypatch.setattr("events.bus.log_throttle.monotonic", lambda: now)
    door_opened.connect(broken)
    door_opened.connect(lambda event: 1 / 0)
    with receiver_failed.captured() as failures:
        for _ in range(100):
            door_opened.emit()
    assert len(failures) == 200
    assert len(caplog.records) == 2
    now += 59.9
    door_opened.emit()
    assert len(caplog.records) == 2
    now += 0.1
    door_opened.emit()
    assert len(caplog.records) == 4


def test_strict_raises_what_a_receiver_raises(door_opened: Signal[..., DoorOpened]) -> None:
    door_opened.connect(broken)
    with events.strict(), pytest.raises(ValueError, match="secret"):
        door_opened.emit()


def test_strict_raises_for_a_field_that_does_not_fit_without_receivers(
    door_opened: Signal[..., DoorOpened],
) -> None:
    with events.strict(), pytest.raises(TypeError, match="dor"):
        door_opened.emit(dor="back")


def test_strict_raises_for_a_receiver_that_would_have_to_be_awaited(door_opened: Signal[..., DoorOpened]) -> None:
    async def awaited() -> None: ...

    door_opened.connect(lambda event: awaited())
    with events.strict(), pytest.raises(TypeError, match="called, not awaited"):
        door_opened.emit()


@pytest.mark.lenient
def test_strict_ends_with_its_block(door_opened: Signal[..., DoorOpened]) -> None:
    door_opened.connect(broken)
    with pytest.raises(ValueError, match="secret"), events.strict(), events.strict():
        door_opened.emit()
    door_opened.emit()


@pytest.mark.lenient
def test_strict_blocks_of_many_threads_are_all_counted(door_opened: Signal[..., DoorOpened]) -> None:
    barrier = Barrier(8)
    quiet: list[int] = []

    def enter_and_leave() -> None:
        barrier.wait()
        for turn in range(500):
            with events.strict():
                try:
                    door_opened.emit(dor="back")
                except TypeError:
                    continue
                quiet.append(turn)

    threads = [Thread(target=enter_and_leave) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not quiet
    door_opened.emit(dor="back")


@pytest.mark.lenient
def test_a_misspelt_field_of_a_span_does_not_affect_the_work(caplog: pytest.LogCaptureFixture) -> None:
    with (
        receiver_failed.captured() as failures,
        events.agent_started.captured(),
        events.agent_finished.captured(),
        agent_run(agent="writer"),  # type: ignore[call-arg]  # what is shown not to harm
    ):
        done = True
    assert done
    assert [(failure.signal, failure.receiver) for failure in failures] == [
        ("agent_started", "emit"),
        ("agent_finished", "emit"),
    ]
    assert __file__ in caplog.text


@pytest.mark.slow
def test_a_failure_while_the_interpreter_shuts_down_is_not_reported() -> None:
    """By then modules are gone: receivers fail that never did, and nothing can be imported."""
    script = """
import builtins
from events import tool_called

class Last:
    def __del__(self, emit=tool_called.emit):
        print("the last one")
        emit(tool_name="search", status="success", duration=0.1)

tool_called.connect(lambda event: 1 / 0)
builtins.last = Last()  # goes last of all
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the last one\n", "")
