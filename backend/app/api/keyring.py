"""The keys that requests are checked against, read again when they change, and the sessions that a login gives."""

from __future__ import annotations

import asyncio
import hmac
import logging
import stat
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from time import time

from dotenv import dotenv_values
from starlette.requests import cookie_parser

from app.api_keys import SHORT_KEY, ApiKey, digest_of, parse_keys, read_key_file, validate_distinct
from app.setting_types import PREFIX
from app.settings import Settings

COOKIE = "sparklio_session"
SESSION_SECONDS = 7 * 24 * 3600
ENV_FILE = Path(".env")
_LOOK_INTERVAL = 1.0  # seconds
_OPEN_TO_OTHERS = stat.S_IRWXO | stat.S_IWGRP  # a group that may read is how Kubernetes mounts secrets

log = logging.getLogger(__name__)

ReadKeys = Callable[[], tuple[ApiKey, ...]]


class KeyRing:
    """The keys of the API, read again when a file that they are in changes.

    A session is a time and its HMAC by the digest of the key that it was given for. So it holds in every worker and
    after a restart, and ends with its key; nothing is stored.

    Args:
        keys: The keys at the start; without any, every request is let in.
        read: Reads them again; keys that cannot be read, or are none any more, leave the ones before.
        files: The files that they are in.
    """

    def __init__(self, keys: tuple[ApiKey, ...], read: ReadKeys, files: tuple[Path, ...]) -> None:
        self._keys = keys
        self._read = read
        self._files = files
        self._versions: tuple[object, ...] | None = None  # so that a change since they were read is not missed
        self._complaint: tuple[object, str] | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no key is asked for."""
        return not self._keys

    def admits(self, headers: Mapping[bytes, bytes]) -> bool:
        """Return whether a request has a valid key, or where it has none a valid session.

        Credentials that are no key are not looked at: browsers add those of ``/metrics`` to all (RFC 7617, 2.2).
        """
        scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() == b"bearer":
            return self._find(key.strip()) is not None
        cookies = cookie_parser(headers.get(b"cookie", b"").decode("latin-1"))
        return COOKIE in cookies and self._is_session(cookies[COOKIE])

    def open_session(self, key: str) -> str | None:
        """Return a session for a key, None if the key is not valid."""
        found = self._find(key.encode())
        if found is None:
            return None
        expires = str(int(time()) + SESSION_SECONDS)
        return f"{expires}.{_sign(found, expires)}"

    def _find(self, key: bytes) -> ApiKey | None:
        digest = digest_of(key)
        found = None
        for known in self._keys:  # all of them, in the same time whichever it is
            if hmac.compare_digest(known.digest, digest):
                found = known
        return found

    def _is_session(self, session: str) -> bool:
        expires, _, signature = session.partition(".")
        valid = [hmac.compare_digest(_sign(key, expires).encode(), signature.encode()) for key in self._keys]
        return any(valid) and int(expires) > time()  # what we have signed is a number

    async def follow(self) -> None:
        """Read the keys again within a second of each change of their files, until cancelled."""
        while self._files:
            await asyncio.sleep(_LOOK_INTERVAL)
            self.refresh()

    def refresh(self) -> None:
        """Read the keys again if a file that they are in has changed; what cannot be read is tried at the next call."""
        versions = self._look()
        if versions == self._versions:
            self._complaint = None
            return
        try:
            keys = self._read()
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            if (complaint := (versions, str(reason))) != self._complaint:
                self._complaint = complaint
                files = " and ".join(map(str, self._files))
                log.warning("the API's keys in %s cannot be read again (%s): those before stay", files, reason)
            return
        self._versions, self._complaint = versions, None
        if keys and keys != self._keys:
            self._keys = keys
            log.info("the API's keys have changed: %s", ", ".join(key.name for key in keys))
            self.warn()

    def warn(self) -> None:
        """Log a warning about keys that are short, and about files of keys that other users can read."""
        if short := [key.name for key in self._keys if key.is_short]:
            log.warning(
                "the API's keys of %s have fewer than %s characters and can be guessed: use openssl rand -hex 24",
                ", ".join(short),
                SHORT_KEY,
            )
        for file in self._files:
            with suppress(OSError):
                if (mode := stat.S_IMODE(file.stat().st_mode)) & _OPEN_TO_OTHERS:
                    log.warning(
                        "other users can read or change the API's keys in %s (mode %04o): chmod 600", file, mode
                    )

    def _look(self) -> tuple[object, ...]:
        """Return what tells one version of the files from another."""
        versions: list[object] = []
        for file in self._files:
            try:
                status = file.stat()
            except OSError:
                versions.append(None)
            else:
                versions.append((status.st_ino, status.st_mtime_ns, status.st_size))
        return tuple(versions)


def open_keyring(settings: Settings) -> KeyRing:
    """Return the key ring of the settings, which follows changes of ``.env`` and of the file of keys.

    It is empty where there is no API that it would protect.
    """
    if not settings.serves_api:
        return KeyRing((), tuple, ())
    in_env_file = settings.api_keys is not None and _keys_in_env_file() == settings.api_keys

    def read() -> tuple[ApiKey, ...]:
        text = _keys_in_env_file() if in_env_file else settings.api_keys
        keys = parse_keys(text) if text else ()
        file = settings.api_keys_file
        if file is not None:
            keys = (*keys, *read_key_file(file))
            validate_distinct(keys)
        if in_env_file and not keys:
            raise ValueError(f"{PREFIX}API_KEYS is not in {ENV_FILE} any more")
        return keys

    files = (*((ENV_FILE,) if in_env_file else ()), *((settings.api_keys_file,) if settings.api_keys_file else ()))
    keyring = KeyRing(read(), read, files)
    keyring.warn()
    if settings.api_keys is not None and settings.api_keys_file is not None:
        log.warning("SPARKLIO_API_KEYS and SPARKLIO_API_KEYS_FILE are both set: the keys of both are valid")
    return keyring


def _keys_in_env_file() -> str | None:
    text = dotenv_values(ENV_FILE).get(f"{PREFIX}API_KEYS")
    return text.strip() if text else None


def _sign(key: ApiKey, expires: str) -> str:
    return hmac.digest(key.digest, f"session until {expires}".encode(), "sha256").hex()
