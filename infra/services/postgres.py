"""Prepare Postgres 18, whose binaries are in a wheel or a jar; create its database, tables and roles."""

import os
import pwd
import re
import shutil
import subprocess
from contextlib import closing
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import connection, encrypt_password
from yoyo import get_backend, read_migrations

from core.reading_rules import READING_RULES
from core.settings import Settings
from exchanges import EXCHANGE
from infra import paths
from infra.ports import postgres_address
from infra.secured import postgres_binaries
from infra.stack import Stack, StackError

INITIALISING = 1
"""Key of an advisory lock in the database `postgres`."""

CREATED_TABLE = re.compile(r"^CREATE TABLE (\w+)", re.MULTILINE)

# Written to stack.conf at every start, because ports may have changed; postgresql.conf includes it.
CONFIGURATION = """\
listen_addresses = '{host}'
port = {port}
unix_socket_directories = ''
shared_buffers = 256MB
max_wal_size = 2GB
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m level=%b pid=%p '
"""

# The certificate is in server.crt and server.key, Postgres's defaults.
WITH_TLS = "ssl = on\n"
ONLY_WITH_TLS = "hostssl all all samehost scram-sha-256\n"
"""pg_hba.conf of a secured stack: a connection without TLS is refused."""


def environment(stack: Stack) -> dict[str, str]:
    """Return the environment of the program postgres in supervisord.conf."""
    return {"POSTGRES_BIN": str(stack.postgres_bin), "POSTGRES_USER": stack.postgres_user}


def prepare(stack: Stack) -> None:
    """Create the cluster once, owned by the user who runs Postgres, and write its configuration."""
    folder = stack.folder / "postgres"
    folder.mkdir(parents=True, exist_ok=True)
    if not stack.postgres_bin.exists():
        _install(stack)
    data = folder / "data"
    if not (data / "PG_VERSION").exists():
        _make_cluster(stack, data)
    host, port = postgres_address(stack.settings)
    included = data / "stack.conf"
    tls = WITH_TLS if stack.secured else ""
    included.write_text(CONFIGURATION.format(host=host, port=port) + tls)
    _give_to(stack.postgres_user, str(included))
    if stack.secured:
        _require_tls(stack, data)


def _install(stack: Stack) -> None:
    """Copy Postgres's files to another folder, and rename that last: a copy may be interrupted."""
    complete = stack.postgres_distribution
    if not complete.is_relative_to(stack.folder):
        raise StackError(f"{stack.postgres_bin} is missing: make setup installs it")
    copy = complete.with_name("distribution.incomplete")
    for left in (copy, complete):
        shutil.rmtree(left, ignore_errors=True)
    if stack.secured:
        try:
            postgres_binaries.unpack(copy)
        except FileNotFoundError as error:
            raise StackError(str(error)) from error
    else:
        for part in paths.POSTGRES_FOLDERS:
            shutil.copytree(paths.site_packages() / part, copy / part, symlinks=True)
    open_to_others(copy)
    copy.rename(complete)


def open_to_others(folder: Path) -> None:
    """Let others read and execute what the owner may: root's umask may have hidden it from `postgres_user`.

    The targets of symbolic links keep their permissions.
    """
    for path in (folder, *folder.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (mode & 0o500) >> 6)


def _require_tls(stack: Stack, data: Path) -> None:
    (data / "pg_hba.conf").write_text(ONLY_WITH_TLS)
    for suffix in (".crt", ".key"):
        own = data / f"server{suffix}"
        shutil.copyfile(stack.folder / "certificates" / f"postgres{suffix}", own)
        own.chmod(0o600)
        _give_to(stack.postgres_user, str(own))


def _make_cluster(stack: Stack, complete: Path) -> None:
    """Make the cluster in another folder, and rename that last: initdb may be interrupted."""
    data = complete.with_name("data.incomplete")
    for left in (data, complete):
        shutil.rmtree(left, ignore_errors=True)
    data.mkdir(mode=0o700)
    superuser_url = _initialisers_url(stack.settings)
    password_file = data.with_name("password")
    password_file.touch(mode=0o600)
    password_file.write_text(unquote(urlsplit(superuser_url).password or ""))
    _give_to(stack.postgres_user, str(data), str(password_file))
    command = [str(stack.postgres_bin / "initdb"), "--pgdata", str(data), "--encoding", "UTF8"]
    command += ["--locale", "C.UTF-8", "--username", role_of(superuser_url), "--no-sync"]
    command += ["--auth", "scram-sha-256", "--pwfile", str(password_file)]
    user = stack.postgres_user if os.geteuid() == 0 else None
    done = subprocess.run(command, cwd=data, user=user, capture_output=True, text=True, check=False)
    password_file.unlink()
    if done.returncode != 0:
        shutil.rmtree(data)
        raise StackError(f"initdb failed: {done.stderr}")
    with (data / "postgresql.conf").open("a") as configuration:
        configuration.write("include 'stack.conf'\n")
    data.rename(complete)


def _give_to(user: str, *paths: str) -> None:
    if os.geteuid() == 0:
        account = pwd.getpwnam(user)
        for path in paths:
            os.chown(path, account.pw_uid, account.pw_gid)


def is_ready(settings: Settings) -> bool:
    try:
        with closing(_connect_to_server(settings)):
            return True
    except psycopg2.OperationalError:
        return False


