"""Events reach a webhook signed and in their order, whatever its receiver does; nothing of the address is told."""

from __future__ import annotations

import base64
import json
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from time import monotonic, time

import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_http_event

from app.listeners.webhook import Webhook, listen
from app.listeners.webhook_sender import Persistence, parse_retry_after
from app.webhook_secrets import parse_webhook_secrets
from events import AgentFinished, ListenerDelivered, WorkflowFinished, listener_delivered, workflow_finished
from tests.support.ports import free_port
from tests.support.wait import until, wait_until
from tests.support.webhook_server import Answer, WebhookServer, verify

SECRET = "whsec_" + base64.b64encode(b"a secret of 32 bytes, like this.").decode()
OLD_SECRET = "whsec_" + base64.b64encode(b"the secret that was there before").decode()
QUICK = Persistence(attempts=4, first_wait=0.01, longest_wait=0.02, attempt_seconds=30.0)


def finished(run_id: str) -> WorkflowFinished:
    return WorkflowFinished(run_id=run_id, workflow_type="campaign", status="completed", duration=1.5)


@contextmanager
def counted() -> Iterator[Counter[str]]:
    """Count what becomes of the events."""
    counts: Counter[str] = Counter()

    def count(event: ListenerDelivered) -> None:
        assert event.listener == "webhook"
        counts[event.outcome] += event.count

    with listener_delivered.connected_to(count):
        yield counts


@contextmanager
def webhook(url: str, persistence: Persistence = QUICK, size: int = 1000) -> Iterator[Webhook]:
    listener = Webhook(url, parse_webhook_secrets(SECRET), persistence, size)
    try:
        yield listener
    finally:
        listener.close()


def run_ids(server: WebhookServer) -> list[str]:
    return [json.loads(delivery.body)["subject"] for delivery in server.deliveries]


async def test_an_event_arrives_as_a_signed_cloud_event() -> None:
    before = time()
    with WebhookServer() as server, counted() as counts:
        async with listen(server.url, SECRET, [workflow_finished], QUICK):
            workflow_finished.emit(
                run_id="r1", workflow_type="campaign", status="failed", duration=1.5, error="openai.APIError"
            )
            await until(lambda: counts["delivered"])
    [delivery] = server.deliveries
    assert delivery.path == "/hooks"
    assert verify(SECRET, delivery)
    assert not verify(OLD_SECRET, delivery)
    event = from_http_event(HTTPMessage(delivery.headers, delivery.body))
    assert event.get_type() == "sparklio.workflow_finished"
    assert event.get_subject() == "r1"
    assert event.get_id() == delivery.headers["webhook-id"]
    assert event.get_source().endswith("/sparklio")
    moment = event.get_time()
    assert moment is not None
    assert before - 1 <= moment.timestamp() <= time()
    data = event.get_data()
    assert isinstance(data, dict)
    assert data["signal"] == "workflow_finished"
    assert data["fields"]["error"] == "openai.APIError"
    assert delivery.headers["content-type"] == "application/cloudevents+json"
    assert counts == {"delivered": 1}


def test_while_a_secret_is_replaced_both_sign() -> None:
    with WebhookServer() as server, counted() as counts:
        listener = Webhook(server.url, parse_webhook_secrets(f"{SECRET} {OLD_SECRET}"), QUICK)
        listener(finished("r1"))
        wait_until(lambda: counts["delivered"])
        listener.close()
    [delivery] = server.deliveries
    assert verify(SECRET, delivery)
    assert verify(OLD_SECRET, delivery)


def test_an_event_of_no_run_has_no_subject() -> None:
    with WebhookServer() as server, webhook(server.url) as listener:
        listener(AgentFinished(agent_name="writer", status="success", duration=1))
        wait_until(lambda: server.deliveries)
    assert "subject" not in json.loads(server.deliveries[0].body)


