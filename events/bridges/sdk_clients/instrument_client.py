"""Have a client of an SDK emit the events of its calls."""

from __future__ import annotations

from inspect import iscoroutinefunction
from types import TracebackType
from typing import Any, Generic, Self, TypeVar
from weakref import ref

from ...bus.failures import report_failure
from ...llm import llm_called
from ..model_calls.claims import claim_call
from ..model_calls.cost import UsagePriceFunction, check_price
from ..model_calls.model_call import ModelCall, is_idle
from .answer import Protocol
from .http_sends import observe_sends
from .observed_classes import derive_class, set_class
from .sdk_parts import check_client, connection_of, http_client_of
from .sdk_request import SDKRequest, requested_model

Client = TypeVar("Client")

_SETTINGS = "_events_settings"


class Settings:
    """How the calls of a client, and of its copies, are told; without the client, which refers to it by its class."""

    __slots__ = ("_known", "handle", "is_active", "price", "protocol", "provider")

    def __init__(self, protocol: Protocol, price: UsagePriceFunction | None, provider: str | None) -> None:
        self.protocol = protocol
        self.price = price
        self.provider = provider
        self.is_active = True
        self.handle: ref[InstrumentedClient[Any]] | None = None
        # The class of the HTTP client that was seen last, the URL, and who is asked there.
        self._known: tuple[Any, Any, str] = (None, None, "")

    def provider_of(self, client: Any) -> str:
        """Return who a client asks, whose HTTP client reports what it sends from now on.

        A copy may have other ones, and the client itself later on.
        """
        http_client, base_url = connection_of(client)
        known_class, known_url, provider = self._known
        if base_url is not known_url or type(http_client) is not known_class:
            observe_sends(http_client)
            provider = self.provider or self.protocol.provider_of_client(client)
            self._known = type(http_client), base_url, provider
        return provider

    def start(self, client: Any, args: tuple[Any, ...], named: dict[str, Any]) -> SDKRequest | None:
        """Return the request that a client's method ``request`` is called for; None where it emits nothing.

        That is one to no model, and one that another bridge tells. A failure to read it is reported and not raised: it
        is sent without events.
        """
        try:
            options = args[1] if len(args) > 1 else named["options"]
            kind = self.protocol.kind_of_call(str(options.url)) if str(options.method).lower() == "post" else None
            if kind is None:
                return None
            model, provider = requested_model(options), self.provider_of(client)
            claim = claim_call(is_exact=True, model=model)
            if claim is None:
                return None
            call = ModelCall(
                self.protocol.bridge,
                claim,
                model=model,
                provider=provider,
                operation=kind.operation,
                streamed=bool(named.get("stream")),
                price=self.price,
            )
            return SDKRequest(call, kind.make_answer())
        except Exception as failure:
            report_failure(llm_called.name, self.protocol.bridge, failure)
            return None


class InstrumentedClient(Generic[Client]):
    """A client that emits events, until `undo`; as a context manager, until the end of the block.

    Attributes:
        client: The client, which is used as before. Copies by ``with_options`` emit events as it does.
    """

    def __init__(self, client: Client, settings: Settings) -> None:
        self.client = client
        self._settings = settings
        settings.handle = ref(self)

    def undo(self) -> None:
        """Emit nothing more, neither for the client nor for copies of it; calling it again does nothing."""
        self._settings.is_active = False
        if vars(cls := type(self.client)).get(_SETTINGS) is self._settings:
            self.client.__class__ = cls.__bases__[0]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.undo()


def instrument_client(
    client: Client, protocol: Protocol, price: UsagePriceFunction | None, provider: str | None
) -> InstrumentedClient[Client]:
    """Have a client emit the events of its calls; one that does already, or is a copy of one, keeps its handle.

    Raises:
        TypeError: It is no client of the protocol's SDK, or of a release whose clients are made otherwise.
        ValueError: It is so with other settings.
    """
    check_price(price)
    check_client(client, protocol.sdk)
    cls: Any = type(client)
    known: Settings | None = getattr(cls, _SETTINGS, None)
    if known is not None and known.is_active:
        if (known.price, known.provider) != (price, provider):
            raise ValueError(
                f"this {cls.__name__} is instrumented already, with another price or provider: undo() its handle first"
            )
        return (known.handle and known.handle()) or InstrumentedClient(client, known)
    if _SETTINGS in vars(cls):  # a copy of a client that is instrumented no more
        cls = cls.__bases__[0]
    settings = Settings(protocol, price, provider)
    observe_sends(http_client_of(client))
    set_class(client, derive_class(cls, request=_observed_request(cls), **{_SETTINGS: settings}))
    return InstrumentedClient(client, settings)


def is_instrumented(client: object) -> bool:
    """Return whether a client, or the one that it is a copy of, emits the events of its calls already."""
    known: Settings | None = getattr(type(client), _SETTINGS, None)
    return known is not None and known.is_active


def _observed_request(cls: Any) -> Any:
    """Return the method ``request`` of clients that emit events; copies of a client are of its class."""

    def request(self: Any, *args: Any, **named: Any) -> Any:
        settings: Settings = getattr(self, _SETTINGS)
        if not settings.is_active or is_idle() or (sdk_request := settings.start(self, args, named)) is None:
            return cls.request(self, *args, **named)
        token = sdk_request.begin()
        try:
            result = cls.request(self, *args, **named)
        except BaseException as error:
            sdk_request.fail(error)
            raise
        finally:
            sdk_request.leave(token)
        return sdk_request.take(result)

    async def async_request(self: Any, *args: Any, **named: Any) -> Any:
        settings: Settings = getattr(self, _SETTINGS)
        if not settings.is_active or is_idle() or (sdk_request := settings.start(self, args, named)) is None:
            return await cls.request(self, *args, **named)
        token = sdk_request.begin()
        try:
            result = await cls.request(self, *args, **named)
        except BaseException as error:
            sdk_request.fail(error)
            raise
        finally:
            sdk_request.leave(token)
        return sdk_request.take(result)

    return async_request if iscoroutinefunction(cls.request) else request
