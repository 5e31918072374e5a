"""The recorder: triggers that note each change of a run, its workflow and its steps, by the database's clock."""

from __future__ import annotations

from typing import Any, LiteralString

import psycopg

from .history import AttemptStored, HolderChange, RunChange, StepStored

_INSTALL: LiteralString = """
CREATE SCHEMA chaos;

CREATE TABLE chaos.changes (
    number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    at timestamptz NOT NULL DEFAULT clock_timestamp(),
    kind text NOT NULL, run text NOT NULL, status text NOT NULL, who text
);

CREATE FUNCTION chaos.workflow_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' THEN
        INSERT INTO chaos.changes (kind, run, status) VALUES ('workflow', OLD.workflow_uuid, 'DELETED');
    ELSIF TG_OP = 'INSERT' OR (NEW.status, NEW.executor_id) IS DISTINCT FROM (OLD.status, OLD.executor_id) THEN
        INSERT INTO chaos.changes (kind, run, status, who)
            VALUES ('workflow', NEW.workflow_uuid, NEW.status, NEW.executor_id);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION chaos.run_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'INSERT' OR NEW.status <> OLD.status THEN
        INSERT INTO chaos.changes (kind, run, status) VALUES ('run', NEW.id, NEW.status);
    END IF;
    RETURN NULL;
END $$;

CREATE FUNCTION chaos.step_changed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NEW.status = 'success' AND (TG_OP = 'INSERT' OR OLD.status <> 'success') THEN
        INSERT INTO chaos.changes (kind, run, status, who) VALUES ('step', NEW.run_id, NEW.status, NEW.name);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER chaos AFTER INSERT OR UPDATE OR DELETE ON dbos.workflow_status
    FOR EACH ROW EXECUTE FUNCTION chaos.workflow_changed();
CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON runs FOR EACH ROW EXECUTE FUNCTION chaos.run_changed();
CREATE TRIGGER chaos AFTER INSERT OR UPDATE ON steps FOR EACH ROW EXECUTE FUNCTION chaos.step_changed();
"""
_CHANGES: LiteralString = (
    "SELECT extract(epoch FROM at), run, status, who FROM chaos.changes WHERE kind = %s ORDER BY number"
)

_HELD: LiteralString = "SELECT 1 FROM dbos.workflow_status WHERE status = 'PENDING' AND executor_id LIKE %s LIMIT 1"


class Recorder:
    """The changes in a database since the recorder was made; the studio's tables have to be there.

    Args:
        url: The database's URL.
    """

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection = psycopg.connect(url, autocommit=True)
        self._connection.execute(_INSTALL)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def rows(self, statement: LiteralString, *values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a query, also after the server was restarted.

        Raises:
            psycopg.OperationalError: The server is away.
        """
        try:
            return self._connection.execute(statement, values).fetchall()
        except psycopg.OperationalError:
            self._connection.close()
            self._connection = psycopg.connect(self._url, autocommit=True)
            return self._connection.execute(statement, values).fetchall()

    def holders(self) -> list[HolderChange]:
        """Return the changes of workflows; an executor's name begins with its host's."""
        rows = self.rows(_CHANGES, "workflow")
        return [HolderChange(float(at), run, status, (who or "").partition("-")[0]) for at, run, status, who in rows]

    def changes(self) -> list[RunChange]:
        """Return the changes of runs."""
        return [RunChange(float(at), run, status) for at, run, status, _ in self.rows(_CHANGES, "run")]

    def steps(self) -> list[StepStored]:
        """Return the steps whose success was stored."""
        return [StepStored(float(at), run, step) for at, run, _, step in self.rows(_CHANGES, "step")]

    def attempts(self) -> list[AttemptStored]:
        """Return the stored attempts."""
        rows = self.rows("SELECT run_id, step, prompt_tokens, completion_tokens FROM attempts")
        return [AttemptStored(*row) for row in rows]

    def keys(self) -> dict[str, str]:
        """Return the idempotency key of each run, by its id."""
        return dict(self.rows("SELECT id, idempotency_key FROM runs"))

    def is_holding(self, host: str) -> bool:
        """Return whether an executor of a host holds a run now."""
        return bool(self.rows(_HELD, f"{host}-%"))

    def unfinished(self) -> int:
        """Return how many runs are queued or running."""
        [[number]] = self.rows("SELECT count(*) FROM runs WHERE status IN ('queued', 'running')")
        return int(number)

    def progress(self) -> int:
        """Return a number that grows with each change."""
        [[number]] = self.rows("SELECT coalesce(max(number), 0) FROM chaos.changes")
        return int(number)
