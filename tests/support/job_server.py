"""Loopback servers of jobs that a provider works on by itself: batches, and responses in the background.

Bodies are in the documented formats: https://platform.openai.com/docs/api-reference/batch (object, request input and
output), https://platform.openai.com/docs/guides/background, and
https://platform.claude.com/docs/en/api/messages/batches/retrieve (object) and /results.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from tests.support.openai_server import Reply, Usage, response, says
from tests.support.provider_servers import AnthropicServer
from tests.support.responses_server import ResponsesServer

POLLS = 2
"""How often a job is asked for before it has ended."""

Answers = dict[str, Reply | str]
"""By prompt: an answer, an error's body in one of ``status`` from 400, or how a request ended that was not run."""


class Jobs:
    """The base of these servers: any method and path goes to `route`."""

    def __init__(self, answers: Answers | None = None) -> None:
        super().__init__()
        self.answers = answers or {}
        self.paths: list[str] = []
        self.lines: list[dict[str, Any]] = []
        self.polls = 0
        self.query = ""
        self.refuses: Reply | None = None
        """What the creation of a batch is answered with, where it is refused."""

    async def _serve_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            method, target, _ = head[0].split(" ")
            path, _, self.query = target.removeprefix("/v1").partition("?")
            self.paths.append(f"{method} {path}")
            refused = self.refuses if method == "POST" and path.endswith("batches") else None
            if refused is not None:
                writer.write(response(refused.status, refused.body))
            else:
                content_type, answer = self.route(method, path, body)
                writer.write(response(200, answer.encode(), {"Content-Type": content_type}))
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client disconnected
        finally:
            writer.close()

    def route(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        raise NotImplementedError

    def has_ended(self) -> bool:
        self.polls += 1
        return self.polls > POLLS

    def answer(self, text: str) -> Reply | str:
        return next((answer for prompt, answer in self.answers.items() if prompt in text), says(usage=Usage(1000, 200)))


class OpenAIBatchServer(Jobs, ResponsesServer):
    """OpenAI's Batch: a file of requests, a batch of it, and the files of what came out."""

    def route(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        if (method, path) == ("POST", "/files"):
            self.lines = [json.loads(line) for line in body.splitlines() if line.startswith(b'{"custom_id"')]
            return "application/json", json.dumps({"id": "file-in", "object": "file", "purpose": "batch", "bytes": 1})
        if path == "/files/file-out/content":
            return "application/octet-stream", "\n".join(map(json.dumps, self._outputs()))
        if path.startswith("/files/"):
            return "application/json", json.dumps({"id": "file-in", "object": "file", "deleted": True})
        ended = method == "GET" and self.has_ended()
        status = "completed" if ended else "in_progress"
        batch = {
            "id": "batch_1", "object": "batch", "endpoint": "/v1/responses", "errors": None, "status": status,
            "input_file_id": "file-in", "completion_window": "24h", "created_at": 1_700_000_000,
            "output_file_id": "file-out" if ended else None, "error_file_id": None,
            "request_counts": {"total": len(self.lines), "completed": 0, "failed": 0},
        }  # fmt: skip
        return "application/json", json.dumps(batch)

    def _outputs(self) -> list[dict[str, Any]]:
        lines = []
        for number, line in enumerate(self.lines):
            reply = self.answer(json.dumps(line["body"]["input"]))
            common = {"id": f"batch_req_{number}", "custom_id": line["custom_id"]}
            if isinstance(reply, str):
                error = {"code": reply, "message": "This request was not executed."}
                lines.append({**common, "response": None, "error": error})
                continue
            if reply.status < 400:
                body = self.response_body(Reply(**{**vars(reply), "model": line["body"]["model"]}), number)
            else:
                body = json.loads(reply.body or b"{}")
            answered = {"status_code": reply.status, "request_id": f"req_{number}", "body": body}
            lines.append({**common, "response": answered, "error": None})
        return lines


class AnthropicBatchServer(Jobs, AnthropicServer):
    """Anthropic's Message Batches: the results are lines of JSON, in any order."""

    def route(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        if (method, path) == ("POST", "/messages/batches"):
            self.lines = json.loads(body)["requests"]
        elif path.endswith("/results"):
            return "application/x-jsonl", "\n".join(map(json.dumps, reversed(self._outputs())))
        ended = method == "GET" and self.has_ended()
        counts = {"processing": len(self.lines), "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
        batch = {
            "id": "msgbatch_1", "type": "message_batch", "processing_status": "ended" if ended else "in_progress",
            "request_counts": counts, "created_at": "2026-11-28T12:00:00Z", "expires_at": "2026-11-29T12:00:00Z",
            "ended_at": None, "cancel_initiated_at": None, "archived_at": None,
            "results_url": f"{self.base_url}/messages/batches/msgbatch_1/results",
        }  # fmt: skip
        return "application/json", json.dumps(batch)

    def _outputs(self) -> list[dict[str, Any]]:
        lines = []
        for number, line in enumerate(self.lines):
            reply = self.answer(json.dumps(line["params"]["messages"]))
            result: dict[str, Any]
            if isinstance(reply, str):
                result = {"type": reply}
            elif reply.status < 400:
                whole = Reply(**{**vars(reply), "model": line["params"]["model"]})
                message = self.response_body(whole, number)
                message["usage"]["service_tier"] = "batch"
                result = {"type": "succeeded", "message": message}
            else:
                result = {"type": "errored", "error": json.loads(reply.body or b"{}")}
            lines.append({"custom_id": line["custom_id"], "result": result})
        return lines


class BackgroundServer(Jobs, ResponsesServer):
    """OpenAI's background mode: a response that is queued, polled for by its id, and complete in the end.

    A stream of it ends after three events, as a connection that is lost, and has the rest when it is resumed.
    """

    final_status = "completed"

    def route(self, method: str, path: str, body: bytes) -> tuple[str, str]:
        reply = Reply(text="An answer.", usage=Usage(1000, 200), model="gpt-4o-mini")
        whole = {**self.response_body(reply, 1), "background": True}
        if "stream=true" in self.query or b'"stream":true' in body.replace(b" ", b""):
            events = [each.replace('"object": "response"', '"object": "response", "background": true')
                      for each in self.stream_events(reply, 1, usage=True)]  # fmt: skip
            return "text/event-stream", "".join(events[:3] if method == "POST" else events[3:])
        pending = {**whole, "status": "queued", "output": [], "usage": None}
        if path.endswith("/cancel"):
            return "application/json", json.dumps({**pending, "status": "cancelled"})
        if method == "POST" or not self.has_ended():
            return "application/json", json.dumps(pending)
        if self.final_status == "failed":
            error = {"code": "server_error", "message": "It failed."}
            return "application/json", json.dumps({**pending, "status": "failed", "error": error})
        return "application/json", json.dumps(whole)
