"""The parts of the openai and anthropic SDKs that are reached here and are not public.

Both SDKs are generated (https://www.stainless.com), so that their clients have the same parts: the method ``request``
of a client, through which each call goes, its HTTP client ``_client``, through whose ``send`` each attempt goes, its
``_base_url``, and the ``_iterator`` of a stream, which its method ``__stream__`` makes. `check_client` tells where one
has none.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping
from copy import copy
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

OLDEST: Mapping[str, tuple[int, ...]] = MappingProxyType({"openai": (1, 66), "anthropic": (0, 50)})
"""The oldest release of each SDK that the tests run on."""


def check_client(client: Any, sdk: str) -> None:
    """Raise `TypeError` for what is no client of an SDK, or of a release that is too old or made otherwise."""
    cls = type(client)
    name = f"{cls.__module__}.{cls.__qualname__}"
    if isinstance(client, type) or not callable(getattr(cls, "request", None)):
        raise TypeError(
            f"{client!r:.100} is no client of the {sdk} SDK: pass an instance, such as `OpenAI()` or"
            " `AsyncAnthropic()`, not a class, resource or module"
        )
    packages = [parent.__module__.partition(".")[0] for parent in cls.__mro__]
    if sdk not in packages:
        other = next((package for package in packages if package in OLDEST), None)
        raise TypeError(
            f"{name} is no client of the {sdk} SDK" + (f": events.bridges.{other} is for it" if other else "")
        )
    module = sys.modules.get(sdk)  # which has made the client
    version = str(getattr(module, "__version__", ""))
    oldest = OLDEST[sdk]
    if version and release_of(version) < oldest:
        raise TypeError(f"{sdk} {version} is too old to be instrumented: {'.'.join(map(str, oldest))} is the oldest")
    if missing := missing_parts(client, getattr(module, "Stream", None)):
        raise TypeError(
            f"{name} of {sdk} {version} has no {' and no '.join(missing)}: this release cannot be instrumented"
        )


def release_of(version: str) -> tuple[int, ...]:
    """Return the numbers of a release.

    >>> release_of("1.40.0rc1")
    (1, 40, 0)
    """
    return tuple(int(number) for number in re.findall(r"(?:^|\.)(\d+)", version))


def missing_parts(client: Any, stream_class: Any) -> list[str]:
    """Return the names of the parts that a client, and the class of its streams, do not have."""
    parts = {
        "_client.send": callable(getattr(http_client_of(client), "send", None)),
        "Stream.__stream__": callable(getattr(stream_class, "__stream__", None)),
    }
    return [name for name, is_there in parts.items() if not is_there]


def http_client_of(client: Any) -> Any:
    """Return the HTTP client of a client; None where it has none."""
    return getattr(client, "_client", None)


def connection_of(client: Any) -> tuple[Any, Any]:
    """Return the HTTP client of a client, and the URL that the paths of its requests are relative to.

    The property ``base_url`` of openai's imports a module each time.
    """
    return client._client, getattr(client, "_base_url", None) or client.base_url  # noqa: SLF001  # see above


def unwrapped(result: Any) -> Any:
    """Return the SDK's own object of a result; a tracer may have put a proxy of wrapt around it."""
    cls: Any = type(result)
    return unwrapped(result.__wrapped__) if kind_of_result(cls) == "proxy" else result


@lru_cache(maxsize=256)  # an application may make classes of answers as it goes
def kind_of_result(cls: Any) -> Literal["stream", "raw_response", "http_response", "proxy", "answer"]:
    """Return what a request has for a result that is of a class: looking for it on each takes microseconds."""
    if hasattr(cls, "__wrapped__"):
        return "proxy"
    if hasattr(cls, "__stream__"):
        return "stream"
    if hasattr(cls, "parse") and hasattr(cls, "http_request"):
        return "raw_response"
    return "http_response" if hasattr(cls, "iter_raw") else "answer"


def detach_chunks(stream: Any) -> Any:
    """Return an iterator of the chunks of a stream that was not read yet, which does not refer to the stream.

    A generator of the stream's own would: a cycle, which leaves it to the garbage collector to see that it was dropped.
    So its method is called on a copy; one that makes its chunks in another way keeps them.
    """
    chunks, make = chunks_of(stream), type(stream).__stream__
    code = getattr(chunks, "gi_code", None) or getattr(chunks, "ag_code", None)
    if code is not getattr(make, "__code__", chunks):
        return chunks
    twin = copy(stream)
    vars(twin).pop("_iterator", None)
    return make(twin)


def chunks_of(stream: Any) -> Any:
    """Return the iterator that a stream takes its chunks from."""
    return stream._iterator  # noqa: SLF001  # see the module's docstring


def replace_chunks(stream: Any, chunks: Any) -> None:
    """Have a stream take its chunks from another iterator."""
    stream._iterator = chunks  # noqa: SLF001  # the same
