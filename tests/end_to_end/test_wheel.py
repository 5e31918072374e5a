"""The wheel in a fresh environment: beside PyPI's Events, in a project with names like those of our folders."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
import sys
import tarfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
README = ROOT / "tools" / "wheel" / "README.md"
WHEELHOUSE = ROOT / ".venv" / "wheelhouse"

PROJECT = {
    "app/__init__.py": "MINE = True\n",
    "events.py": "MINE = True\n",
    "metrics/__init__.py": "MINE = True\n",
    "shop.py": """
from dataclasses import dataclass

import app, events, metrics
from sparklio.events import Label, Signal
from sparklio.metrics import PIPELINE, counter

@dataclass(frozen=True, slots=True, kw_only=True)
class OrderPlaced:
    '''An order was placed.'''

    country: Label

order_placed = Signal(OrderPlaced)
ROWS = (*PIPELINE, counter("orders_total", "Orders placed.", order_placed, labels=("country",)))
assert app.MINE and events.MINE and metrics.MINE

def place(country):
    order_placed.emit(country=country)
""",
    "pyproject.toml": """
[tool.sparklio.metrics]
namespace = "acme"
source = ["shop.py"]
catalogue = ["shop:ROWS"]
label_limits = { country = 10 }
""",
    "test_shop.py": """
import unittest
from prometheus_client import CollectorRegistry
from shop import ROWS, order_placed, place
from sparklio.events import strict
from sparklio.metrics import subscribe

class PlaceTest(unittest.TestCase):
    def test_an_order_is_counted(self):
        registry = CollectorRegistry()
        subscribed = subscribe(ROWS, registry, namespace="acme", label_limits={"country": 10})
        with subscribed, strict(), order_placed.captured() as placed:
            place("KR")
            self.assertEqual(registry.get_sample_value("acme_orders_total", {"country": "KR"}), 1)
        self.assertEqual([event.country for event in placed], ["KR"])
""",
}  # fmt: skip
"""A project that has an ``events``, a ``metrics`` and an ``app`` of its own, and a test."""


@dataclass(frozen=True)
class Environment:
    """A virtual environment."""

    python: Path

    @classmethod
    def create(cls, interpreter: str, folder: Path) -> Environment:
        """Create one without pip: that of the tests installs into it."""
        subprocess.run([interpreter, "-m", "venv", "--without-pip", folder], check=True)
        return cls(folder / "bin" / "python")

    def pip(self, *arguments: str | Path) -> None:
        """Run pip for it, without a network."""
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", str(self.python)]
        subprocess.run([*pip, *map(str, arguments)], check=True)

    def install(self, *what: str | Path) -> None:
        """Install from the wheelhouse alone. What is imported is compiled then, of hundreds of files that are not."""
        self.pip("install", "--no-compile", "--no-index", "--find-links", WHEELHOUSE, *what)

    def copied(self, folder: Path) -> Environment:
        """Return a copy of it, which a test may change."""
        shutil.copytree(self.python.parents[1], folder, symlinks=True)
        return Environment(folder / "bin" / "python")

    def run(self, *arguments: str | Path, folder: Path) -> str:
        """Return what a program prints that runs in a folder; it has to succeed, without a warning."""
        ran = self.try_to_run(*arguments, folder=folder)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def try_to_run(self, *arguments: str | Path, folder: Path) -> subprocess.CompletedProcess[str]:
        """Return how a program ends that runs in a folder."""
        return subprocess.run(
            [self.python, "-W", "error", *arguments],
            cwd=folder, env={"PATH": os.environ["PATH"]}, capture_output=True, text=True, check=False,
        )  # fmt: skip


def interpreters() -> dict[str, str]:
    """Return this Python, and those of the other versions that the metadata names and this machine has."""
    found = {"{}.{}".format(*sys.version_info[:2]): sys.executable}
    for version in re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text()):
        of_pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"), "versions").glob(
            f"{version}.*/bin/python"
        )
        for candidate in (*map(str, of_pyenv), shutil.which(f"python{version}")):
            if (
                version not in found
                and candidate
                and subprocess.run([candidate, "-c", "import venv"], capture_output=True, check=False).returncode == 0
            ):
                found[version] = candidate
    return found


def need_wheelhouse() -> None:
    """Leave a test out where nothing has been downloaded, but not in CI."""
    if not WHEELHOUSE.is_dir() and "CI" not in os.environ:
        pytest.skip("needs .venv/wheelhouse: make .venv/wheelhouse")


INTERPRETERS = interpreters()
THIS, *_ = INTERPRETERS


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the wheel and the source distribution, as `make wheel` builds them."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", folder], cwd=ROOT, check=True, capture_output=True
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> Path:
    [found] = built.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def unpacked(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with what is in the wheel, for the environment of the tests."""
    folder = tmp_path_factory.mktemp("unpacked")
    with ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def environment_of(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Environment]:
    """Return a function that returns an environment of a Python with the wheel, and with PyPI's Events."""
    need_wheelhouse()

    @cache
    def create(version: str) -> Environment:
        environment = Environment.create(INTERPRETERS[version], tmp_path_factory.mktemp("environment"))
        environment.install(wheel, "opensearch-py")
        return environment

    return create


