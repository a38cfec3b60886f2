"""Run a real pgbouncer in front of a stack's Postgres, with the settings in docs/managed-postgres.md."""

import os
import re
import shutil
from contextlib import closing
from dataclasses import replace
from urllib.parse import unquote, urlsplit

import psycopg2

from core.settings import Settings
from infra.paths import PROJECT
from infra.ports import free_ports, postgres_address
from infra.stack import Stack
from tests.support.process import Process, installed
from tests.support.waiting import shown

DOCUMENT = PROJECT / "docs" / "managed-postgres.md"


class Pgbouncer:
    """A running pgbouncer. Its port stays the same after a kill and a start."""

    def __init__(self, program: str, stack: Stack) -> None:
        (self._port,) = free_ports(1)
        self._stack = stack
        self._folder = stack.folder / "pgbouncer"
        self._folder.mkdir()
        self._command = [program, *self._configure()]
        self.start()

    def start(self) -> None:
        """Start pgbouncer. Return when it accepts connections to Postgres."""
        self._process = Process(self._command, self._stack.folder / "pgbouncer.log")
        try:
            self._process.wait_for(self._refusal, lambda refusal: refusal == "")
        except BaseException:
            self.kill()
            raise

    def kill(self) -> None:
        """Kill pgbouncer with SIGKILL, which ends every connection through it."""
        self._process.kill()
        print(shown(self._process.log()))

    def through(self, settings: Settings) -> Settings:
        """Return the settings with pgbouncer's address instead of Postgres's."""
        return replace(
            settings,
            database_url=self._address(settings.database_url),
            reader_database_url=self._address(settings.reader_database_url),
        )

    def _address(self, url: str) -> str:
        parts = urlsplit(url)
        login, _, _ = parts.netloc.rpartition("@")
        return parts._replace(netloc=f"{login}@127.0.0.1:{self._port}").geturl()

    def _configure(self) -> list[str]:
        """Write pgbouncer's files. Return the arguments that name them."""
        settings, user = self._stack.settings, self._stack.postgres_user
        logins = [urlsplit(settings.database_url), urlsplit(settings.reader_database_url)]
        passwords = self._folder / "userlist.txt"
        passwords.write_text(
            "".join(
                f'"{unquote(login.username or "")}" "{unquote(login.password or "")}"\n'
                for login in logins
            )
        )
        host, port = postgres_address(settings)
        configuration = self._folder / "pgbouncer.ini"
        configuration.write_text(
            documented_settings()
            .replace("host=db.example.com port=5432", f"host={host} port={port}")
            .replace("listen_port = 6432", f"listen_port = {self._port}")
            .replace("/etc/pgbouncer/userlist.txt", str(passwords))
            + "unix_socket_dir =\n"
        )
        if os.geteuid() != 0:
            return [str(configuration)]
        # pgbouncer refuses to run as root.
        for path in (self._folder, configuration, passwords):
            shutil.chown(path, user)
        return ["--user", user, str(configuration)]

    def _refusal(self) -> str:
        """Return why a connection to Postgres is refused; empty if it is accepted."""
        url = self.through(self._stack.settings).database_url
        try:
            with closing(psycopg2.connect(url)):
                return ""
        except psycopg2.OperationalError as error:
            return repr(error)


def documented_settings() -> str:
    (block,) = re.findall(r"^```ini\n(.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE)
    return str(block)


def find_pgbouncer() -> str:
    """Return the path of the program. Raise AssertionError if it is not installed."""
    return installed("pgbouncer", "pgbouncer")
