"""A real PostgreSQL for tests: started on loopback for a session, a database of its own for every test.

`REJOINDER_TEST_POSTGRES=postgresql+psycopg://user@host:port/postgres` (and `…_PASSWORD_FILE`) names one that stands
already; it must let the user make databases. Without it the server of Debian's package `postgresql` is started; it
refuses to run as root, so root hands it to the user `postgres` or `nobody`.

    server = Server(); server.start(); where = server.database(); …; server.kill(); server.restart(); …; server.stop()
"""

from __future__ import annotations

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from rejoinder.cli.supervisor import free_ports
from rejoinder.ledger.stores.dialect import Postgres, address
from rejoinder.ledger.stores.migrate import migrate
from rejoinder.ledger.stores.schema import COMPATIBLE, SCHEMA_VERSION

from loadtests.processes import ends_with_us

#: A given server may serve several runs at once.
TEMPLATE = f"rejoinder_template_{os.getpid()}"
_USER = "rejoinder"
#: No fsync: what is killed here is the server, never the machine. Statistics and vacuum would only add noise.
_SETTINGS = {"fsync": "off", "full_page_writes": "off", "shared_buffers": "32MB", "autovacuum": "off"}

#: Rows go, day partitions go, and what the migration noted is as it noted it.
_EMPTY = f"""
DO $$ DECLARE name text; BEGIN
  FOR name IN SELECT relname FROM pg_class WHERE relkind = 'r' AND relispartition AND relname ~ '_d[0-9]{{8}}$' LOOP
    EXECUTE 'DROP TABLE ' || name;
  END LOOP;
  FOR name IN SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
      WHERE relkind IN ('r', 'p') AND NOT relispartition AND nspname = 'public'
      AND relname NOT IN ('meta', 'alembic_version') LOOP
    EXECUTE 'DELETE FROM ' || name;
  END LOOP;
  DELETE FROM meta;
  INSERT INTO meta VALUES ('schema_version', {SCHEMA_VERSION}), ('compatible', {COMPATIBLE});
  INSERT INTO meta VALUES ('commits', 0), ('floor', 0);
  PERFORM setval(pg_get_serial_sequence('joined', 'number'), 1, false);
END $$"""


