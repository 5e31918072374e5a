"""Fixtures and rules for every test: receivers raise, none is left connected, and the longest files start first."""

from __future__ import annotations

import fcntl
import gc
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest
from blinker import default_namespace
from hypothesis import Phase
from hypothesis import settings as hypothesis_settings
from xdist.remote import Producer  # type: ignore[import-untyped]
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

import events
from events.bridges.asgi import open_requests
from events.bus import announcements, pollers
from tests.support import file_seconds, ports
from tests.support.environments import is_missing, modules_of_file, needed_modules
from tests.support.garbage import collect_all
from tests.support.shortest_times import ShortestTimes
from tests.support.slow_files import is_all_slow, may_have_slow
from tests.support.traced_parts import TracedParts
from tools.wheel.staging import stage

gc.disable()  # until the tests are collected: a third of the time would go into searching what they import for garbage

SHARED = {
    "test_every_family.py": "life",
    "test_reconciled.py": "life",
    "test_documents.py": "libraries",
    "test_command_lines.py": "libraries",
    "test_prometheus_metrics.py": "libraries",
    "test_own_check.py": "commands",
    "test_pytest_plugin.py": "commands",
}
"""Files whose tests share what takes seconds to make, or a minute: one worker takes all of them."""
PACKAGES = {
    "prometheus": "prometheus",
    "promtool": "prometheus",
    "amtool": "prometheus-alertmanager",
    "prometheus-alertmanager": "prometheus-alertmanager",
    "chromedriver": "chromium-driver",
    "mariadbd": "mariadb-server-core",
    "prometheus-node-exporter": "prometheus-node-exporter",
    "prometheus-pushgateway": "prometheus-pushgateway",
    "redis-server": "redis-server",
    "odbcinst": "odbc-mariadb",
}

MANY = 100
"""How many new modules are worth the time in which garbage is collected once."""
exempt_modules = 0
"""How many modules there were when their objects were last exempted from garbage collection."""

# A shell that runs the tests in the background has them ignore SIGINT, and so would every studio that they start.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# No test speaks to a host that needs a certificate, and each HTTP client would take 50 ms to read those of the machine.
os.environ.pop("SSL_CERT_FILE", None)
os.environ["SSL_CERT_DIR"] = str(Path(__file__).parent)  # has none

# LiteLLM asks the network for its prices as it is imported, or goes on without after half a minute.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