@pytest.mark.parametrize(
    "trouble",
    [Answer(500), Answer(503), Answer(408), Answer(429), Answer(closes=True)],
    ids=["500", "503", "408", "429", "closed"],
)
def test_what_passes_is_tried_again_and_the_order_stays(trouble: Answer) -> None:
    with WebhookServer(trouble, trouble, Answer()) as server, counted() as counts:
        with webhook(server.url) as listener:
            for number in range(5):
                listener(finished(f"r{number}"))
            wait_until(lambda: counts["delivered"] == 5)
        assert run_ids(server) == ["r0", "r0", "r0", "r1", "r2", "r3", "r4"]
        assert counts == {"delivered": 5, "retried": 2}
        first, second, third, *_ = server.deliveries
        assert first.headers["webhook-id"] == second.headers["webhook-id"] == third.headers["webhook-id"]
        assert first.body == third.body
        assert all(verify(SECRET, delivery) for delivery in server.deliveries)


def test_a_message_is_delivered_once_the_status_says_so_though_the_body_never_comes() -> None:
    with WebhookServer(Answer(200, body=b"late", stalls=True), Answer()) as server, counted() as counts:
        with webhook(server.url) as listener:
            listener(finished("r0"))
            listener(finished("r1"))
            wait_until(lambda: counts["delivered"] == 2)
        assert run_ids(server) == ["r0", "r1"]
        assert counts == {"delivered": 2}


def test_a_receiver_that_hangs_is_given_up_and_tried_again() -> None:
    persistence = Persistence(attempts=50, first_wait=0.01, longest_wait=0.01, attempt_seconds=0.5)
    with (
        WebhookServer(Answer(hangs=True), Answer()) as server,
        counted() as counts,
        webhook(server.url, persistence) as listener,
    ):
        listener(finished("r1"))
        wait_until(lambda: counts["delivered"])
    assert counts["delivered"] == 1
    assert counts["retried"] == len(run_ids(server)) - 1 >= 1


@pytest.mark.slow
@pytest.mark.parametrize("form", ["seconds", "date"])
def test_the_receiver_says_when_to_come_again(form: str) -> None:
    after = "2" if form == "seconds" else formatdate(time() + 4, usegmt=True)
    with WebhookServer(Answer(429, {"Retry-After": after}), Answer()) as server, webhook(server.url) as listener:
        listener(finished("r1"))
        wait_until(lambda: len(server.deliveries) == 2)
    first, second = server.deliveries
    assert second.at - first.at > 1


def test_how_long_a_receiver_can_have_events_wait_is_bounded() -> None:
    persistence = Persistence(attempts=2, first_wait=0.01, longest_wait=0.01, longest_retry_after=0.05)
    with (
        WebhookServer(Answer(503, {"Retry-After": "86400"}), Answer()) as server,
        webhook(server.url, persistence) as listener,
    ):
        listener(finished("r1"))
        wait_until(lambda: len(server.deliveries) == 2)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [(None, 0.0), ("", 0.0), ("7", 7.0), ("-7", 0.0), ("soon", 0.0), ("9" * 400, 999_999_999.0), ("²", 0.0)],
)
def test_an_odd_retry_after_asks_for_nothing(text: str | None, seconds: float) -> None:
    assert parse_retry_after(text) == seconds


def test_a_retry_after_that_is_over_asks_for_nothing() -> None:
    assert parse_retry_after(formatdate(time() - 60, usegmt=True)) == 0.0


def test_after_all_attempts_an_event_is_a_dead_letter_and_the_next_one_is_tried() -> None:
    with (
        WebhookServer(*[Answer(500)] * 4, Answer()) as server,
        counted() as counts,
        webhook(server.url) as listener,
    ):
        listener(finished("r1"))
        listener(finished("r2"))
        wait_until(lambda: counts["delivered"])
    assert run_ids(server) == ["r1"] * 4 + ["r2"]
    assert counts == {"dead_letter": 1, "retried": 3, "delivered": 1}


@pytest.mark.parametrize("status", [301, 302, 307, 400, 401, 403, 404, 413])
def test_what_does_not_pass_is_not_tried_again_and_no_redirect_is_followed(status: int) -> None:
    with (
        WebhookServer() as elsewhere,
        WebhookServer(Answer(status, {"Location": elsewhere.url})) as server,
        counted() as counts,
        webhook(server.url) as listener,
    ):
        listener(finished("r1"))
        wait_until(lambda: counts["dead_letter"])
    assert len(server.deliveries) == 1
    assert not elsewhere.deliveries
    assert counts == {"dead_letter": 1}


