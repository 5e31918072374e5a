"""The keys of the API: several with names, replaced while the studio runs, and the sessions that they give."""

from __future__ import annotations

import logging
from pathlib import Path
from time import time

import pytest

from app.api import keyring as module
from app.api.keyring import SESSION_SECONDS, KeyRing, open_keyring
from app.api_keys import parse_keys
from app.settings import InvalidSettings, Settings, load_settings

ALICE, BOB, CAROL = "alices-long-key-0001", "bobs-long-key-0002", "carols-long-key-0003"


@pytest.fixture(autouse=True)
def files_are_looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_LOOK_INTERVAL", 0.0)


def admits(keys: KeyRing, key: str) -> bool:
    return keys.admits({b"authorization": f"Bearer {key}".encode()})


def cookie(session: str) -> dict[bytes, bytes]:
    return {b"cookie": f"other=1; sparklio_session={session}".encode()}


def test_each_of_several_keys_is_valid_and_others_are_not() -> None:
    keys = open_keyring(Settings(api_keys=f"alice:{ALICE}, bob:{BOB},{CAROL}"))
    assert all(admits(keys, key) for key in (ALICE, BOB, CAROL))
    assert not any(admits(keys, key) for key in ("", "alice", f"alice:{ALICE}", ALICE[:-1], ALICE + "x", "\xff"))
    assert keys.admits({b"authorization": f"bearer  {BOB} ".encode()})
    assert not keys.admits({b"authorization": f"Basic {BOB}".encode()})
    assert not keys.admits({})
    assert not keys.admits({b"cookie": b"; =;\xff"})


def test_keys_are_named_and_never_shown() -> None:
    named = parse_keys(f"alice:{ALICE},bob:{BOB}\n# a comment, with a comma\ncarol: {CAROL}\nunnamed-key")
    assert [key.name for key in named] == ["alice", "bob", "carol", "key-4"]
    assert ALICE not in f"{named!r} {Settings(api_keys=f'alice:{ALICE}')!r}"


@pytest.mark.parametrize("text", [",", "alice:", ":secret-key", "alice: ,bob:x", "al ice:secret-key"])
def test_a_faulty_list_of_keys_is_refused_without_being_shown(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("SPARKLIO_API_KEYS", text)
    with pytest.raises(InvalidSettings, match="SPARKLIO_API_KEYS") as caught:
        load_settings()
    assert "secret-key" not in str(caught.value)


def test_a_file_of_keys_that_cannot_be_read_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SPARKLIO_API_KEYS_FILE", str(tmp_path / "none"))
    with pytest.raises(InvalidSettings, match=r"SPARKLIO_API_KEYS_FILE .*cannot be read"):
        load_settings()


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


def test_keys_in_the_env_file_are_replaced_and_those_of_the_environment_win(monkeypatch: pytest.MonkeyPatch) -> None:
    """The launcher copies ``.env`` into the environment, where its old keys stay."""
    Path(".env").write_text(f"SPARKLIO_API_KEYS=alice:{ALICE}\n")
    settings = load_settings()
    monkeypatch.setenv("SPARKLIO_API_KEYS", f"alice:{ALICE}")
    keys = open_keyring(settings)
    Path(".env").write_text(f'SPARKLIO_API_KEYS="bob:{BOB},carol:{CAROL}"\n')
    assert [admits(keys, key) for key in (ALICE, BOB, CAROL)] == [False, True, True]
    Path(".env").write_text("SPARKLIO_PORT=1\n")
    assert admits(keys, BOB)

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