def initialise(settings: Settings) -> None:
    """Create the roles and the database, apply the migrations, and grant the server's role its rights.

    The jobs' role owns the database and its tables: it adds and removes partitions, and a rebuild
    replaces tables. It need not be a superuser. Raise StackError if both URLs have the same role.
    """
    if role_of(settings.database_url) == role_of(settings.reader_database_url):
        raise StackError(
            "READER_DATABASE_URL has the role of DATABASE_URL. The server's role may only read, so choose "
            "another name for it: it is created"
        )
    with closing(_connect_to_server(settings)) as server:
        server.autocommit = True
        _wait_for_others(server)
        if settings.admin_database_url:
            _create_role(server, settings.database_url)
        _create_database(server, settings.database_url)
        _create_reader(server, settings.reader_database_url)
        with get_backend(settings.database_url) as backend:
            migrations = read_migrations(str(paths.MIGRATIONS))
            # Without yoyo's lock: it is a row that would remain after a killed process.
            backend.apply_migrations(backend.to_apply(migrations))
        with closing(psycopg2.connect(settings.database_url)) as database, database:
            _grant_reading(database, settings.reader_database_url)
            _record_rules(database)


def make_empty(settings: Settings) -> None:
    """Replace the database by one without tables. Raise psycopg2.Error if a program is connected to it."""
    name = urlsplit(settings.database_url).path[1:]
    with closing(_connect_to_server(settings)) as server:
        server.autocommit = True
        with server.cursor() as cursor:
            cursor.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        _create_database(server, settings.database_url)


def table_names() -> list[str]:
    """Return the tables that the migrations create, partitions included."""
    scripts = sorted(paths.MIGRATIONS.glob("*.sql"))
    return [name for script in scripts for name in CREATED_TABLE.findall(script.read_text())]


def migrations_of(database: connection) -> tuple[list[str], list[str]]:
    """Return the migrations that are not applied, and the applied ones that this version does not know."""
    known = {each.hash: each.id for each in read_migrations(str(paths.MIGRATIONS))}
    with database.cursor() as cursor:
        cursor.execute("SELECT to_regclass('public._yoyo_migration') IS NOT NULL")
        applied: dict[str, str] = {}
        if cursor.fetchone() == (True,):
            cursor.execute("SELECT migration_hash, migration_id FROM public._yoyo_migration")
            applied = dict(cursor.fetchall())
    missing = [known[each] for each in known if each not in applied]
    return missing, sorted(applied[each] for each in applied if each not in known)


def _wait_for_others(server: connection) -> None:
    """Hold a lock until the connection closes, so that only one process initialises at a time."""
    with server.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (INITIALISING,))


def _connect_to_server(settings: Settings) -> connection:
    """Connect to the database `postgres`, which always exists."""
    url = urlsplit(_initialisers_url(settings))
    return psycopg2.connect(url._replace(path="/postgres").geturl(), connect_timeout=2)


def _initialisers_url(settings: Settings) -> str:
    return settings.admin_database_url or settings.database_url


def _create_database(server: connection, owner_url: str) -> None:
    url = urlsplit(owner_url)
    name, owner = url.path[1:], sql.Identifier(role_of(owner_url))
    with server.cursor() as cursor:
        cursor.execute("SELECT FROM pg_database WHERE datname = %s", (name,))
        if cursor.rowcount == 0:
            statement = sql.SQL("CREATE DATABASE {} OWNER {}")
            cursor.execute(statement.format(sql.Identifier(name), owner))


def role_of(url: str) -> str:
    """Return the user of a Postgres URL."""
    return unquote(urlsplit(url).username or "")


def _create_role(server: connection, role_url: str) -> None:
    """Create the URL's role, or change its password."""
    role, password = role_of(role_url), unquote(urlsplit(role_url).password or "")
    # Postgres logs a statement that fails, so send a verifier instead of the password.
    verifier = encrypt_password(password, role, scope=server, algorithm="scram-sha-256")
    with server.cursor() as cursor:
        cursor.execute("SELECT FROM pg_roles WHERE rolname = %s", (role,))
        verb = "ALTER" if cursor.rowcount else "CREATE"
        cursor.execute(
            sql.SQL(verb + " ROLE {} LOGIN PASSWORD {}").format(
                sql.Identifier(role), sql.Literal(verifier)
            )
        )


def _create_reader(server: connection, reader_url: str) -> None:
    _create_role(server, reader_url)
    role = sql.Identifier(role_of(reader_url))
    with server.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} SET default_transaction_read_only = on").format(role))


def _grant_reading(database: connection, reader_url: str) -> None:
    role = sql.Identifier(role_of(reader_url))
    with database.cursor() as cursor:
        for statement in (
            "GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}",
            "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT ON TABLES TO {}",
        ):
            cursor.execute(sql.SQL(statement).format(role))


def _record_rules(database: connection) -> None:
    """Record the present reading rules for each exchange that has none recorded yet."""
    with database.cursor() as cursor:
        for exchange in EXCHANGE:
            cursor.execute(
                "INSERT INTO reading_rules (exchange, rules) VALUES (%s, %s) ON CONFLICT DO NOTHING",
                (exchange, READING_RULES),
            )
