"""``python -m app reconcile``: hold the audit trail against the counters of a running studio and the rows of runs."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime

from sqlalchemy.exc import SQLAlchemyError

from app.database import Database
from app.database_urls import describe_database
from app.monitoring.counters import Counters, CountersUnreadable, parse_header, read_counters
from app.settings import Settings
from app.settings_loading import InvalidSettings, load_settings

from .compared_families import FAMILIES
from .reconciliation import CannotReconcile, Line, Report, reconcile

DESCRIPTION = """\
Compare what the audit trail adds up to with the counters of a running studio, from the start of its first process on,
and with the rows of the runs that ended, from the begin of the trail on. The database is that of the settings.
"""
EPILOG = "Exit codes: 0 all agree, 1 something differs, which the output names, 2 they cannot be compared."


def run(arguments: list[str]) -> int:
    """Run the command and return its exit code."""
    options = build_parser().parse_args(arguments)
    try:
        settings = load_settings()
        servers = [] if options.rows_only else read_servers(options.url, dict(options.header), settings)
        report = asyncio.run(_reconcile(settings, servers, options))
    except (CannotReconcile, CountersUnreadable, InvalidSettings) as error:
        print(f"python -m app reconcile: {error}", file=sys.stderr)
        return 2
    print(format_json(report) if options.format == "json" else format_text(report, servers))
    return 0 if report.agrees else 1


def build_parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    parser = argparse.ArgumentParser(prog="python -m app reconcile", description=DESCRIPTION, epilog=EPILOG)
    parser.add_argument(
        "url",
        nargs="*",
        help="where the counters are: the /metrics of every server that writes to the database, as in"
        " http://127.0.0.1:8000/metrics (default: that of the settings)",
    )
    parser.add_argument("--rows-only", action="store_true", help="compare with the rows of runs alone")
    parser.add_argument(
        "--since",
        type=parse_time,
        metavar="TIME",
        help="compare runs with their rows that were queued after it, as in 2030-01-31T12:00, UTC unless it says"
        " otherwise (default: the begin of the trail)",
    )
    parser.add_argument(
        "--wait",
        type=float,
        default=10.0,
        metavar="SECONDS",
        help="how long to wait for events that are on their way to the trail (default: 10)",
    )
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        type=parse_header,
        metavar="'NAME: VALUE'",
        help="sent along, as in 'Authorization: Bearer ...' (again for more; default: as SPARKLIO_METRICS_TOKEN or"
        " SPARKLIO_METRICS_PASSWORD say)",
    )
    parser.add_argument("--format", choices=("text", "json"), default="text", help="how to print it (default: text)")
    return parser


def parse_time(text: str) -> datetime:
    """Return a time; one without a zone is in UTC."""
    try:
        time = datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError("give it as in 2030-01-31T12:00") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_servers(urls: Sequence[str], headers: dict[str, str], settings: Settings) -> list[Counters]:
    """Return the counters of all servers.

    Raises:
        CannotReconcile: No server is named, and the settings do not say where it is.
        CountersUnreadable: One cannot be read.
    """
    if not headers and settings.metrics_token:
        headers = {"Authorization": f"Bearer {settings.metrics_token}"}
    elif not headers and settings.metrics_password:
        headers = {"Authorization": f"Basic {b64encode(f'any:{settings.metrics_password}'.encode()).decode()}"}
    return [read_counters(url, headers, FAMILIES) for url in urls or [own_address(settings)]]


def own_address(settings: Settings) -> str:
    """Return where a studio with these settings has its metrics.

    Raises:
        CannotReconcile: It takes a free port.
    """
    port = settings.port if settings.metrics_port is None else settings.metrics_port
    if port == 0:
        raise CannotReconcile("the settings take a free port: give the address of the metrics, or --rows-only")
    host = next(iter(settings.own_addresses), "127.0.0.1")
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/metrics"


async def _reconcile(settings: Settings, servers: Sequence[Counters], options: argparse.Namespace) -> Report:
    where = describe_database(settings.async_database_url)
    if settings.sqlite_file is not None and not settings.sqlite_file.exists():
        raise CannotReconcile(f"there is no {where}: say where the studio's is by SPARKLIO_DATABASE_URL")
    database = Database(settings)
    try:
        return await reconcile(
            database, servers, since=options.since, retention_days=settings.retention_days, wait=options.wait
        )
    except (SQLAlchemyError, OSError) as error:
        cause = getattr(error, "orig", None) or error
        missing = "audit_events" in str(cause)
        reason = "it has no audit trail; a studio of this version creates it" if missing else type(cause).__name__
        raise CannotReconcile(f"the audit trail cannot be read ({where}): {reason}") from None
    finally:
        await database.close()


def format_text(report: Report, servers: Sequence[Counters]) -> str:
    """Return a report as lines: what agrees in one line each, what differs with each sum."""
    lines = [
        f"counters of {server.address} since {datetime.fromtimestamp(server.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC"
        for server in servers
    ]
    for title, against in dict.fromkeys((line.title, line.against) for line in report.lines):
        of_kind = [line for line in report.lines if (line.title, line.against) == (title, against)]
        trail = sum(line.trail for line in of_kind)
        verdict = "differs" if any(line.difference for line in of_kind) else "agrees"
        lines.append(f"{verdict:<7}  {title}: {_number(trail)} in the trail; {against}")
        lines += [f"  - {_describe(line)}" for line in of_kind if line.difference]
    lines += [f"- {fault}" for fault in report.faults]
    lines += [f"note: {note}" for note in report.notes]
    compared = "counters and rows" if servers else "rows"
    lines.append(f"ok: trail, {compared} agree" if report.agrees else f"FAILED: trail, {compared} differ")
    return "\n".join(lines)


def _describe(line: Line) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in line.labels.items())
    where = "in the rows" if line.against == "rows" else "counted"
    lack = "the trail lacks" if line.difference > 0 else "the trail has too many:"
    return (
        f"{{{labels}}}: {_number(line.trail)} in the trail, {_number(line.other)} {where};"
        f" {lack} {_number(abs(line.difference))}"
    )


def _number(value: float) -> str:
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:.9g}"


def format_json(report: Report) -> str:
    """Return a report as JSON."""
    return json.dumps(
        {
            "agrees": report.agrees,
            "sums": [asdict(line) for line in report.lines],
            "faults": report.faults,
            "notes": report.notes,
        },
        indent=2,
    )
