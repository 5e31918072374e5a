"""The defaults of the command line come from the project's own pyproject.toml."""

from __future__ import annotations

import sys
from pathlib import Path
from textwrap import dedent

import pytest

from metrics.__main__ import main
from metrics.diagnostics.check import UNFED
from metrics.diagnostics.project_config import ProjectConfig, ProjectConfigInvalid, find_project_config, importable

ROOT = Path(__file__).parents[3]


def write(folder: Path, text: str) -> Path:
    file = folder / "pyproject.toml"
    file.write_text(dedent(text))
    return file


@pytest.fixture
def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the folder of a project with a package whose only row counts its only signal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    package = tmp_path / f"shop_{abs(hash(tmp_path))}"  # no other test has imported it
    package.mkdir()
    (package / "__init__.py").write_text("")
    (package / "counting.py").write_text(
        dedent("""
            from dataclasses import dataclass
            from blinker import Namespace
            from events import Label, Signal
            from metrics import counter

            @dataclass(frozen=True, slots=True, kw_only=True)
            class ShipPainted:
                style: Label

            ship_painted = Signal(ShipPainted, Namespace())  # none of the process
            ROWS = (counter("ships_total", "Ships.", ship_painted, labels=("style",)),)

            def paint():
                ship_painted.emit(style="plain")
        """)
    )
    return package


def test_the_folder_of_the_file_is_searched_after_the_programs_own(tmp_path: Path) -> None:
    before = sys.path
    with importable(ProjectConfig(file=tmp_path / "pyproject.toml")):
        assert sys.path == [before[0], str(tmp_path), *before[1:]]
    assert sys.path is before
    with importable(ProjectConfig()):
        assert sys.path == before


def test_the_nearest_file_with_the_table_is_read_from_a_folder_below(tmp_path: Path) -> None:
    file = write(
        tmp_path,
        """
        [tool.sparklio.metrics]
        namespace = "acme"
        source = "shop"
        catalogue = ["metrics", "shop.counting:ROWS"]
        label_limits = { style = 10 }
        """,
    )
    below = tmp_path / "services" / "shop"
    below.mkdir(parents=True)
    write(below, "[project]\nname = 'shop'\n")  # without the table: the search goes on
    assert find_project_config(below) == ProjectConfig(
        file=file,
        namespace="acme",
        source=("shop",),
        catalogue=("metrics", "shop.counting:ROWS"),
        label_limits={"style": 10},
    )


def test_a_source_that_is_a_path_is_relative_to_the_file(tmp_path: Path) -> None:
    write(tmp_path, "[tool.sparklio.metrics]\nsource = ['src/shop', 'billing', '.', 'a.py']\n")
    assert find_project_config(tmp_path).source == (
        str(tmp_path / "src/shop"),
        "billing",
        str(tmp_path),
        str(tmp_path / "a.py"),
    )


