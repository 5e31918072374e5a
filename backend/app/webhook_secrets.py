"""The secrets of a webhook: keys as the Standard Webhooks specification writes them, ``whsec_`` and base64.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md#signature-scheme
"""

from __future__ import annotations

import base64
import binascii

SECRET_PREFIX = "whsec_"  # noqa: S105 - says that a secret follows
SHORTEST, LONGEST = 24, 64
"""Bytes of a key: 192 to 512 bits, as the specification has it."""

_HOW = (
    'make one by python -c "import base64, secrets;'
    " print('whsec_' + base64.b64encode(secrets.token_bytes(32)).decode())\""
)


def parse_webhook_secrets(text: str) -> tuple[bytes, ...]:
    """Return the keys in a text, with spaces between: the current one, and while it is replaced the one before.

    Raises:
        ValueError: There is none, or one is malformed; the message has nothing of it.
    """
    keys = tuple(map(_parse, text.split()))
    if not keys:
        raise ValueError(f"it is unset or empty; {_HOW}")
    return keys


def _parse(secret: str) -> bytes:
    if not secret.startswith(SECRET_PREFIX):
        raise ValueError(f"a secret begins with {SECRET_PREFIX}; {_HOW}")
    try:
        key = base64.b64decode(secret.removeprefix(SECRET_PREFIX), validate=True)
    except binascii.Error:
        raise ValueError(f"what follows {SECRET_PREFIX} is no base64; {_HOW}") from None
    if not SHORTEST <= len(key) <= LONGEST:
        raise ValueError(f"a secret has {SHORTEST} to {LONGEST} bytes, this one {len(key)}; {_HOW}")
    return key
