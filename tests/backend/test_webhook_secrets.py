"""A webhook's secret is one as the specification has it, or the message says how to make one and not what it was."""

from __future__ import annotations

import base64

import pytest

from app.webhook_secrets import parse_webhook_secrets


def secret_of(key: bytes) -> str:
    return f"whsec_{base64.b64encode(key).decode()}"


def test_one_or_several_are_read() -> None:
    assert parse_webhook_secrets(secret_of(b"k" * 24)) == (b"k" * 24,)
    assert parse_webhook_secrets(f" {secret_of(b'k' * 32)}\n{secret_of(b'j' * 64)} ") == (b"k" * 32, b"j" * 64)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "it is unset or empty"),
        ("hunter2hunter2", "a secret begins with whsec_"),
        ("whsec_hunter2!", "is no base64"),
        (secret_of(b"hunter2"), "24 to 64 bytes, this one 7"),
        (secret_of(b"hunter2" * 10), "24 to 64 bytes, this one 70"),
        (f"{secret_of(b'k' * 24)} hunter2", "a secret begins with whsec_"),
    ],
)
def test_what_is_none_is_refused_without_being_shown(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        parse_webhook_secrets(text)
    assert "make one by python -c" in str(raised.value)
    assert "hunter2" not in str(raised.value)
    assert not text or text not in str(raised.value)


def test_the_way_to_make_one_works(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="make one by") as raised:
        parse_webhook_secrets("")
    code = str(raised.value).partition('python -c "')[2].removesuffix('"')
    exec(code)
    [key] = parse_webhook_secrets(capsys.readouterr().out)
    assert len(key) == 32