def programs() -> Path:
    """The folder of `postgres` and `initdb`. Fails the test in one line where there is none."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if on_path:
        return Path(on_path).resolve().parent
    if found:
        return found[-1].parent
    raise AssertionError(
        "PostgreSQL is missing: `sudo apt-get install postgresql`, or set REJOINDER_TEST_POSTGRES to one that runs"
    )


def _unprivileged() -> Mapping[str, Any]:
    """Whom root starts the server as."""
    if os.geteuid() != 0:
        return {}
    names = {entry.pw_name: entry for entry in pwd.getpwall()}
    entry = names.get("postgres") or names["nobody"]
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": ()}


@dataclass
class Server:
    """owns: the server's process, its folder under the temporary folder, and the databases it was asked for."""

    folder: Path | None = None
    _url: str = ""
    _password_file: Path | None = None
    _process: subprocess.Popen[bytes] | None = None
    _count: int = 0
    _free: list[Postgres] = field(default_factory=list)
    _made: list[str] = field(default_factory=list)

    def start(self) -> None:
        """Starts an empty server, or finds the one that is given; makes the migrated template."""
        given = os.environ.get("REJOINDER_TEST_POSTGRES")
        if given:
            password_file = os.environ.get("REJOINDER_TEST_POSTGRES_PASSWORD_FILE")
            self._url, self._password_file = given, Path(password_file) if password_file else None
        else:
            self._make()
            self.restart()
        self.drop(TEMPLATE)
        self._make_database(TEMPLATE)
        migrate(self.where(TEMPLATE))

    @property
    def ours(self) -> bool:
        """Whether it may be killed."""
        return self.folder is not None

    def runs(self) -> bool:
        """Whether it takes connections, as far as we know: a given server always does."""
        return self.folder is None or self._process is not None

    def _make(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="rejoinder-postgres-"))
        who = _unprivileged()
        password = self.folder / "password"
        password.write_text(secrets.token_hex(16))
        if who:
            for path in (self.folder, password):
                os.chown(path, who["user"], who["group"])
        # An order of words unlike that of bytes, so that a column which forgot its collation is found out.
        options = ("--encoding=UTF8", "--locale=C.UTF-8", "--locale-provider=icu", "--icu-locale=en")
        options = (*options, "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password}")
        subprocess.run(
            [programs() / "initdb", "-D", self.folder / "data", "--no-sync", "--no-instructions", *options],
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            **who,
        )
        self._password_file = password
        (port,) = free_ports(1)
        self._url = f"postgresql+psycopg://{_USER}@127.0.0.1:{port}/postgres"

    def restart(self) -> None:
        """Starts the server on its folder and port; returns when it takes connections."""
        assert self.folder is not None
        options = [f"-c{name}={value}" for name, value in _SETTINGS.items()]
        options += ["-clisten_addresses=127.0.0.1", f"-cport={address(self._url).port}", "-cunix_socket_directories="]
        with (self.folder / "server.log").open("ab") as log:
            self._process = subprocess.Popen(
                [programs() / "postgres", "-D", self.folder / "data", *options],
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,
                # A killed test run stops its server.
                preexec_fn=ends_with_us(signal.SIGQUIT),
                **_unprivileged(),
            )
        deadline = time.monotonic() + 60
        while True:
            try:
                self._admin().close()
                return
            except psycopg.OperationalError:
                ended = self._process.poll() is not None
                if ended or time.monotonic() > deadline:
                    raise AssertionError(f"PostgreSQL did not start: {self.log_end()}") from None
                time.sleep(0.02)

    def log_end(self) -> str:
        assert self.folder is not None
        return (self.folder / "server.log").read_text("utf-8", "replace")[-1500:]

    def kill(self) -> None:
        """SIGKILL to the server and all its sessions; returns when all are gone."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Ends the server and takes its folder away; of a given server only what was made there goes."""
        if self.folder is None:
            for name in (*self._made, TEMPLATE):
                self.drop(name)
            return
        if self._process is not None:
            self._end(signal.SIGQUIT)
        shutil.rmtree(self.folder, ignore_errors=False)

    def _end(self, how: signal.Signals) -> None:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        self._process.send_signal(how)
        self._process.wait(30)
        self._process = None
        # Sessions are in groups of their own and end a moment after the server; its memory is taken until then.
        for pid in map(int, children):
            if how is signal.SIGKILL and _lives(pid):
                os.kill(pid, how)
        deadline = time.monotonic() + 30
        while any(_lives(int(pid)) for pid in children):
            if time.monotonic() > deadline:
                raise TimeoutError("sessions of PostgreSQL did not end")
            time.sleep(0.005)

    def where(self, database: str) -> Postgres:
        return Postgres(
            address(self._url).set(database=database).render_as_string(hide_password=False), self._password_file
        )

    def database(self, template: str = TEMPLATE) -> Postgres:
        """A database with the ledger's tables and no rows; `template0` gives one without tables."""
        if self._free and template == TEMPLATE:
            return self._free.pop()
        self._count += 1
        name = f"rejoinder_{os.getpid()}_{self._count}"
        self._made.append(name)
        self._make_database(name, template)
        return self.where(name)

    def drop(self, name: str) -> None:
        """With whoever is still connected to it."""
        with self._admin() as admin:
            admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def forget(self, where: Postgres) -> None:
        self.drop(str(address(where.url).database))

    def cut(self, where: Postgres) -> None:
        """Ends every session of a database, as an administrator or a network would; returns when all are gone, and
        their locks with them."""
        name = str(address(where.url).database)
        with self._admin() as admin:
            end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s"
            deadline = time.monotonic() + 60
            while admin.execute(end, [name]).fetchall():
                if time.monotonic() > deadline:
                    raise TimeoutError("sessions of PostgreSQL did not end")
                time.sleep(0.002)

    def give_back(self, where: Postgres) -> None:
        """Empties a database for the next test: a tenth of what a new one costs."""
        self.cut(where)
        with self.connect(str(address(where.url).database)) as session:
            session.execute(_EMPTY)
        self._free.append(where)

    def _make_database(self, name: str, template: str = "template0") -> None:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template))
        with self._admin() as admin:
            admin.execute(query)

    def folders(self, databases: Sequence[Postgres]) -> list[Path]:
        """Where the tables of these databases lie, with everything on disk that is only in memory yet. Others' are left
        out: what a test deletes before it gives its database back stays in the files until they are used again."""
        assert self.folder is not None, "a given server's disk cannot be looked at"
        names = [str(address(where.url).database) for where in databases]
        with self._admin() as admin:
            admin.execute("CHECKPOINT")
            found = admin.execute("SELECT oid FROM pg_database WHERE datname = ANY(%s)", [names]).fetchall()
        assert len(found) == len(names)
        return [self.folder / "data" / "base" / str(oid) for (oid,) in found]

    def _admin(self) -> psycopg.Connection[Any]:
        return self.connect("postgres")

    def connect(self, database: str) -> psycopg.Connection[Any]:
        """A session of the tests' own, in autocommit."""
        url = address(self._url)
        password = self._password_file.read_text().strip() if self._password_file else None
        return psycopg.connect(
            host=url.host, port=url.port, user=url.username, password=password, dbname=database, autocommit=True
        )


def _lives(pid: int) -> bool:
    """Whether a process is there and no mere entry that nobody has asked about."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


@contextmanager
def running() -> Iterator[Server]:
    """A server for as long as the block lasts."""
    server = Server()
    try:
        server.start()
        yield server
    finally:
        server.stop()