def test_without_a_file_there_is_no_namespace_and_no_source(tmp_path: Path) -> None:
    assert find_project_config(tmp_path) == ProjectConfig()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("namespace = 3", "namespace in [tool.sparklio.metrics] must be a string, got 3"),
        ("source = [3]", "source in [tool.sparklio.metrics] must be a string or a list of strings, got [3]"),
        ("catalogue = ['']", "catalogue in [tool.sparklio.metrics] must be a string or a list of strings, got ['']"),
        ("label_limits = {style = true}", "label_limits in [tool.sparklio.metrics] must map labels to whole numbers"),
        ("label_limits = {model = 1, endpoint = 1.5}", "must map labels to whole numbers"),
        ("label_limits = 7", "must map labels to whole numbers"),
        ("source = 7", "source in [tool.sparklio.metrics] must be a string or a list of strings, got 7"),
        ("sources = 'shop'", "[tool.sparklio.metrics] has no key 'sources'; it takes namespace, source,"),
        (
            "namespace = 'ac-me'",
            "namespace in [tool.sparklio.metrics]: 'ac-me' can't begin a metric's name: it takes let",
        ),
        (
            "label_limits = {style = 0}",
            "must map labels to whole numbers above 0, as { style = 10 } does, got {'style'",
        ),
        ("strict = 1", "strict in [tool.sparklio.metrics] must be true or false, got 1"),
        ("advice = 'restart'", "advice in [tool.sparklio.metrics] must map faults to texts, got 'restart'"),
        ("advice = {reload = 1}", "must map faults to texts"),
        ("advice = {relaod = 'x'}", "is for no fault 'relaod'; there are unshared_workers, reload, clock"),
        ("without = 3", "without in [tool.sparklio.metrics] must be a string or a list of strings, got 3"),
        ("source = [songs]", ': source = [songs]; texts stand in quotes, as in "shop"'),
        ("namespace = ", "cannot be read: "),
        (
            "without = 'agent_reviews_total'",
            "'agent_reviews_total' is no family of the catalogue, as are agent_review_verdicts_total,",
        ),
        ("label_limits = {modell = 3}", "'modell' is no label of the catalogue, as are model"),
        ("catalogue = ['metrics', 'metrics:HTTP']", "is a row of 'metrics' and of 'metrics:HTTP': name one of the two"),
    ],
)
def test_a_mistake_is_reported_with_the_file_and_the_key(
    text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    file = write(tmp_path, f"[tool.sparklio.metrics]\n{text}\n")
    monkeypatch.chdir(tmp_path)
    assert main([]) == 2
    error = capsys.readouterr().err
    assert error.startswith("python -m metrics: ")
    assert str(file) in error
    assert message in error


def test_a_namespace_on_the_command_line_is_checked_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--namespace", "ac-me"]) == 2
    assert "--namespace 'ac-me' can't begin a metric's name" in capsys.readouterr().err


@pytest.mark.slow
def test_a_family_that_the_project_does_without_is_neither_checked_nor_listed(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (shop / "agents.py").write_text("from events import agent_run\nwith agent_run(agent_name='a'): ...\n")
    table = f"[tool.sparklio.metrics]\nstrict = true\nsource = ['{shop.name}']\ncatalogue = ['metrics:AGENTS']\n"
    file = write(shop.parent, table)
    assert main(["check"]) == 1
    fault, advice, _ = capsys.readouterr().out.splitlines()
    assert fault.startswith("- agent_review_verdicts_total listens to review_decided, which nothing emits: emit it,")
    assert advice.endswith(f"as in without = ['NAME'] in [tool.sparklio.metrics] of {file}")
    write(shop.parent, f"{table}without = ['agent_review_verdicts_total']\n")
    assert main(["check"]) == 0
    assert main([]) == 0
    assert "agent_review" not in capsys.readouterr().out


def test_the_groups_show_what_the_project_takes(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        shop.parent,
        f"""
        [tool.sparklio.metrics]
        catalogue = ["metrics:HTTP", "metrics:TOOLS", "{shop.name}.counting:ROWS"]
        without = "tool_calls_total"
        label_limits = {{ style = 10 }}
        """,
    )
    assert main(["groups"]) == 0
    taken = {line.split()[0]: line.split()[-1] for line in capsys.readouterr().out.splitlines()}
    assert (
        taken.items() >= {"metrics:HTTP": "all", "metrics:TOOLS": "1", "metrics:LLM": "none", "others": "all"}.items()
    )


def test_a_table_that_is_none_is_a_mistake_too(tmp_path: Path) -> None:
    write(tmp_path, "[tool.sparklio]\nmetrics = 'acme'\n")
    with pytest.raises(ProjectConfigInvalid, match="must be a table, got 'acme'"):
        find_project_config(tmp_path)


@pytest.mark.slow
def test_names_have_no_namespace_unless_it_is_configured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main([]) == 0
    assert "\nhttp_requests_total " in capsys.readouterr().out
    assert main(["--otel"]) == 0
    assert "| `active_workflows` | none: `active_workflows` |" in capsys.readouterr().out
    write(tmp_path, "[tool.sparklio.metrics]\nnamespace = 'acme'\n")
    assert main([]) == 0
    assert "\nacme_http_requests_total " in capsys.readouterr().out
    assert main(["--namespace", "mine"]) == 0
    assert "\nmine_http_requests_total " in capsys.readouterr().out


def test_a_check_without_a_source_says_where_to_name_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["check"]) == 2
    assert "--source PACKAGE, or source in [tool.sparklio.metrics] of pyproject.toml" in capsys.readouterr().err


@pytest.mark.slow
def test_a_catalogue_of_ones_own_is_checked_against_ones_own_code(
    shop: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(shop.parent, "[tool.sparklio.metrics]\nlabel_limits = { style = 10 }\n")
    options = ["--source", shop.name, "--catalogue", f"{shop.name}.counting:ROWS"]
    for arguments in (["check", *options], [*options, "check"], [*options[2:], "check", *options[:2]]):
        assert main(arguments) == 0
        assert capsys.readouterr().out.startswith("ok: 1 families fed by 1 signals, at most 12 series of ")
    (shop / "counting.py").write_text((shop / "counting.py").read_text().replace(".emit(", ".forget("))
    assert main(["check", *options]) == 1
    assert capsys.readouterr().out.splitlines()[:2] == [
        "- signal ship_painted is declared and emitted nowhere",
        f"- ships_total listens to ship_painted, which nothing emits: {UNFED}",
    ]


@pytest.mark.slow
def test_a_label_without_a_limit_is_named_with_the_key_to_set(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--catalogue", f"{shop.name}.counting:ROWS"]) == 2
    error = capsys.readouterr().err
    assert "label 'style' has no limit" in error
    assert "style = 10 under label_limits in [tool.sparklio.metrics] of pyproject.toml" in error


@pytest.mark.slow
def test_what_the_file_names_in_vain_is_reported_with_its_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    file = write(tmp_path, "[tool.sparklio.metrics]\nsource = 'no_such_package'\n")
    assert main(["check"]) == 2
    assert "; it is source in" in (error := capsys.readouterr().err)
    assert "'no_such_package' is neither" in error
    assert str(file) in error
    write(tmp_path, "[tool.sparklio.metrics]\ncatalogue = 'no_such_package:ROWS'\n")
    assert main([]) == 2
    assert "; it is catalogue in [tool.sparklio.metrics] of" in capsys.readouterr().err


def test_several_catalogues_are_joined(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(
        shop.parent,
        f"""
        [tool.sparklio.metrics]
        catalogue = ["metrics", "{shop.name}.counting:ROWS"]
        label_limits = {{ style = 10 }}
        """,
    )
    assert main([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("http_requests_total ") for line in lines)
    assert any(line.startswith("ships_total ") for line in lines)


@pytest.mark.slow
def test_options_before_and_after_the_command_are_one_list(shop: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own = ["--catalogue", f"{shop.name}.counting:ROWS"]
    write(shop.parent, "[tool.sparklio.metrics]\nlabel_limits = { style = 10 }\nsource = 'json'\n")
    assert main(["--source", shop.name, *own, "check", "--source", "email"]) == 0
    assert capsys.readouterr().out.endswith(f"; sources: {shop.name}, email\n")


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        (":ROWS", "which is to be MODULE:NAME"),
        ("metrics:LABEL_LIMITS", "it is no sequence of rows"),
        ("metrics:counter", "it is no sequence of rows"),
        ("metrics:NOTHING", "no attribute 'NOTHING'"),
        ("metrics.", "No module named"),
    ],
)
def test_a_catalogue_that_is_none_is_named(path: str, reason: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--catalogue", path]) == 2
    error = capsys.readouterr().err
    assert f"no catalogue at {path!r}" in error
    assert reason in error


def test_a_folder_that_was_deleted_or_may_not_be_read_has_no_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert main([]) == 0
    assert "http_requests_total" in capsys.readouterr().out

    def refuse(path: Path) -> bool:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "is_file", refuse)  # the tests run as root, whom no folder refuses
    assert find_project_config(tmp_path) == ProjectConfig()


def test_this_project_names_its_namespace_and_its_code() -> None:
    project = find_project_config(ROOT / "metrics")
    assert (project.file, project.namespace, project.source) == (ROOT / "pyproject.toml", "sparklio", ("app",))