@pytest.fixture
def environment(environment_of: Callable[[str], Environment]) -> Environment:
    """Return such an environment of this Python."""
    return environment_of(THIS)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Return the folder of a project with names like ours."""
    for name, text in PROJECT.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_the_wheel_has_one_package_and_the_libraries_that_it_needs(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()
        [metadata] = [name for name in names if name.endswith("METADATA")]
        text = archive.read(metadata).decode()
    assert {name.split("/")[0] for name in names} == {"sparklio", metadata.split("/")[0]}
    assert {"sparklio/py.typed", "sparklio/metrics/diagnostics/otel.toml"} <= {*names}
    needed = re.findall(r"^Requires-Dist: ([^;\n]*)$", text, re.MULTILINE)
    assert [re.split(r"\W", each)[0] for each in needed] == ["blinker", "prometheus"]
    assert "studio" not in re.findall(r"^Provides-Extra: (.*)$", text, re.MULTILINE)
    assert text.endswith(README.read_text())


def test_the_source_distribution_builds_the_same_wheel(built: Path, wheel: Path, tmp_path: Path) -> None:
    [source] = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        archive.extractall(tmp_path, filter="data")
    [folder] = tmp_path.iterdir()
    again = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", "dist"]
    subprocess.run(again, cwd=folder, check=True, capture_output=True)
    assert (folder / "dist" / wheel.name).read_bytes() == wheel.read_bytes()


IMPORT_EVERYTHING = """
import opensearchpy, sys
from events import Events
from importlib import import_module
from importlib.metadata import version
from pkgutil import walk_packages

import sparklio
assert sparklio.__version__ == version("sparklio")
assert Events.__module__ == "events.events"
before = {*sys.modules}
missing, imported = set(), 0
for module in walk_packages(sparklio.__path__, "sparklio.", onerror=lambda name: None):
    if not module.name.endswith("__main__"):
        try:
            import_module(module.name)
            imported += 1
        except ModuleNotFoundError as error:  # what an extra installs
            missing.add(error.name.partition(".")[0])
assert not missing & {"events", "metrics", "traces", "app", "sparklio"}, missing
assert not {*sys.modules} - before & {"metrics", "traces", "app"}
assert imported > 250, imported
"""


@pytest.mark.parametrize("python", INTERPRETERS)
def test_every_module_can_be_imported_beside_another_events(
    environment_of: Callable[[str], Environment], python: str, tmp_path: Path
) -> None:
    environment_of(python).run("-c", IMPORT_EVERYTHING, folder=tmp_path)


MISSPELT = 'llm_called.emit(model="m", status="succes", duration=1.0)\n'


def snippets_of_the_readme() -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)


def test_the_readme_s_examples_run(environment: Environment, tmp_path: Path) -> None:
    """Those that need nothing else."""
    runnable = [code for code in snippets_of_the_readme() if "fastapi" not in code]
    assert len(runnable) > 2
    environment.run("-c", "\n".join(runnable), folder=tmp_path)


def test_a_type_checker_sees_the_types_of_the_package(environment: Environment, tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("\n".join(code for code in snippets_of_the_readme() if "fastapi" not in code) + MISSPELT)
    mypy = [sys.executable, "-m", "mypy", "--strict", "--no-error-summary", "--cache-dir", str(tmp_path / "cache")]
    checked = subprocess.run(
        [*mypy, "--python-executable", str(environment.python), str(program)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    [error] = checked.stdout.splitlines()
    assert "incompatible type" in error
    assert "succes" in error


def test_the_readme_s_web_application_answers(unpacked: Path) -> None:
    """In the environment of the tests, which has what it needs."""
    [snippet] = [code for code in snippets_of_the_readme() if "fastapi" in code]
    driver = """
from fastapi.testclient import TestClient
with TestClient(app) as client:
    assert client.get("/answer").json() == 42
    print(client.get("/metrics").text)
