"""Headers that tell browsers what a page may load, and who may embed or read an answer."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence

DEFAULT_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of pages that have none of their own: FastAPI's, which have scripts in them."""

Headers = Sequence[tuple[bytes, bytes]]

# Without a referrer for the studio's own pages, browsers would send the Origin "null" with their forms.
_ALWAYS: Headers = ((b"x-content-type-options", b"nosniff"), (b"cross-origin-resource-policy", b"same-origin"))
_OF_PAGES: Headers = (
    *_ALWAYS,
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
)
_POLICY = b"content-security-policy"
_DEFAULT_POLICY_HEADER: Headers = ((_POLICY, DEFAULT_POLICY.encode()),)


def with_security_headers(headers: Headers) -> list[tuple[bytes, bytes]]:
    """Return the headers of a response with those that protect it, more of them for a page."""
    for name, value in headers:
        if name == b"content-type" and value.startswith(b"text/html"):
            break
    else:
        return [*headers, *_ALWAYS]
    policy = () if any(name == _POLICY for name, _ in headers) else _DEFAULT_POLICY_HEADER
    return [*headers, *_OF_PAGES, *policy]


def inline_digests(page: str, element: str) -> str:
    """Return the CSP digests of a page's own scripts or styles; injected ones do not match and are ignored."""
    bodies = re.findall(rf"<{element}>(.*?)</{element}>", page, re.DOTALL)
    digests = [base64.b64encode(hashlib.sha256(body.encode()).digest()).decode() for body in bodies]
    return " ".join(f"'sha256-{digest}'" for digest in digests)
