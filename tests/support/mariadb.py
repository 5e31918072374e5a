"""Starts a real MariaDB for as long as a block lasts."""

from __future__ import annotations

import getpass
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import sqlalchemy as sa

from tests.support.wait import wait_until

SCRIPTS = Path("/usr/share/mysql")
PREPARATION = "create database mysql;\nuse mysql;\nset @auth_root_socket = null;\nset @skip_auth_anonymous = 1;\n"


@contextmanager
def mariadb_server(port: int) -> Iterator[sa.URL]:
    """Start a server on a loopback port; yield the address of its empty database, through PyMySQL.

    Its system tables are made as mariadb-install-db makes them, which asks for packages that the server does without.
    """
    system_tables = [SCRIPTS / "mysql_system_tables.sql", SCRIPTS / "mysql_system_tables_data.sql"]
    with TemporaryDirectory(prefix="mariadb-", ignore_cleanup_errors=True) as directory:
        data, log = Path(directory) / "data", Path(directory) / "log"
        data.mkdir()
        command = ["mariadbd", "--no-defaults", f"--datadir={data}", f"--user={getpass.getuser()}"]
        subprocess.run(
            [*command, "--bootstrap"],
            input=PREPARATION + "".join(path.read_text() for path in system_tables),
            text=True,
            check=True,
            capture_output=True,
        )
        with log.open("w") as output:
            server = subprocess.Popen(
                [*command, "--bind-address=127.0.0.1", f"--port={port}", f"--socket={directory}/socket"],
                stdout=output,
                stderr=output,
            )
        try:
            wait_until(lambda: "ready for connections" in log.read_text())
            address = sa.make_url(f"mysql+pymysql://root@127.0.0.1:{port}/")
            engine = sa.create_engine(address)
            with engine.begin() as connection:
                connection.execute(sa.text("create database test"))
            engine.dispose()
            yield address.set(database="test")
        except BaseException:
            print(log.read_text())  # noqa: T201 - for the report of the test
            raise
        finally:
            server.terminate()
            server.wait(60)