"""
    command = [sys.executable, "-W", "error", "-c", snippet + driver]
    ran = subprocess.run(command, cwd=unpacked, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    assert 'acme_http_requests_total{endpoint="/answer",method="GET",status_code="200"} 1.0' in ran.stdout
    assert 'acme_db_queries_total{operation="select"' in ran.stdout


def test_pytest_finds_the_plugin_and_the_readme_s_test_passes(unpacked: Path, tmp_path: Path) -> None:
    """In the environment of the tests, which has pytest; the plugin is found by what the wheel says of itself."""
    [snippet] = [code for code in snippets_of_the_readme() if "events_captured" in code]
    (tmp_path / "test_readme.py").write_text(snippet)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    ran = subprocess.run(
        command, cwd=tmp_path, env={"PATH": os.environ["PATH"], "PYTHONPATH": str(unpacked)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "1 passed" in ran.stdout


def test_an_editable_install_has_no_plugin_since_it_has_no_such_package(tmp_path: Path) -> None:
    build = f"import hatchling.build as build; build.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=ROOT, check=True, capture_output=True)
    [found] = tmp_path.glob("*.whl")
    with ZipFile(found) as archive:
        assert not [name for name in archive.namelist() if name.endswith("entry_points.txt")]


@pytest.mark.parametrize("python", INTERPRETERS)
def test_a_project_with_such_names_of_its_own_works(
    environment_of: Callable[[str], Environment], python: str, project: Path
) -> None:
    environment = environment_of(python)
    environment.run("-m", "unittest", "--quiet", folder=project)
    assert environment.run("-m", "sparklio.metrics", "check", folder=project).startswith("ok: ")


@pytest.mark.parametrize("python", INTERPRETERS)
def test_the_examples_that_need_nothing_else_run(
    environment_of: Callable[[str], Environment], python: str, tmp_path: Path
) -> None:
    environment = environment_of(python)
    for name in ("nightly.py", "forecast.py"):
        text = (ROOT / "examples" / "shop" / name).read_text()
        (tmp_path / name).write_text(text.replace("port=9300", "port=0"))
    assert "off by 4.8 orders, of 49 days" in environment.run("forecast.py", folder=tmp_path)
    with closing(sqlite3.connect(tmp_path / "shop.db")) as database, database:
        database.execute("CREATE TABLE orders (id, product, country, price, state)")
        database.execute("INSERT INTO orders VALUES (1, 'lamp', 'KR', 40.0, 'placed')")
    for runs in (1, 2):
        environment.run("nightly.py", folder=tmp_path)
        assert f"shop_exported_orders_total {runs}.0" in (tmp_path / "nightly.prom").read_text()


def test_an_unfed_row_is_found_in_a_project_that_imports_the_package(environment: Environment, project: Path) -> None:
    shop = project / "shop.py"
    shop.write_text(shop.read_text().replace("order_placed.emit", "print"))
    checked = environment.try_to_run("-m", "sparklio.metrics", "check", folder=project)
    assert checked.returncode == 1
    assert "order_placed" in checked.stdout


SPOKEN = """
import linecache, logging
from prometheus_client import CollectorRegistry
from sparklio.events import llm_called
from sparklio.metrics import LLM, subscribe
from sparklio.metrics.fastpath.codegen import generate_update_function
from sparklio.metrics.fastpath.shape import UpdateShape

async def listener(event: object) -> None: ...

try:
    llm_called.connect(listener)
except TypeError as error:
    print(error)
made = generate_update_function(UpdateShape(counters=1))
print(made.__code__.co_filename, linecache.getline(made.__code__.co_filename, 1).strip())
logging.basicConfig(format="%(name)s: %(message)s")
with subscribe(LLM, CollectorRegistry(), namespace="acme"):
    print(*sorted(name for name in logging.root.manager.loggerDict if "." not in name))
"""


def test_what_it_says_has_its_own_name(environment: Environment, tmp_path: Path) -> None:
    said, generated, loggers = environment.run("-c", SPOKEN, folder=tmp_path).splitlines()
    assert "connect sparklio.events.background(" in said
    assert generated == "<sparklio.metrics update 1 counter, 0 timestamps> def make_update(slow_path, counter0):"
    assert not {"events", "metrics"} & {*loggers.split()}
    doctor = environment.try_to_run("-m", "sparklio.metrics", "doctor", "http://127.0.0.1:9/metrics", folder=tmp_path)
    assert doctor.stderr.startswith("python -m sparklio.metrics doctor: ")
    helped = environment.run("-m", "sparklio.metrics", "--help", folder=tmp_path)
    assert helped.startswith("usage: python -m sparklio.metrics ")
    groups = environment.run("-m", "sparklio.metrics", "groups", folder=tmp_path)
    assert groups.splitlines()[1].startswith("sparklio.metrics:")


def test_uninstalling_it_leaves_the_others_whole_and_nothing_else(environment: Environment, tmp_path: Path) -> None:
    """A file of the wheel that were another's too would go with it."""
    copy = environment.copied(tmp_path / "environment")
    [packages] = copy.python.parents[1].glob("lib/python*/site-packages")
    ours = [packages / "sparklio", *packages.glob("sparklio-*.dist-info")]
    assert [path.is_dir() for path in ours] == [True, True]
    before = {path: path.stat().st_size for path in packages.rglob("*")}
    copy.pip("uninstall", "--yes", "sparklio")
    left = {path: size for path, size in before.items() if not {path, *path.parents}.intersection(ours)}
    assert len(left) > 500
    assert {path: path.stat().st_size for path in packages.rglob("*")} == left
