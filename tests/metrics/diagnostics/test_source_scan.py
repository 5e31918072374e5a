"""What a body of code emits is found without running it."""

from __future__ import annotations

import ast
import gc
from contextlib import suppress
from pathlib import Path

import pytest

from metrics.diagnostics import source_scan
from metrics.diagnostics.bridge_paths import bridge_paths
from metrics.diagnostics.source_scan import SourceNotFound, scan_sources, source_paths

pytestmark = pytest.mark.slow


def test_spans_and_wraps_emit_both_ends(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "from events import agent_run as span\n@span.wrap(agent_name='a')\ndef f(): ...\n"
    )
    assert {"agent_started", "agent_finished"} <= scan_sources([str(tmp_path)]).emitted.keys()


DECLARED_SPAN = """
from events import Signal, Span
class ExportStarted: ...
class ExportFinished: ...
export_started = Signal(ExportStarted)
export_finished = Signal(ExportFinished)
export_run = Span(export_started, export_finished)
"""
EXPORT_SIGNALS = {"export_started", "export_finished"}


@pytest.mark.parametrize(
    "use",
    [
        "from .exports import export_run\nwith export_run(path='p'): ...",
        "from .exports import export_run as run\n@run.wrap(path='p')\ndef f(): ...",
        "from . import exports\nwith exports.export_run(path='p'): ...",
    ],
)
def test_a_span_that_a_source_declares_emits_both_ends_where_it_is_used(tmp_path: Path, use: str) -> None:
    (tmp_path / "exports.py").write_text(DECLARED_SPAN)
    (tmp_path / "code.py").write_text(use)
    scan = scan_sources([str(tmp_path)])
    assert scan.declared == EXPORT_SIGNALS
    assert scan.emitted.keys() >= EXPORT_SIGNALS


def test_a_span_that_is_only_declared_emits_nothing(tmp_path: Path) -> None:
    (tmp_path / "exports.py").write_text(DECLARED_SPAN)
    assert not scan_sources([str(tmp_path)]).emitted.keys() & EXPORT_SIGNALS


@pytest.mark.parametrize(
    "declaration",
    [
        "from events import Span as S\nrun: S = S(started=export_started, finished=export_finished)",
        "import events\nrun = events.Span(export_started, signals.export_finished, {'success': 'done'})",
        "from events import Span\nfrom signals import export_started as a, export_finished as b\nrun = Span(a, b)",
    ],
)
def test_a_span_is_recognised_however_it_is_declared(tmp_path: Path, declaration: str) -> None:
    (tmp_path / "code.py").write_text(f"{declaration}\nwith run(): ...\n")
    assert scan_sources([str(tmp_path)]).emitted.keys() >= EXPORT_SIGNALS


@pytest.mark.parametrize(
    ("declaration", "use"),
    [
        ("run = Span(Signal(ExportStarted), Signal(ExportFinished))", "with run(path='p'): ..."),
        (
            "run = Span(started=Signal(event=ExportStarted), finished=Signal(ExportFinished))",
            "@run.wrap()\ndef f(): ...",
        ),
        ("begin = Signal(ExportStarted)\nend = Signal(ExportFinished)\nrun = Span(begin, end)", "run().start()"),
        ("begin = Signal(ExportStarted)\nend = Signal(ExportFinished)", "begin.emit(path='p')\nend.emit(path='p')"),
        ("", "with Span(Signal(ExportStarted), Signal(ExportFinished))(path='p'): ..."),
    ],
)
def test_a_signal_is_known_by_its_event_whatever_name_it_has_or_has_not(
    tmp_path: Path, declaration: str, use: str
) -> None:
    (tmp_path / "exports.py").write_text(
        f"from events import Signal, Span\nclass ExportStarted: ...\nclass ExportFinished: ...\n{declaration}"
    )
    own_names = "from .exports import *" if declaration else ""
    (tmp_path / "code.py").write_text(f"from events import Signal, Span\n{own_names}\n{use}")
    scan = scan_sources([str(tmp_path)])
    assert scan.emitted.keys() >= EXPORT_SIGNALS
    assert scan.declared == EXPORT_SIGNALS


@pytest.mark.parametrize("bound", ["bind('duration', table='runs')", "bind_by(('table',), ('duration',))"])
def test_binding_an_emitter_counts_as_emitting(tmp_path: Path, bound: str) -> None:
    (tmp_path / "code.py").write_text(f"import events\nemitter = events.query_executed.{bound}\n")
    assert "query_executed" in scan_sources([str(tmp_path)]).emitted


