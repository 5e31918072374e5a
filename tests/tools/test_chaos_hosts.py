"""The tool that lets hosts fail: what it is asked for, and what its checker finds in histories that break a rule."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from tools.chaos_hosts.__main__ import parse
from tools.chaos_hosts.faults import FAULTS
from tools.chaos_hosts.history import (
    AttemptStored,
    Cancellation,
    Counted,
    Fault,
    History,
    HolderChange,
    ModelCall,
    RunChange,
    StepStored,
    Submission,
)
from tools.chaos_hosts.report import describe
from tools.chaos_hosts.rules import RULES, judge

LEASE = 5.0


def history(**changes: object) -> History:
    """Return the history of a run of two steps on host a, beside which host b does nothing."""
    good = History(
        lease=LEASE,
        hosts=("a", "b"),
        at=100.0,
        keys={"r": "key"},
        submissions=(Submission("key", "r"),),
        holders=(
            HolderChange(0.0, "r", "ENQUEUED", ""),
            HolderChange(1.0, "r", "PENDING", "a"),
            HolderChange(4.0, "r", "SUCCESS", "a"),
        ),
        changes=(RunChange(0.0, "r", "queued"), RunChange(1.1, "r", "running"), RunChange(3.9, "r", "completed")),
        steps=(StepStored(2.4, "r", "write"), StepStored(3.7, "r", "judge")),
        calls=(
            ModelCall(1000, "a", "r", "write", 1.3, 2.3, is_sent=True, is_read=True, completion_tokens=5),
            ModelCall(1001, "a", "r", "judge", 2.6, 3.6, is_sent=True, is_read=True, completion_tokens=6),
        ),
        attempts=(AttemptStored("r", "write", 1000, 5), AttemptStored("r", "judge", 1001, 6)),
        counted=(
            Counted(
                "a", 99.0, is_alive=True, prompt_tokens=2001, completion_tokens=11, started=1, ended={"completed": 1}
            ),
            Counted("b", 99.0, is_alive=True),
        ),
    )
    return replace(good, **changes)  # type: ignore[arg-type]


def taken_over(kind: str, *, began: float, ended: float) -> History:
    """Return the history of the same run where host a has a fault in the second step, which host b does again."""
    good = history()
    left = replace(good.calls[1], ended=3.0, is_sent=False, is_read=False)
    again = ModelCall(1002, "b", "r", "judge", 9.1, 10.0, is_sent=True, is_read=True, completion_tokens=7)
    return history(
        faults=(Fault(kind, "a", began, ended),),
        holders=(
            *good.holders[:2],
            HolderChange(8.5, "r", "ENQUEUED", ""),
            HolderChange(9.0, "r", "PENDING", "b"),
            HolderChange(10.5, "r", "SUCCESS", "b"),
        ),
        changes=(*good.changes[:2], RunChange(10.4, "r", "completed")),
        steps=(good.steps[0], StepStored(10.2, "r", "judge")),
        calls=(good.calls[0], left, again),
        attempts=(good.attempts[0], AttemptStored("r", "judge", 1002, 7)),
        counted=(
            Counted("a", 2.9, is_alive=False, prompt_tokens=1000, completion_tokens=5, started=1),
            Counted("b", 99.0, is_alive=True, prompt_tokens=1002, completion_tokens=7, ended={"completed": 1}),
        ),
    )


def broken(story: History) -> set[str]:
    return {violation.rule for violation in judge(story)}


def test_a_run_that_nothing_happens_to_breaks_no_rule() -> None:
    assert judge(history()) == []


def test_a_run_whose_host_is_killed_and_that_another_takes_breaks_no_rule() -> None:
    assert judge(taken_over("kill", began=3.0, ended=inf)) == []


def test_a_run_that_is_in_the_queue_for_long_breaks_no_rule() -> None:
    late = history()
    assert judge(replace(late, changes=(RunChange(-500.0, "r", "queued"), *late.changes[1:]))) == []


def test_two_runs_of_one_key_are_found() -> None:
    assert broken(history(submissions=(Submission("key", "r"), Submission("key", "s")))) == {"one run a key"}


def test_an_accepted_run_that_is_not_stored_is_found() -> None:
    assert broken(history(submissions=(Submission("other", "s"),))) == {"one run a key"}


def test_a_run_that_begins_twice_is_found() -> None:
    begun = history().changes
    assert "begun once" in broken(history(changes=(*begun[:2], RunChange(2.0, "r", "running"), begun[2])))


def test_a_run_that_is_cancelled_in_the_queue_begins_and_ends_at_once() -> None:
    idle = Counted("b", 99.0, is_alive=True)
    queued = history(
        holders=history().holders[:1],
        changes=(RunChange(0.0, "r", "queued"), RunChange(2.0, "r", "cancelled")),
        cancellations=(Cancellation("r", 1.9, 200),),
        steps=(),
        calls=(),
        attempts=(),
        counted=(Counted("a", 99.0, is_alive=True, started=1, ended={"cancelled": 1}), idle),
    )
    assert broken(queued) == set()
    assert broken(replace(queued, counted=(replace(queued.counted[0], started=0), idle))) == {"runs counted"}


def test_a_run_that_ends_twice_is_found() -> None:
    assert "ended once" in broken(history(changes=(*history().changes, RunChange(4.5, "r", "abandoned"))))


def test_a_run_that_goes_on_after_its_end_is_found() -> None:
    assert "ended once" in broken(history(changes=(*history().changes, RunChange(4.5, "r", "running"))))


def test_a_run_that_does_not_end_is_found() -> None:
    assert {"ended once", "ended in time"} <= broken(history(changes=history().changes[:2]))


@pytest.mark.parametrize("status", ["failed", "abandoned", "cancelled"])
def test_a_run_that_ends_otherwise_for_no_reason_is_found(status: str) -> None:
    changes = (*history().changes[:2], RunChange(3.9, "r", status))
    assert "ended once" in broken(history(changes=changes))


def test_a_call_by_a_host_that_does_not_hold_the_run_is_found() -> None:
    good = history()
    calls = (good.calls[0], replace(good.calls[1], host="b"))
    assert "one holder" in broken(history(calls=calls))


def test_a_call_of_a_run_that_was_put_back_into_the_queue_is_found() -> None:
    good = history()
    holders = (*good.holders[:2], HolderChange(2.5, "r", "ENQUEUED", ""), *good.holders[2:])
    assert broken(history(holders=holders)) == {"one holder"}


def test_a_run_that_is_taken_during_another_hosts_call_is_found() -> None:
    story = taken_over("cut", began=2.0, ended=50.0)
    calls = (story.calls[0], replace(story.calls[1], ended=9.5), story.calls[2])
    assert broken(replace(story, calls=calls)) == {"one holder"}
    assert broken(replace(story, calls=calls, faults=(Fault("freeze", "a", 2.0, 50.0),))) == set()


def test_more_runs_at_once_than_all_hosts_may_have_are_found() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    assert broken(replace(story, total=1)) == set()
    assert broken(replace(story, total=0)) == {"total held"}


def test_a_run_that_ends_too_late_after_its_hosts_death_is_found() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    late = replace(story, changes=(*story.changes[:2], RunChange(38.5, "r", "completed")))
    assert broken(late) == {"ended in time"}
    assert broken(replace(late, changes=(*story.changes[:2], RunChange(37.9, "r", "completed")))) == set()


def test_the_time_for_a_run_begins_anew_when_a_fault_of_all_hosts_is_over() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    late = replace(story, changes=(*story.changes[:2], RunChange(60.0, "r", "completed")))
    assert broken(replace(late, faults=(*story.faults, Fault("database", "", 5.0, 30.0)))) == set()
    assert broken(replace(late, faults=(*story.faults, Fault("freeze", "b", 5.0, 30.0)))) == set()  # a is dead
    assert broken(replace(late, faults=(*story.faults, Fault("freeze", "b", 5.0, 10.0)))) == {"ended in time"}


@pytest.mark.parametrize(("place", "found"), [(8.0, set()), (8.6, {"ended in time"})])
def test_a_run_that_is_queued_again_waits_for_those_before_it(place: float, found: set[str]) -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    queued, claimed, _, again, _ = story.holders
    late = replace(
        story,
        holders=(
            queued,
            claimed,
            HolderChange(place, "s", "ENQUEUED", ""),
            HolderChange(8.4, "r", "DELETED", ""),
            HolderChange(8.5, "r", "ENQUEUED", ""),
            HolderChange(39.0, "s", "PENDING", "b"),
            replace(again, at=40.0),
        ),
        changes=(*story.changes[:2], RunChange(42.0, "r", "completed")),
        calls=(*story.calls[:2], replace(story.calls[2], began=40.5, ended=41.5)),
        steps=(story.steps[0], StepStored(41.6, "r", "judge")),
    )
    assert broken(late) == found


def test_a_fault_that_is_over_within_the_lease_holds_its_runs_up_until_its_end() -> None:
    late = history(
        holders=(*history().holders[:2], HolderChange(40.0, "r", "SUCCESS", "a")),
        changes=(*history().changes[:2], RunChange(39.0, "r", "completed")),
    )
    assert broken(late) == {"ended in time"}
    assert broken(replace(late, faults=(Fault("cut", "a", 3.0, 7.0),))) == set()
    assert broken(replace(late, faults=(Fault("cut", "b", 3.0, 7.0),))) == {"ended in time"}


def test_a_finished_step_that_is_done_again_is_found() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    again = ModelCall(1003, "b", "r", "write", 9.05, 9.08, is_sent=False)
    assert broken(replace(story, calls=(*story.calls, again))) == {"no step twice"}


def test_a_step_that_is_done_again_without_a_fault_is_found() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    assert broken(replace(story, faults=(Fault("kill", "b", 3.0, 3.5),))) == {"no step twice"}


def test_a_step_may_be_broken_off_shortly_after_packets_have_vanished() -> None:
    story = taken_over("kill", began=3.0, ended=inf)
    assert broken(replace(story, faults=(Fault("cut", "a", -3.0, 0.0),))) == set()
    assert broken(replace(story, faults=(Fault("database", "", 0.0, 0.7),))) == set()
    assert broken(replace(story, faults=(Fault("reset", "a", -3.0, 0.0),))) == {"no step twice"}
    assert broken(replace(story, faults=(Fault("cut", "a", -3.0, -2.0),))) == {"no step twice"}


def test_an_answer_that_is_not_stored_is_found() -> None:
    assert broken(history(attempts=history().attempts[:1])) == {"tokens stored"}


def test_an_answer_that_came_as_its_host_was_killed_may_be_lost() -> None:
    lost = history(attempts=history().attempts[:1], faults=(Fault("kill", "a", 3.8, 5.0),), at=20.0)
    assert broken(lost) == set()
    assert broken(replace(lost, faults=(Fault("kill", "a", 8.0, 9.0),))) == {"tokens stored"}


def test_an_answer_that_a_cut_off_host_had_may_be_lost_only_with_its_folder() -> None:
    faults = (Fault("cut-long", "a", 3.0, 12.0), Fault("kill", "a", 12.5, inf))
    lost = history(attempts=history().attempts[:1], faults=faults)
    dead = replace(lost, counted=(replace(lost.counted[0], is_alive=False), lost.counted[1]))
    assert broken(lost) == {"tokens stored"}
    assert broken(dead) == set()


@pytest.mark.parametrize(("read", "found"), [(True, {"tokens stored"}), (False, set())])
def test_an_answer_may_be_lost_that_a_cut_off_host_has_not_read(read: bool, found: set[str]) -> None:
    good = history()
    calls = (good.calls[0], replace(good.calls[1], is_read=read))
    faults = (Fault("cut-long", "a", 1.5, 12.0),)
    assert broken(history(calls=calls, attempts=good.attempts[:1], faults=faults)) == found


@pytest.mark.parametrize("ended", [5.0, 9.0])
def test_an_answer_that_came_while_its_process_was_suspended_is_not_lost(ended: float) -> None:
    """However long that was: it is read when the process goes on."""
    lost = history(attempts=history().attempts[:1], faults=(Fault("freeze", "a", 3.0, ended),))
    assert broken(lost) == {"tokens stored"}


def test_an_answer_whose_client_leaves_before_its_end_may_be_stored_and_counted() -> None:
    good = history()
    calls = (good.calls[0], replace(good.calls[1], is_sent=False, is_read=False))
    assert broken(history(calls=calls)) == set()


def test_an_answer_that_is_stored_twice_or_was_never_sent_is_found() -> None:
    attempts = history().attempts
    assert broken(history(attempts=(*attempts, attempts[0]))) == {"tokens stored"}
    assert broken(history(attempts=(*attempts, AttemptStored("r", "judge", 77, 1)))) == {"tokens stored"}


@pytest.mark.parametrize("change", [{"prompt_tokens": 2002}, {"prompt_tokens": 1000}, {"completion_tokens": 10}])
def test_tokens_that_a_host_does_not_count_as_they_were_sent_are_found(change: dict[str, int]) -> None:
    told, idle = history().counted
    assert broken(history(counted=(replace(told, **change), idle))) == {"tokens counted"}  # type: ignore[arg-type]


def test_a_dead_host_need_not_have_shown_what_it_did_after_its_last_scrape() -> None:
    told, idle = history().counted
    faults = (Fault("kill", "a", 8.0, inf),)
    seen = replace(told, at=3.0, is_alive=False, prompt_tokens=1000, completion_tokens=5, ended={})
    assert broken(history(counted=(seen, idle), faults=faults)) == set()
    assert broken(history(counted=(replace(seen, at=7.0), idle), faults=faults)) == {"tokens counted", "runs counted"}


def test_runs_that_are_counted_twice_are_found() -> None:
    told, _ = history().counted
    assert broken(history(counted=(told, Counted("b", 99.0, is_alive=True, started=1)))) == {"runs counted"}


def test_a_cancelled_run_that_ends_otherwise_is_found() -> None:
    assert broken(history(cancellations=(Cancellation("r", 2.0, 200),))) == {"cancelled for good"}
    assert broken(history(cancellations=(Cancellation("r", 5.0, 409),))) == set()


def test_a_host_that_ends_by_itself_is_found() -> None:
    assert broken(history(crashes=("a ended with 1",))) == {"no crash"}


def test_the_report_has_every_rule_and_each_fault_that_was_found() -> None:
    story = history(crashes=("a ended with 1",))
    text = describe(story, judge(story))
    assert all(f"| {rule} |" in text for rule in RULES)
    assert text.endswith("FAIL no crash: a ended with 1")


def test_the_report_of_nothing_can_be_written() -> None:
    assert "no run was claimed" in describe(History(lease=LEASE, hosts=(), at=0.0), [])


def test_the_help_names_every_fault(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert all(kind.name in text and kind.about in text for kind in FAULTS.values())


def test_a_fault_that_does_not_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--fault", "flood"])
    assert ended.value.code == 2
    assert "flood" in capsys.readouterr().err