# How long an example takes is the machine's business.
hypothesis_settings.register_profile("no deadline", deadline=None)
hypothesis_settings.load_profile("no deadline")
# For `make mutants`: the same examples every time, and no shrinking, which takes longer than finding a failure.
hypothesis_settings.register_profile(
    "mutants", derandomize=True, database=None, deadline=None, phases=(Phase.explicit, Phase.generate)
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option of `make quick`."""
    parser.addoption(
        "--shorter-than", type=float, metavar="SECONDS", help="leave out tests that have always taken longer"
    )


def pytest_configure(config: pytest.Config) -> None:
    """Keep how long tests take, and trace no more than them."""
    config.pluginmanager.register(ShortestTimes(config))
    if sys.gettrace() is not None:
        config.pluginmanager.register(TracedParts())


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not import a file of which no test is run: what it imports is slow too."""
    if collection_path.suffix == ".py":
        match config.option.markexpr:
            case "not slow":
                return is_all_slow(collection_path) or lacks_modules(collection_path) or None
            case "slow":
                return not may_have_slow(collection_path) or lacks_modules(collection_path) or None
    return None


def lacks_modules(file: Path) -> bool:
    """Return whether no test of a file can run here, since each needs a module of another environment."""
    return any(map(is_missing, modules_of_file(file)))


def pytest_deselected(items: Iterable[pytest.Item]) -> None:
    """Fail where a slow test is left out that would not be found by a run of the slow ones either."""
    lost = {item.path for item in items if item.get_closest_marker("slow") and not may_have_slow(item.path)}
    if lost:
        raise pytest.UsageError(f"has slow tests, but does not say so: {', '.join(map(str, sorted(lost)))}")


class FileScheduling(LoadFileScheduling):  # type: ignore[misc]  # it has no types
    """Workers take whole files, as with ``--dist=loadfile``, or several that share something."""

    def _split_scope(self, nodeid: str) -> str:
        file: str = super()._split_scope(nodeid)
        return SHARED.get(Path(file).name, file)


@pytest.hookimpl(optionalhook=True)  # pytest-xdist is not active in a run of one process without it
def pytest_xdist_make_scheduler(config: pytest.Config, log: Producer) -> FileScheduling | None:
    """Schedule whole files where ``--dist=loadfile`` is asked for (``loadgroup`` has no effect with this pytest)."""
    return FileScheduling(config, log) if config.getvalue("dist") == "loadfile" else None


@pytest.hookimpl(trylast=True)  # after pytest-randomly
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out tests whose program or module is not here, programs never in CI; put slow files first.

    Modules are those of environments of their own, with which `make test-matrix` runs the tests of them.

    Workers take whole files, or several that share something, in this order: one that starts last and takes a minute
    would leave the others idle.
    """
    needless = [item for item in items if any(map(is_missing, needed_modules(item)))]
    if needless:
        config.hook.pytest_deselected(items=needless)
        left_out = set(needless)
        items[:] = [item for item in items if item not in left_out]
    weights = file_weights(items)
    items.sort(key=lambda item: -weights[item.path])
    for item in items:
        for mark in item.iter_markers("needs"):
            missing = [program for program in mark.args if shutil.which(program) is None]
            if missing and "CI" not in os.environ:
                packages = " ".join(sorted({PACKAGES[program] for program in missing}))
                item.add_marker(pytest.mark.skip(reason=f"needs {' and '.join(missing)}: apt-get install {packages}"))


def pytest_collection_finish() -> None:
    """Collect garbage from here on, but never search what has been imported and collected: it stays."""
    exempt_what_is_there()  # before the first collection, which would search all of it
    gc.enable()


def exempt_what_is_there() -> None:
    """Exempt all objects that there are from garbage collection."""
    global exempt_modules  # noqa: PLW0603 - the process has one collector
    gc.freeze()
    exempt_modules = len(sys.modules)


def file_weights(items: Iterable[pytest.Item]) -> dict[Path, float]:
    """Return the seconds that each file takes, as they were measured, or by its longest timeout where it is new."""
    measured = file_seconds.read()
    weights: dict[Path, float] = {}
    for item in items:
        timeout = item.get_closest_marker("timeout")
        estimated = 0.0 if timeout is None else float(timeout.args[0])
        seconds = measured.get(item.nodeid.partition("::")[0], estimated)
        weights[item.path] = max(weights.get(item.path, 0.0), seconds)
    return weights


# One fixture, since each costs every test a fifth of a millisecond.
@pytest.fixture(autouse=True)
def isolation(request: pytest.FixtureRequest) -> Iterator[None]:
    """Run each test with receivers that raise, on its own, and see that it leaves none connected."""
    is_lenient = request.node.get_closest_marker("lenient") is not None
    with nullcontext() if is_lenient else events.strict(), no_receiver_left_connected(), own_pollers(), own_signals():
        yield
    if len(sys.modules) > exempt_modules + MANY:  # each collection would search what the test has imported
        collect_all()
        exempt_what_is_there()


@contextmanager
def no_receiver_left_connected() -> Iterator[None]:
    """Fail a test that leaves a receiver on one of the process's signals."""
    before = {signal: set(signal.receivers) for signal in default_namespace.values() if signal.receivers}
    yield
    left = {
        signal.name: new
        for signal in default_namespace.values()
        if signal.receivers and (new := signal.receivers.keys() - before.get(signal, set()))
    }
    assert not left, f"receivers were left connected: {left}"


@contextmanager
def own_signals() -> Iterator[None]:
    """Forget the signals that a test declares: a table of all signals of the process would have them from then on.

    Those of the package stay, since its modules are imported once.
    """
    before = set(default_namespace)
    yield
    for name in default_namespace.keys() - before:
        signal = default_namespace[name]
        if not isinstance(signal, events.Signal) or not signal.event.__module__.startswith("events."):
            del default_namespace[name]


@contextmanager
def own_pollers() -> Iterator[None]:
    """Forget what bridges and subscriptions add in a test: it would emit before every later render of the process."""
    state = (pollers._pollers, announcements._announcers, open_requests._middlewares, open_requests._shown)
    open_requests._middlewares, open_requests._shown = type(state[2])(), set()
    try:
        yield
    finally:
        pollers._pollers, announcements._announcers, open_requests._middlewares, open_requests._shown = state


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """Return a function that returns a loopback port on which nobody listens."""
    return ports.free_port


@pytest.fixture(scope="session")
def sparklio_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder for ``PYTHONPATH`` which has the package as the wheel installs it: all workers' own.

    To write it takes three seconds, and so does what Python compiles of it, once each.
    """
    own = tmp_path_factory.getbasetemp()
    folder = (own.parent if "PYTEST_XDIST_WORKER" in os.environ else own) / "installed"
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            staged = stage(Path(__file__).parents[1], tmp_path_factory.mktemp("staged"), "0.0").parent
            staged.rename(folder)
    return folder
