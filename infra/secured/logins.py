"""Return the settings of each program of a secured stack: TLS, and a login of its own.

Hosts, ports, and the database's name and roles come from the settings. The passwords are random; each is in a
file of the stack's folder `secrets`, which is created at the first start.
"""

import secrets
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote, urlsplit

from core.settings import EXCHANGE, EXTRACTORS, JOBS, Program, Settings
from infra.secured.private_file import write_once

ADMINISTRATOR = "administrator"
"""User of Kafka and the object store with all rights: creates topics, the bucket, users and rights."""

SUPERUSER = "postgres"
"""Role that creates the database and the other roles in Postgres."""

USERS = {EXTRACTORS: "extractors", JOBS: "jobs"}
"""Users of Kafka and the object store. The server uses neither."""


def password(folder: Path, name: str) -> str:
    """Return the password of a login, such as "kafka-jobs". It is created if it does not exist."""
    return write_once(folder / "secrets" / name, secrets.token_urlsafe(32))


def authority(folder: Path) -> Path:
    """Return the path of the certificate that every client trusts."""
    return folder / "certificates" / "authority.crt"


def truststore(folder: Path) -> Path:
    """Return the path of the same certificate for Java."""
    return folder / "certificates" / "authority.truststore"


def kafka_client_properties(folder: Path, user: str) -> Path:
    return folder / "kafka-clients" / f"{user}.properties"


def secured(settings: Settings, folder: Path) -> Settings:
    """Return the settings with which the stack is initialised, with the administrator's logins."""
    return _as_user(
        replace(
            settings,
            s3_endpoint_url=urlsplit(settings.s3_endpoint_url)._replace(scheme="https").geturl(),
            admin_database_url=_with_tls(settings.database_url, folder, SUPERUSER),
            database_url=_with_tls(settings.database_url, folder),
            reader_database_url=_with_tls(settings.reader_database_url, folder),
            s3_ca_bundle=str(authority(folder)),
            server_api_key=settings.server_api_key or password(folder, "server-api-key"),
        ),
        folder,
        ADMINISTRATOR,
    )


def settings_of(program: Program, settings: Settings, folder: Path) -> Settings:
    """Return the secured settings with the program's logins instead of the administrator's.

    Logins that the program does not read may remain; `Settings.environment` leaves them out.
    """
    settings = replace(settings, admin_database_url="")
    if program is EXCHANGE:
        return replace(settings, aws_access_key_id="", aws_secret_access_key="")
    return _as_user(settings, folder, USERS[program]) if program in USERS else settings


def _as_user(settings: Settings, folder: Path, user: str) -> Settings:
    return replace(
        settings,
        kafka_client_properties=str(kafka_client_properties(folder, user)),
        aws_access_key_id=user,
        aws_secret_access_key=password(folder, f"s3-{user}"),
    )


def _with_tls(url: str, folder: Path, user: str = "") -> str:
    """Return the URL with the role's password; the certificate and its host name are verified."""
    parts = urlsplit(url)
    role = user or parts.username or ""
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(
        netloc=f"{role}:{password(folder, f'postgres-{role}')}@{address}",
        query=f"sslmode=verify-full&sslrootcert={quote(str(authority(folder)))}",
    ).geturl()
