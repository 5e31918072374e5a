"""The keys of the API: several with names, replaced while the studio runs, and the sessions that they give."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Iterator
from pathlib import Path
from time import time

import pytest

from app.api import keyring as module
from app.api.keyring import SESSION_SECONDS, KeyRing, open_keyring
from app.api_keys import parse_keys
from app.settings import Settings
from app.settings_loading import InvalidSettings, load_settings

ALICE, BOB, CAROL = "alices-long-key-0001", "bobs-long-key-0002", "carols-long-key-0003"


@pytest.fixture(autouse=True)
def files_are_private() -> Iterator[None]:
    before = os.umask(0o077)
    yield
    os.umask(before)


def admits(keys: KeyRing, key: str) -> bool:
    keys.refresh()
    return keys.admits({b"authorization": f"Bearer {key}".encode()})


def cookie(session: str) -> dict[bytes, bytes]:
    return {b"cookie": f"other=1; sparklio_session={session}".encode()}


def test_each_of_several_keys_is_valid_and_others_are_not() -> None:
    keys = open_keyring(Settings(api_keys=f"alice:{ALICE}, bob:{BOB},carol:{CAROL}"))
    assert all(admits(keys, key) for key in (ALICE, BOB, CAROL))
    assert not any(admits(keys, key) for key in ("", "alice", f"alice:{ALICE}", ALICE[:-1], ALICE + "x", "\xff"))
    assert keys.admits({b"authorization": f"bearer  {BOB} ".encode()})
    assert not keys.admits({b"authorization": f"Basic {BOB}".encode()})
    assert not keys.admits({})
    assert not keys.admits({b"cookie": b"; =;\xff"})


def test_keys_are_named_and_never_shown() -> None:
    named = parse_keys(f"alice:{ALICE},bob:{BOB}\r\n  # a comment, with a comma\n\ncarol: {CAROL}:=/+\n")
    assert [key.name for key in named] == ["alice", "bob", "carol"]
    assert ALICE not in f"{named!r} {Settings(api_keys=f'alice:{ALICE}')!r}"


FAULTY = [
    ",", "alice:", ":secret-key", "alice: ,bob:x", "al ice:secret-key", "secret-key", "alice=secret-key",
    "alice secret-key", "alice:secret key", "alice:secret-key # laptop", "alice:secret-key\u00e9",
    "alice:secret\x7fkey", "alice:secret-key,alice:other-key", "alice:secret-key,bob:secret-key",
    "alice:secret-key,more", '"alice:secret-key"',
]  # fmt: skip


@pytest.mark.parametrize("text", FAULTY)
def test_a_faulty_list_of_keys_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SPARKLIO_API_KEYS", text)
    with pytest.raises(InvalidSettings, match="SPARKLIO_API_KEYS") as caught:
        load_settings()
    assert "secret-key" not in str(caught.value)


def test_a_file_of_keys_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARKLIO_API_KEYS_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidSettings, match=r"SPARKLIO_API_KEYS_FILE .*cannot be read"):
        load_settings()


@pytest.mark.parametrize("text", FAULTY)
def test_a_line_that_is_no_key_leaves_all_keys_before_it(
    tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"bob:{BOB}\ncarol:{CAROL}\n")
    keys = open_keyring(Settings(api_keys_file=file))
    file.write_text(f"bob:{BOB}\n{text}\n" if text != "," else text)
    assert [admits(keys, key) for key in (BOB, CAROL)] == [True, True]
    [line] = caplog.messages
    assert "secret" not in line
    file.write_text(f"bob:{BOB}\n")
    assert [admits(keys, key) for key in (BOB, CAROL)] == [True, False]


def test_the_line_of_a_fault_is_named() -> None:
    with pytest.raises(ValueError, match=r"^line 3: an entry has no colon"):
        parse_keys(f"# keys\nalice:{ALICE}\nsecret-key\n")


def test_keys_of_both_settings_are_told_apart(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"bob:{BOB}\n")
    monkeypatch.setenv("SPARKLIO_API_KEYS", f"alice:{ALICE}")
    monkeypatch.setenv("SPARKLIO_API_KEYS_FILE", str(file))
    keys = open_keyring(load_settings())
    assert caplog.messages == ["SPARKLIO_API_KEYS and SPARKLIO_API_KEYS_FILE are both set: the keys of both are valid"]
    for text in (f"alice:{BOB}\n", f"other:{ALICE}\n"):
        file.write_text(text)
        assert [admits(keys, key) for key in (ALICE, BOB)] == [True, True]
        with pytest.raises(InvalidSettings, match=r"SPARKLIO_API_KEYS_FILE .*alice"):
            load_settings()


def test_a_file_that_an_editor_of_windows_saved_is_read(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(f"\ufeffalice:{ALICE}\r\n".encode())
    assert admits(open_keyring(Settings(api_keys_file=file)), ALICE)
    file.write_bytes(f"alice:{ALICE}\r\n".encode("utf-16"))
    with pytest.raises(ValueError, match="it is not UTF-8"):
        Settings(api_keys_file=file)


@pytest.mark.parametrize(("mode", "is_open"), [(0o600, False), (0o640, False), (0o644, True), (0o660, True)])
def test_short_keys_and_open_files_are_warned_of(
    tmp_path: Path, mode: int, is_open: bool, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text(f"alice:abc\nbob:{BOB}\ncarol:{'x' * 15}\n")
    file.chmod(mode)
    keys = open_keyring(Settings(api_keys_file=file))
    short, *others = caplog.messages
    assert "keys of alice, carol have fewer than 16 characters" in short
    assert [f"{file} (mode {mode:04o})" in line for line in others] == [True] * is_open
    caplog.clear()
    file.write_text(f"alice:{ALICE}\ndave:short\n")
    assert admits(keys, "short")
    assert "keys of dave have" in caplog.messages[0]


async def test_a_change_is_seen_without_a_request(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Each worker reads each version of the file, whoever its requests go to."""
    monkeypatch.setattr(module, "_LOOK_INTERVAL", 0.001)
    caplog.set_level(logging.INFO)
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    keys = open_keyring(Settings(api_keys_file=file))
    following = asyncio.create_task(keys.follow())

    async def wait_for(text: str) -> None:
        async with asyncio.timeout(60):
            while text not in caplog.text:  # noqa: ASYNC110 - what logs it has no event
                await asyncio.sleep(0.001)

    new = tmp_path / "new"
    new.write_text(f"bob:{BOB}\n")
    new.replace(file)
    await wait_for("have changed: bob")
    file.unlink()
    await wait_for("cannot be read again")
    new.write_text(f"carol:{CAROL}\n")
    new.replace(file)
    await wait_for("have changed: carol")
    following.cancel()


