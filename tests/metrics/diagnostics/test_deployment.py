"""Deployments whose numbers would be wrong are found from command lines, configuration and clocks."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from metrics.diagnostics import deployment


def faults(command: str, parent: str = "", *, shared: bool = False, clock_ahead: float | None = None) -> list[str]:
    return list(
        deployment.find_faults(
            shared=shared, clock_ahead=clock_ahead, command=command.split(), parent_command=parent.split()
        )
    )


@pytest.mark.parametrize(
    ("command", "parent"),
    [
        ("python -c spawn_main", "/usr/bin/python -m uvicorn app.main:app --workers 4"),
        ("gunicorn app.main:app", "/venv/bin/python /venv/bin/gunicorn -w4 app.main:app"),
        ("gunicorn app.main:app", "gunicorn: master [app.main:app] --workers=2"),
        ("python -c spawn_main", "hypercorn --workers 3 app.main:app"),
        ("fastapi run --workers 2", ""),
    ],
)
def test_workers_that_share_nothing_are_found(command: str, parent: str) -> None:
    assert faults(command, parent) == ["unshared_workers"]
    assert faults(command, parent, shared=True) == []


def test_workers_set_by_the_environment_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """uvicorn and gunicorn read the variable; a program that is no server does not."""
    monkeypatch.setenv("WEB_CONCURRENCY", "3")
    assert faults("uvicorn app.main:app") == ["unshared_workers"]
    assert faults("uvicorn app.main:app --workers 1") == []
    assert faults("pytest -n 4") == []


@pytest.mark.parametrize("workers", [None, "4", [4], 1])
def test_a_configuration_without_a_number_of_workers_means_one_process(workers: object) -> None:
    """Another program's may be there in place of uvicorn's, with anything by that name."""
    config = SimpleNamespace(workers=workers)
    found = deployment.find_faults(
        shared=False, clock_ahead=None, command=["python"], parent_command=[], server_config=config
    )
    assert list(found) == []


@pytest.mark.parametrize(
    "command", ["uvicorn app.main:app", "python -m app", "gunicorn a:b -w 1", "pytest --workers 4"]
)
def test_one_process_is_fine(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WEB_CONCURRENCY", raising=False)
    assert faults(command) == []


@pytest.mark.parametrize("command", ["uvicorn app.main:app --reload", "fastapi dev main.py", "python -m fastapi dev"])
def test_a_server_that_reloads_is_found(command: str) -> None:
    assert "reload" in faults(command)
    assert "reload" in faults("python -c spawn_main", command)
    assert faults(f"{command} --no-reload") == []


def test_a_clock_that_is_off_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compared with the database's, or with our own files, which cannot come from the future."""
    assert faults("python -m app", clock_ahead=-3.5) == ["clock"]
    assert faults("python -m app", clock_ahead=0.5) == []
    monkeypatch.setattr(deployment, "time", lambda: deployment.newest_module_time() - 3600)
    assert faults("python -m app") == ["clock"]
    monkeypatch.setattr(deployment, "time", lambda: deployment.newest_module_time() - 60)
    assert faults("python -m app") == []  # they may have been copied


@pytest.mark.parametrize(("ahead", "differs"), [(0.0, False), (2.0, False), (-2.0, False), (2.1, True), (-2.1, True)])
def test_a_clock_may_differ_by_two_seconds(ahead: float, differs: bool) -> None:
    assert deployment.clock_differs(ahead) is differs
    assert faults("python -m app", clock_ahead=ahead) == ["clock"] * differs


def test_a_server_is_named_among_the_first_four_words() -> None:
    """Behind them its name may be an argument of another program."""
    assert faults("python -X dev gunicorn --reload") == ["reload"]
    assert faults("python a b c uvicorn --reload") == []
    assert faults("python -X dev gunicorn --workers 2") == ["unshared_workers"]
    assert faults("python a b c uvicorn --workers 2") == []
