"""The image: its steps are run in an empty folder, and what they make is started as a container would be."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx
import pytest

from tests.support.dockerfile import entrypoint_of, environment_of, last, read_stages
from tests.support.in_process_studio import matching_reply
from tests.support.openai_server import OpenAIServer
from tests.support.studio import BRIEF
from tests.support.wait import wait_until

ROOT = Path(__file__).parents[2]
DOCKERFILE = ROOT / "deploy" / "Dockerfile"
BASE, BUILD, IMAGE = read_stages(DOCKERFILE)
COPIED = [(Path(source), each.words[-1]) for each in BUILD if each.is_copy for source in each.words[:-1]]
RULES = (ROOT / "deploy" / "Dockerfile.dockerignore").read_text().split("\n")

LIBRARIES_OF_THE_BASE = {
    *("libc.so.6", "libm.so.6", "libpthread.so.0", "libdl.so.2", "librt.so.1", "libresolv.so.2", "libutil.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6", "libz.so.1", "linux-vdso.so.1"),
}
"""Libraries of Debian's packages that a system cannot be without: libc6, libgcc-s1, zlib1g; and libstdc++6, for apt."""

KEY = "a-key-of-more-than-sixteen"
REVISION = "0123456789ab"
READ_ONLY = 'mount --bind "$1" "$1" && mount --bind "$2" "$2" && mount -o remount,ro,bind / && shift 2 && exec "$@"'
"""The file system as a container has it that may write into two folders alone."""


def is_sent(path: str) -> bool:
    """Return whether a file is sent to what builds the image: the last rule that matches it or a folder of it says."""
    sent = True
    for rule in filter(None, RULES):
        pattern = rule.removeprefix("!")
        if not rule.startswith("#") and any(
            fnmatch(part, pattern) or (pattern.startswith("**/") and fnmatch(Path(part).name, pattern[3:]))
            for part in (path, *map(str, Path(path).parents))
        ):
            sent = rule.startswith("!")
    return sent


def test_what_is_copied_is_there_and_is_sent() -> None:
    for source, _ in COPIED:
        assert (ROOT / source).exists(), source
        assert is_sent(str(source)), source
    assert is_sent("backend/app/main.py")


@pytest.mark.parametrize(
    "path",
    [".env", "data/studio.db", ".git/config", ".venv/bin/python", "deploy/.env", "backend/app/__pycache__/x.pyc"],
)
def test_secrets_data_and_what_is_built_are_not_sent(path: str) -> None:
    assert not is_sent(path)


def test_the_steps_are_the_commands_of_the_makefile() -> None:
    steps = [each.text for each in BUILD if each.name == "RUN"]
    assert [step for step in steps if step.startswith("make ")] == ["make setup"]
    assert [step.split()[0] for step in steps] == ["apt-get", "make", ".venv/bin/python"]


def test_both_stages_have_one_base_and_one_place_as_the_environment_names_both() -> None:
    assert BUILD[0].words[0] == IMAGE[0].words[0] == BASE[0].words[-1]
    assert last(BUILD, "WORKDIR") == last(IMAGE, "WORKDIR")


@pytest.fixture(scope="module")
def built() -> Iterator[Path]:
    """Run the steps in an empty folder, but for those of the system's packages, and return it; others may read it."""
    with TemporaryDirectory(prefix="image-") as parent:
        folder = Path(parent) / "studio"
        folder.mkdir(mode=0o755)
        folder.parent.chmod(0o755)
        for step in BUILD:
            if step.is_copy:
                *sources, target = step.words
                for source in sources:
                    copy(ROOT / source, folder / target / source if target in (".", "./") else folder / target)
            elif step.name == "RUN" and not step.text.startswith("apt-get "):
                run(step.text, folder)
        yield folder


def copy(source: Path, target: Path) -> None:
    """Copy a file, or a folder without what Python has compiled."""
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        target = target / source.name if target.name != source.name else target
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)


def run(command: str, folder: Path) -> None:
    """Run a step, with nothing of the environment and of the ``make`` that the tests run in."""
    others = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "PYTHON"))}
    done = subprocess.run(["sh", "-c", command], cwd=folder, env=others, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.deploy("kubernetes_validate")
@pytest.mark.timeout(900)
def test_what_is_installed_asks_the_system_for_libraries_that_the_image_has(built: Path) -> None:
    modules = [*built.glob(".venv/**/*.so*")]
    asked = subprocess.run(["ldd", *modules], capture_output=True, text=True, check=False).stdout
    found = dict(re.findall(r"^\t(\S+) (?:=> )?(\S.*)$", asked, re.MULTILINE))
    outside = {name for name, place in found.items() if str(built) not in place and not name.startswith("/")}
    assert any("xllamacpp" in module.name for module in modules)
    assert outside - LIBRARIES_OF_THE_BASE == {"libgomp.so.1"}
    assert "libgomp1" in next(each.text for each in BASE if each.name == "RUN").split()


@pytest.mark.deploy("kubernetes_validate")
@pytest.mark.timeout(900)
@pytest.mark.skipif(os.geteuid() != 0, reason="another user and a mount take root")
def test_what_the_steps_make_serves_as_the_image_s_user_with_a_file_system_to_read(
    built: Path, free_port: Callable[[], int]
) -> None:
    user = last(IMAGE, "USER").partition(":")[0]
    with TemporaryDirectory(prefix="data-") as data, TemporaryDirectory(prefix="tmp-") as temporary:
        for folder in (data, temporary):
            shutil.chown(folder, int(user), int(user))
        port, log = free_port(), built.parent / "log"
        with OpenAIServer(matching_reply) as model, log.open("w") as output:
            own = {
                "SPARKLIO_REVISION": REVISION,
                "SPARKLIO_PORT": str(port),
                "SPARKLIO_API_KEYS": f"alice:{KEY}",
                "SPARKLIO_LLM": "openai:scripted",
                "SPARKLIO_LLM_BASE_URL": model.base_url,
            }
            places = {name: value.replace("/var/lib/sparklio", data) for name, value in environment_of(IMAGE).items()}
            as_user = ["setpriv", f"--reuid={user}", f"--regid={user}", "--clear-groups"]
            process = subprocess.Popen(
                ["unshare", "--mount", "sh", "-c", READ_ONLY, "sh", data, temporary, *as_user, *entrypoint_of(IMAGE)],
                cwd=built,
                env={"PATH": os.environ["PATH"], "TMPDIR": temporary, **places, **own},
                stdout=output,
                stderr=output,
            )
            with process, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30.0) as client:
                try:
                    wait_until(lambda: is_ready(client, process, log))
                    assert client.get("/api/v1/runs").status_code == 401
                    client.headers["Authorization"] = f"Bearer {KEY}"
                    run_id = client.post("/api/v1/workflows/product_content/runs", json=BRIEF).json()["run_id"]
                    wait_until(lambda: client.get(f"/api/v1/runs/{run_id}").json()["status"] == "completed")
                    assert f'revision="{REVISION}"' in client.get("/metrics").text
                    process.terminate()
                    assert process.wait(20) == 0
                finally:
                    process.kill()
        assert "Traceback" not in log.read_text(), log.read_text()
        assert "Read-only" not in log.read_text(), log.read_text()


def is_ready(client: httpx.Client, process: subprocess.Popen[bytes], log: Path) -> bool:
    """Return whether a load balancer would send requests."""
    assert process.poll() is None, log.read_text()
    try:
        return client.get("/health/ready").status_code == 200
    except httpx.HTTPError:
        return False