async def test_without_a_file_there_is_nothing_to_follow() -> None:
    await asyncio.wait_for(open_keyring(Settings(api_keys=f"alice:{ALICE}")).follow(), 60)


def test_a_file_that_could_not_be_read_for_a_moment_is_read_later(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As when there is no descriptor left: the file itself does not change after that."""
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    keys = open_keyring(Settings(api_keys_file=file))
    file.write_text(f"bob:{BOB}\n")

    def fail(_: Path) -> None:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patched:
        patched.setattr(module, "read_key_file", fail)
        assert [admits(keys, ALICE) for _ in range(3)] == [True] * 3
    assert len(caplog.messages) == 1
    assert [admits(keys, key) for key in (ALICE, BOB)] == [False, True]


@pytest.mark.parametrize("authorization", [f"Basic {BOB}", "Basic", "", "Digest x", "Negotiate"])
def test_a_session_holds_beside_credentials_that_are_no_key(authorization: str) -> None:
    """A browser that was asked for those of the metrics adds them to every request."""
    keys = open_keyring(Settings(api_keys=f"alice:{ALICE}"))
    session = keys.open_session(ALICE)
    assert session is not None
    headers = {b"authorization": authorization.encode()}
    assert keys.admits({**headers, **cookie(session)})
    assert not keys.admits(headers)
    assert not keys.admits({**cookie(session), b"authorization": b"Bearer wrong"})


def test_without_keys_the_ring_is_empty() -> None:
    assert open_keyring(Settings()).is_empty


def test_keys_in_a_file_are_replaced_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    keys = open_keyring(Settings(api_keys=f"bob:{BOB}", api_keys_file=file))
    session = keys.open_session(ALICE)
    assert session is not None
    assert keys.admits(cookie(session))
    file.write_text(f"carol:{CAROL}\nalice-new:{ALICE}x\n")
    assert [admits(keys, key) for key in (ALICE, BOB, CAROL)] == [False, True, True]
    assert not keys.admits(cookie(session)), "a session ends with its key"
    assert "bob, carol, alice-new" in caplog.text
    assert CAROL not in caplog.text


@pytest.mark.parametrize("content", ["", "alice:", None])
def test_keys_that_cannot_be_read_any_more_stay(
    tmp_path: Path, content: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    """An API that was guarded is not opened by a mistake."""
    file = tmp_path / "keys"
    file.write_text(f"alice:{ALICE}\n")
    keys = open_keyring(Settings(api_keys_file=file))
    if content is None:
        file.unlink()
    else:
        file.write_text(content)
    assert admits(keys, ALICE)
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert admits(keys, ALICE)
    assert len(caplog.records) == 1, "it is said once for each change"


def test_keys_in_the_env_file_are_replaced_and_those_of_the_environment_win(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The launcher copies ``.env`` into the environment, where its old keys stay."""
    Path(".env").write_text(f"SPARKLIO_API_KEYS=alice:{ALICE}\n")
    settings = load_settings()
    monkeypatch.setenv("SPARKLIO_API_KEYS", f"alice:{ALICE}")
    keys = open_keyring(settings)
    Path(".env").write_text(f'SPARKLIO_API_KEYS="bob:{BOB},carol:{CAROL}"\n')
    assert [admits(keys, key) for key in (ALICE, BOB, CAROL)] == [False, True, True]
    Path(".env").write_text("SPARKLIO_PORT=1\n")
    assert admits(keys, BOB)
    assert caplog.messages == [
        "the API's keys in .env cannot be read again (SPARKLIO_API_KEYS is not in .env any more): those before stay"
    ]

    monkeypatch.setenv("SPARKLIO_API_KEYS", f"carol:{CAROL}")
    Path(".env").write_text(f"SPARKLIO_API_KEYS=alice:{ALICE}\n")
    keys = open_keyring(load_settings())
    Path(".env").write_text(f"SPARKLIO_API_KEYS=bob:{BOB}\n")
    assert [admits(keys, key) for key in (ALICE, BOB, CAROL)] == [False, False, True]


def test_a_session_ends_and_is_not_to_be_made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = open_keyring(Settings(api_keys=f"alice:{ALICE}"))
    assert keys.open_session("wrong") is None
    session = keys.open_session(ALICE)
    assert session is not None
    expires, signature = session.split(".")
    assert ALICE not in session
    for made_up in (f"{int(expires) + 1}.{signature}", f"{expires}.", expires, "", ".", "\xff.\xff", f"x.{signature}"):
        assert not keys.admits({b"cookie": f"sparklio_session={made_up}".encode("latin-1")})
    now = time()
    monkeypatch.setattr(module, "time", lambda: now + SESSION_SECONDS + 1)
    assert not keys.admits(cookie(session))


def test_another_studio_with_the_same_key_takes_the_session() -> None:
    """As another worker does, or the same one after a restart."""
    session = open_keyring(Settings(api_keys=f"alice:{ALICE}")).open_session(ALICE)
    assert session is not None
    assert open_keyring(Settings(api_keys=f"bob:{BOB},alice:{ALICE}")).admits(cookie(session))
