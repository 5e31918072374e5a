"""Settings come from the environment, a .env file and the command line; errors name what is invalid."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.settings import Settings
from app.settings_loading import (
    InvalidSettings,
    export_native_histograms,
    load_settings,
    native_histograms_from_environment,
    unknown_settings,
)


def test_no_setting_is_required() -> None:
    """The defaults need no key, no server and no network."""
    settings = load_settings()
    assert (settings.host, settings.port, settings.llm) == ("127.0.0.1", 8000, "embedded")
    assert str(settings.async_database_url) == "sqlite+aiosqlite:///data/studio.db"


def test_command_line_wins_over_environment_wins_over_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("SPARKLIO_PORT=1\nSPARKLIO_HOST=from-file\nSPARKLIO_CONCURRENCY=4\nOPENAI_API_KEY=key\n")
    monkeypatch.setenv("SPARKLIO_PORT", "2")
    monkeypatch.setenv("SPARKLIO_HOST", "from-environment")
    settings = load_settings(["--port", "3"])
    assert (settings.port, settings.host, settings.concurrency) == (3, "from-environment", 4)


def test_without_settings_the_feed_is_live_and_no_other_listener_is_on() -> None:
    settings = load_settings()
    assert (settings.live, settings.live_clients, settings.live_buffer) == (True, 200, 2000)
    assert (settings.audit_days, settings.event_log, settings.webhook_url) == (0, None, None)


def test_a_webhook_needs_a_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKLIO_WEBHOOK_URL", "https://user:geheim@hooks.example.com/path")
    with pytest.raises(InvalidSettings, match=r"^SPARKLIO_WEBHOOK_SECRET .*: it is unset or empty; make one") as caught:
        load_settings()
    assert "geheim" not in str(caught.value)
    monkeypatch.setenv("SPARKLIO_WEBHOOK_SECRET", "whsec_a2V5a2V5a2V5a2V5a2V5a2V5a2V5a2V5")
    settings = load_settings()
    assert "geheim" not in repr(settings)
    assert "whsec" not in repr(settings)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKLIO_LLM_BASE_URL", "")
    monkeypatch.setenv("SPARKLIO_PORT", "")
    assert (load_settings().llm_base_url, load_settings().port) == (None, 8000)


@pytest.mark.parametrize(
    ("written", "async_url", "dbos_url"),
    [
        ("sqlite:///studio.db", "sqlite+aiosqlite:///studio.db", "sqlite:///studio.workflows.db"),
        (
            "sqlite+aiosqlite:////srv/a.b.sqlite",
            "sqlite+aiosqlite:////srv/a.b.sqlite",
            "sqlite:////srv/a.b.workflows.db",
        ),
        ("postgres://u:p@h/d", "postgresql+psycopg://u:p@h/d", "postgresql://u:p@h/d"),
        ("postgresql://u:p%40@h:5433/d", "postgresql+psycopg://u:p%40@h:5433/d", "postgresql://u:p%40@h:5433/d"),
        ("postgresql+psycopg://h/d?a=b", "postgresql+psycopg://h/d?a=b", "postgresql://h/d?a=b"),
        ("postgresql+psycopg2:///d?host=/run", "postgresql+psycopg:///d?host=%2Frun", "postgresql:///d?host=%2Frun"),
    ],
)
def test_the_usual_forms_of_database_urls_are_accepted(written: str, async_url: str, dbos_url: str) -> None:
    """The async driver and DBOS's database are chosen by the program."""
    settings = Settings(database_url=written)
    assert settings.async_database_url.render_as_string(hide_password=False) == async_url
    assert settings.dbos_database_url == dbos_url


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("PORT", "99999", "SPARKLIO_PORT (--port) = '99999': input should be less than or equal to 65535"),
        ("PORT", "eighty", "SPARKLIO_PORT (--port) = 'eighty': input should be a valid integer"),
        ("LLM_TIMEOUT", "nan", "SPARKLIO_LLM_TIMEOUT (--llm-timeout) = 'nan': input should be a finite number"),
        ("RUN_TIME_LIMIT", "0", "SPARKLIO_RUN_TIME_LIMIT (--run-time-limit) = '0': input should be greater than 0"),
        ("LOG_LEVEL", "loud", "SPARKLIO_LOG_LEVEL (--log-level) = 'loud': input should be 'debug', 'info'"),
        ("LLM", "  ", "SPARKLIO_LLM (--llm) = '  ': string should have at least 1 character"),
        ("LLM_BASE_URL", "localhost:11434", "give an address such as http://localhost:11434/v1"),
        ("AUDIT_DAYS", "-1", "SPARKLIO_AUDIT_DAYS (--audit-days) = '-1': input should be greater than or equal to 0"),
        ("LIVE", "perhaps", "SPARKLIO_LIVE (--live) = 'perhaps': input should be a valid boolean"),
        (
            "LIVE_CLIENTS",
            "0",
            "SPARKLIO_LIVE_CLIENTS (--live-clients) = '0': input should be greater than or equal to 1",
        ),
        ("LIVE_BUFFER", "0", "SPARKLIO_LIVE_BUFFER (--live-buffer) = '0': input should be greater than or equal to 1"),
        ("EVENT_LOG", "/", "SPARKLIO_EVENT_LOG (--event-log) = '/': it is a folder; give a file"),
        ("EVENT_LOG", "none/events.jsonl", "its folder is not there; make it, or give another file"),
        ("WEBHOOK_URL", "hooks.example.com", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_URL", "ftp://u:geheim@h/d", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_URL", "https://u:geheim@[", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_URL", "https://u:geheim@☃.org/", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_URL", "https://u:geheim@xn--zz.org/", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_URL", "https://u:geheim@h/\x01", "give an address such as https://hooks.example.com/sparklio"),
        ("WEBHOOK_SECRET", "geheim", "(not shown: it may hold a password): a secret begins with whsec_; make one by"),
        ("WEBHOOK_SIGNALS", "workflow_finish", "no signal is named 'workflow_finish'; did you mean workflow_finished"),
        ("WEBHOOK_SIGNALS", "listener_delivered", "and so of itself without end"),
        ("WEBHOOK_SIGNALS", ",", "there is no signal in it; docs/events.md lists them"),
        ("WEBHOOK_SECRET", " ", "SPARKLIO_WEBHOOK_SECRET (--webhook-secret) = (not shown: it may hold a password)"),
        ("DATABASE_URL", "mysql://h/d", "mysql is not supported; give sqlite:///path/to/file.db or postgresql://"),
        ("DATABASE_URL", "nonsense", "not a database URL; give sqlite:///path/to/file.db or postgresql://"),
        ("DATABASE_URL", "postgresql://h:port/d", "not a database URL; give"),
        ("DATABASE_URL", "postgresql://h", "the name of the database is missing; give postgresql://"),
        ("DATABASE_URL", "postgresql://u:gehe@im@h/d", "write %40 for each in the password"),
        ("DATABASE_URL", "postgresql://u/x:geheim@h/d", "write %40 and %2F"),
        ("DATABASE_URL", "postgresql://u:ge@he/im@h/d", "write %40 and %2F"),
        ("DATABASE_URL", "postgresql://u:ge@he/im?x@h/d", "write %3F for a ? in the password"),
        ("DATABASE_URL", "sqlite://", "SQLite needs a file"),
        ("DATABASE_URL", "sqlite:///:memory:", "SQLite needs a file"),
    ],
)
def test_the_error_of_an_invalid_value_is_one_line(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, expected: str
) -> None:
    """It has the variable, its value and what would be valid."""
    monkeypatch.setenv(f"SPARKLIO_{name}", value)
    with pytest.raises(InvalidSettings) as caught:
        load_settings()
    message = str(caught.value)
    assert message.startswith(f"SPARKLIO_{name} (--")
    assert expected in message
    assert "\n" not in message