def test_passing_the_fields_in_a_dict_counts_as_emitting(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("import events\nevents.query_executed.emit_fields({'duration': 0.1})\n")
    assert "query_executed" in scan_sources([str(tmp_path)]).emitted


def test_entering_a_spans_scope_emits_nothing(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text("from events import workflow_run\nworkflow_run.scope(run_id='1')\n")
    assert "workflow_started" not in scan_sources([str(tmp_path)]).emitted


@pytest.mark.parametrize("source", ["no_such_package", "no_such.package", "no_such_file.py", "not a name", "sys"])
def test_a_missing_source_is_named_with_what_a_source_may_be(source: str) -> None:
    with pytest.raises(SourceNotFound, match=f"'{source}' is neither .* a file as in 'shop.py'"):
        scan_sources([source])


def test_a_file_that_is_missing_imports_no_package_of_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "imported_by_mistake.py").write_text("raise AssertionError('it is only named')\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(SourceNotFound):
        source_paths("imported_by_mistake.py")


def test_a_source_may_be_a_single_module_or_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = tmp_path / f"shop_{abs(hash(tmp_path))}.py"
    module.write_text("from events import llm_called\nllm_called.emit()\n")
    (tmp_path / "beside.py").write_text("from events import tool_called\ntool_called.emit()\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for source in (str(module), module.name, module.stem):
        emitted = scan_sources([source]).emitted
        assert "llm_called" in emitted
        assert "tool_called" not in emitted


@pytest.mark.parametrize("source", ["my-shop", "./shop", ".", "my.shop"])
def test_a_source_that_cannot_be_a_name_is_a_folder(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / source).mkdir(exist_ok=True)
    (tmp_path / source / "code.py").write_text("from events import llm_called\nllm_called.emit()\n")
    monkeypatch.chdir(tmp_path)
    assert [path.name for path in source_paths(source)] == ["code.py"]


def test_a_source_that_is_a_name_is_a_package_and_not_the_folder_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json").mkdir()
    (tmp_path / "json" / "mine.py").touch()
    monkeypatch.chdir(tmp_path)
    names = {path.name for path in source_paths("json")}
    assert "decoder.py" in names
    assert "mine.py" not in names


def test_what_is_installed_in_a_folder_is_none_of_its_code(tmp_path: Path) -> None:
    for installed in (".venv/lib", "env/lib/python3.13/site-packages"):
        (tmp_path / installed).mkdir(parents=True)
        (tmp_path / installed / "code.py").write_text("from events import tool_called\ntool_called.emit()\n")
    assert "tool_called" not in scan_sources([str(tmp_path)]).emitted


@pytest.mark.parametrize("source", [b"print 'hello'\n", b"a = 1\0\n"])
def test_a_file_that_is_no_python_is_named(source: bytes, tmp_path: Path) -> None:
    (tmp_path / "old.py").write_bytes(source)
    with pytest.raises(SourceNotFound, match=r"old\.py cannot be read as Python: "):
        scan_sources([str(tmp_path)])


@pytest.mark.parametrize(
    "declaration",
    [
        "from events import Signal\nship_sank = Signal(ShipSank)",
        "from events import Signal as Kind\nship_sank = Kind(ShipSank)",
        "import events\nship_sank = events.Signal(ShipSank)",
        "import events as bus\nfrom . import kinds\nship_sank = bus.Signal(kinds.ShipSank)",
    ],
)
def test_a_signal_is_recognised_however_it_is_declared(tmp_path: Path, declaration: str) -> None:
    (tmp_path / "code.py").write_text(declaration)
    assert scan_sources([str(tmp_path)]).declared == {"ship_sank"}


def test_signals_of_other_libraries_are_none(tmp_path: Path) -> None:
    (tmp_path / "code.py").write_text(
        "import psygnal\nfrom PySide6.QtCore import Signal as Qt, Signal\na = psygnal.Signal(int)\nb = Signal(int)"
    )
    assert scan_sources([str(tmp_path)]).declared == set()


@pytest.mark.parametrize("source", ["no_such_package", "no.such", "./nowhere"])
def test_a_source_is_a_package_or_a_folder(source: str) -> None:
    with pytest.raises(SourceNotFound, match="is neither a package or module that can be imported"):
        source_paths(source)


@pytest.mark.parametrize(
    ("bridge", "emitted"),
    [
        ("openai", {"llm_call_started", "llm_attempted", "llm_called"}),
        ("mcp", {"tool_called"}),
        ("pydantic_ai", {"llm_called", "llm_usage_billed", "tool_called"}),
        ("openai_agents", {"agent_started", "agent_finished", "llm_called", "tool_called"}),
        ("langchain", {"agent_finished", "llm_called", "tool_called"}),
    ],
)
def test_a_bridge_emits_what_it_shares_with_others_too(bridge: str, emitted: set[str], tmp_path: Path) -> None:
    (tmp_path / "main.py").write_text(f"from events.bridges.{bridge} import instrument")
    found = scan_sources([str(tmp_path)]).emitted.keys()
    assert emitted <= found
    unrelated = (
        {"tool_called"} if bridge == "openai" else {"llm_called", "agent_finished"} if bridge == "mcp" else set()
    )
    assert not unrelated & found


def test_a_bridge_is_a_module_or_a_package() -> None:
    assert [path.name for path in bridge_paths("asgi_types")] == ["asgi_types.py"]
    assert {"instrument.py", "__init__.py"} <= {path.name for path in bridge_paths("sqlalchemy")}
    assert bridge_paths("no_such_bridge") == []


def test_a_cache_of_emitters_emits_the_signal_that_it_is_made_for(tmp_path: Path) -> None:
    (tmp_path / "caches.py").write_text("from events.bus.emitters import EmitterCache\nclass Own(EmitterCache): ...\n")
    (tmp_path / "code.py").write_text("from .caches import Own\nfrom events import tool_called\nOwn(tool_called, ())\n")
    assert scan_sources([str(tmp_path)]).emitted["tool_called"] == [(tmp_path / "code.py", 3)]


@pytest.mark.parametrize(
    ("use", "is_declared"),
    [
        ("from sparklio.events import Signal\ns = Signal(Shipped)", True),
        ("from sparklio.events.bus.signal import Signal as S\ns = S(Shipped)", True),
        ("from sparklio import events\ns = events.Signal(Shipped)", True),
        ("import sparklio.events as e\ns = e.Signal(Shipped)", True),
        ("import sparklio.events\ns = sparklio.events.Signal(Shipped)", True),
        ("import sparklio.events.bridges.asgi\ns = sparklio.events.Signal(Shipped)", True),
        ("import events\ns = events.Signal(Shipped)", False),
        ("from events import Signal\ns = Signal(Shipped)", False),
        ("from sparklio.events_of_mine import Signal\ns = Signal(Shipped)", False),
    ],
)
def test_the_installed_package_is_seen_however_it_is_imported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, use: str, is_declared: bool
) -> None:
    """And an `events` of the project's own is something else."""
    monkeypatch.setattr(source_scan, "EVENTS", "sparklio.events")
    file = source_scan.parse_source(tmp_path / "code.py", use.encode())
    assert [file.declared_name(call) for call in file.calls] == (["shipped"] if is_declared else [""])
    assert file.bridges == ({"asgi"} if "bridges" in use else set())


OF_METRICS = {"asgi_types", "async_library"}
"""What `metrics` itself imports of the bridges, which emits nothing."""


@pytest.mark.parametrize(
    "code",
    [
        "from metrics import instrument\ninstrument(app, namespace='acme', engine=engine, clients=[client])",
        "from metrics import instrument as measure\nmeasure(app, **options)",
        "import metrics\nmetrics.instrument(app, engine=engine, clients=clients)",
        "import metrics as m\nm.instrument(app, engine=engine, clients=clients)",
    ],
)
def test_one_call_that_sets_up_an_application_takes_the_bridges_for_what_it_is_given(code: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(code)
    scan = scan_sources([str(tmp_path / "shop.py")])
    assert scan.bridges - OF_METRICS == {"asgi", "event_loop", "sqlalchemy", "openai", "anthropic", "pydantic_ai"}
    assert scan.emitted.keys() >= {"http_request_finished", "query_executed", "llm_called", "tool_called", "build_read"}


@pytest.mark.parametrize(
    ("given", "bridges"),
    [("", set()), (", engine=engine", {"sqlalchemy"}), (", clients=[a]", {"openai", "anthropic", "pydantic_ai"})],
)
def test_that_call_takes_no_bridge_for_what_it_is_not_given(given: str, bridges: set[str], tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(f"from metrics import instrument\ninstrument(app, namespace='acme'{given})")
    taken = scan_sources([str(tmp_path / "shop.py")]).bridges - OF_METRICS
    assert taken == {"asgi", "event_loop", *bridges}


@pytest.mark.parametrize(
    "code", ["from shop import instrument\ninstrument(app)", "import metrics\nmetrics.subscribe(a)", ""]
)
def test_without_that_call_no_bridge_is_taken(code: str, tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(code)
    scan = scan_sources([str(tmp_path / "shop.py")])
    assert scan.bridges == OF_METRICS
    assert not scan.emitted.keys() & {"http_request_finished", "build_read"}


@pytest.mark.parametrize("enabled", [True, False])
@pytest.mark.parametrize("source", ["metrics.rows", "nosuch"])
def test_garbage_is_collected_after_a_scan_as_it_was_before(source: str, enabled: bool) -> None:
    before = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        with suppress(SourceNotFound):
            scan_sources([source])
        assert gc.isenabled() is enabled
    finally:
        (gc.enable if before else gc.disable)()


def test_nodes_are_those_of_ast_walk_in_its_order_without_those_that_have_no_field() -> None:
    tree = ast.parse(Path(source_scan.__file__).read_text())
    assert [*source_scan.nodes_of(tree)] == [node for node in ast.walk(tree) if node._fields]