def test_a_receiver_that_is_gone_is_left_alone(caplog: pytest.LogCaptureFixture) -> None:
    with WebhookServer(Answer(410), Answer()) as server, counted() as counts, webhook(server.url) as listener:
        for number in range(3):
            listener(finished(f"r{number}"))
        wait_until(lambda: counts.total() == 3)
    assert run_ids(server) == ["r0"]
    assert counts == {"dead_letter": 1, "dropped": 2}
    assert "is gone (410): no more events are sent until the next start" in caplog.text


def test_nobody_listens_there_and_nothing_of_the_address_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    url = f"http://hook:s3cret-password@127.0.0.1:{free_port()}/s3cret-path?token=s3cret-query"
    with counted() as counts, webhook(url) as listener:
        for number in range(3):
            listener(finished(f"r{number}"))
        wait_until(lambda: counts["dead_letter"] == 3)
    assert "s3cret" not in caplog.text
    lines = [record.getMessage() for record in caplog.records if record.name == "app"]
    assert lines == ["the webhook at 127.0.0.1 did not take 1 events, the last since ConnectError"]


def test_a_password_in_the_address_is_sent_and_never_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    with (
        WebhookServer() as server,
        counted() as counts,
        webhook(f"http://hook:s3cret@127.0.0.1:{server.port}/s3cret?key=s3cret") as listener,
    ):
        listener(finished("r1"))
        wait_until(lambda: counts["delivered"])
    [delivery] = server.deliveries
    assert delivery.headers["authorization"] == "Basic " + base64.b64encode(b"hook:s3cret").decode()
    assert delivery.path == "/s3cret?key=s3cret"
    assert "s3cret" not in caplog.text


def test_a_receiver_that_is_too_slow_has_events_dropped_and_nobody_waits(caplog: pytest.LogCaptureFixture) -> None:
    with WebhookServer(Answer(hangs=True)) as server, counted() as counts:
        listener = Webhook(server.url, parse_webhook_secrets(SECRET), QUICK, size=10)
        listener(finished("first"))
        wait_until(lambda: server.deliveries)
        for number in range(100):
            listener(finished(f"r{number}"))
        assert counts == {"dropped": 90}
        began = monotonic()
        listener.close(within=0.2)
        assert monotonic() - began < 30
        assert counts.total() == 101
        assert counts["delivered"] == 0
    assert "listener webhook is full" in caplog.text


def test_a_stop_sends_what_waits_each_once() -> None:
    """The first one once more, if its attempt is over by then; nobody waits for a minute."""
    slow = Persistence(attempts=8, first_wait=60.0, longest_wait=60.0)
    with WebhookServer(Answer(500), Answer()) as server, counted() as counts:
        listener = Webhook(server.url, parse_webhook_secrets(SECRET), slow)
        for number in range(4):
            listener(finished(f"r{number}"))
        wait_until(lambda: server.deliveries)
        listener.close(within=30.0)
    assert run_ids(server) in (["r0", "r0", "r1", "r2", "r3"], ["r0", "r1", "r2", "r3"])
    assert counts == ({"retried": 1, "delivered": 4} if counts["retried"] else {"dead_letter": 1, "delivered": 3})


def test_after_a_stop_events_are_dropped_and_counted() -> None:
    with WebhookServer() as server, counted() as counts:
        with webhook(server.url) as listener:
            pass
        listener(finished("late"))
    assert counts == {"dropped": 1}
    assert not server.deliveries


def test_a_connection_is_used_again() -> None:
    with (
        WebhookServer(Answer(200, body=b"thanks " * 1000)) as server,
        counted() as counts,
        webhook(server.url) as listener,
    ):
        for number in range(3):
            listener(finished(f"r{number}"))
        wait_until(lambda: counts["delivered"] == 3)
    assert len({delivery.client for delivery in server.deliveries}) == 1


def test_an_answer_without_end_is_read_in_part() -> None:
    with (
        WebhookServer(Answer(200, body=b"thanks " * 100_000)) as server,
        counted() as counts,
        webhook(server.url) as listener,
    ):
        listener(finished("r1"))
        wait_until(lambda: counts["delivered"])