def test_a_value_that_another_setting_takes_or_the_disk_forbids_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSettings, match=r"^SPARKLIO_METRICS_PORT .*SPARKLIO_PORT"):
        load_settings(["--port", "9", "--metrics-port", "9"])
    assert load_settings(["--port", "0", "--metrics-port", "0"]).metrics_port == 0
    (tmp_path / "taken").touch()
    with pytest.raises(InvalidSettings, match=r"^SPARKLIO_DATA_DIR .*it is a file; give a directory"):
        load_settings(["--data-dir", str(tmp_path / "taken")])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--prot", "1"], "--prot is no option; did you mean --port?"),
        (["--llm-fallback=x"], "--llm-fallback is no option; did you mean --llm-fallbacks?"),
        (["--xyzzy", "1"], "--xyzzy is no option; python -m app --help lists them all."),
    ],
)
def test_a_misspelt_option_is_told_with_the_nearest_one(arguments: list[str], expected: str) -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(arguments)
    assert str(caught.value) == expected


def test_every_invalid_setting_has_a_line() -> None:
    with pytest.raises(InvalidSettings) as caught:
        load_settings(["--port", "x", "--concurrency", "0"])
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == ["SPARKLIO_PORT", "SPARKLIO_CONCURRENCY"]


def test_an_unreadable_env_file_is_an_error() -> None:
    Path(".env").write_bytes(b"SPARKLIO_HOST=\xff\xfe")
    with pytest.raises(InvalidSettings, match=r"\.env.*UTF-8"):
        load_settings()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://user:geheim@host/studio",
        "postgresql://user:geheim@host:x/studio",
        "postgresql://user/x:geheim@host/studio",
        "my://u:geheim@h/d",
        "sqlite+pysqlcipher://:geheim@/studio.db",
        "sqlite://?key=geheim",
    ],
)
def test_no_password_is_ever_printed(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    """Neither an error nor the settings' own text shows the password of a URL."""
    monkeypatch.setenv("SPARKLIO_DATABASE_URL", url)
    try:
        shown = f"{load_settings()!r} {load_settings()} {load_settings().async_database_url}"
    except InvalidSettings as error:
        shown = f"{error!r} {error}"
    assert "geheim" not in shown


def test_help_describes_every_setting(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        load_settings(["--help"])
    assert left.value.code == 0
    shown = " ".join(capsys.readouterr().out.split())
    for name, field in Settings.model_fields.items():
        assert field.description
        assert f"--{name.replace('_', '-')} " in shown
        assert f"[env: SPARKLIO_{name.upper()}]" in shown


def test_misspelt_settings_are_found_in_the_environment_and_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKLIO_PROT", "8001")
    monkeypatch.setenv("SPARKLIO_API_KEY", "of a command")
    monkeypatch.setenv("SPARKLIO_PORT", "8001")
    Path(".env").write_text("SPARKLIO_XYZZY=1\nOPENAI_API_KEY=key\n")
    assert list(unknown_settings()) == [
        "SPARKLIO_PROT is no setting; did you mean SPARKLIO_PORT?",
        "SPARKLIO_XYZZY is no setting; python -m app --help lists them all.",
    ]


def test_a_role_needs_postgresql_as_sqlite_has_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKLIO_ROLE", "Worker")
    for url in ("", "sqlite:///other.db"):
        monkeypatch.setenv("SPARKLIO_DATABASE_URL", url)
        with pytest.raises(InvalidSettings, match=r"^SPARKLIO_ROLE .*: it needs PostgreSQL"):
            load_settings()
    monkeypatch.setenv("SPARKLIO_DATABASE_URL", "mysql://host/name")
    with pytest.raises(InvalidSettings, match=r"^SPARKLIO_DATABASE_URL [^\n]*$"):
        load_settings()
    monkeypatch.setenv("SPARKLIO_DATABASE_URL", "postgresql://user:password@host/name")
    settings = load_settings()
    assert (settings.role, settings.executes_runs, settings.serves_api) == ("worker", True, False)
    assert load_settings(["--role", "api"]).executes_runs is False
    assert load_settings(["--role", "all", "--database-url", "sqlite:///other.db"]).serves_api
    with pytest.raises(InvalidSettings, match=r"^SPARKLIO_ROLE \(--role\) = 'both': input should be 'all', 'api' or"):
        load_settings(["--role", "both"])


def test_exponential_buckets_are_off_unless_the_environment_or_the_command_line_says_otherwise(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Both are read before the settings are, by whoever subscribes the process, in workers too."""
    monkeypatch.delenv("SPARKLIO_NATIVE_HISTOGRAMS", raising=False)
    assert not native_histograms_from_environment()
    monkeypatch.setenv("SPARKLIO_NATIVE_HISTOGRAMS", "yes")
    assert native_histograms_from_environment()
    assert load_settings().native_histograms
    export_native_histograms(load_settings(["--native-histograms", "false"]))
    assert not native_histograms_from_environment()
