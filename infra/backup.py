"""Copy the bucket and the database to a folder while the jobs run, and restore both from it.

    database.dump   the database, as pg_dump writes it in its custom format
    bucket/         the bucket's objects: the path of a file is the key of the object

The bucket comes first, and Postgres last: the tables then have all that the lake has. docs/backup.md says
why, and what a restore reads again.
"""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

import psycopg2
from botocore.exceptions import ClientError

from core.settings import Settings
from infra import paths
from infra.services import object_store, postgres
from infra.stack import StackError

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

DATABASE, BUCKET = "database.dump", "bucket"

STAGED = "staging/raw_archive/_SUCCESS"
"""Exists while raw_archive moves a batch of several objects into `raw/`."""

DELTA_LOG = "tickers/_delta_log/"
NEWEST_CHECKPOINT = f"{DELTA_LOG}_last_checkpoint"
"""The only object that is ever overwritten. It names a checkpoint, which must be in the copy too."""

WITHOUT_TLS = ("disable", "allow", "prefer")
"""Values of sslmode with which a client without TLS connects."""

OLDEST_RELEASE = 18
"""Minimum release of pg_dump and pg_restore: that of the Postgres that make setup installs."""

COPIES = 8
"""Objects that are copied at the same time."""

LISTING_DEADLINE = 300.0
"""Seconds to wait for a moment without a half-published batch."""


def back_up(settings: Settings, folder: Path) -> int:
    """Copy bucket and database to a new folder. Return the number of objects.

    The jobs and extractors may keep running. Raise StackError if the folder has files, if pg_dump is missing
    or fails, or if raw_archive publishes without a pause; boto3's errors if the store fails.
    `database.dump` is written last: a folder without it is incomplete.
    """
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty: choose a new folder for each back-up")
    pg_dump = program("pg_dump", settings.database_url)
    folder.mkdir(parents=True, exist_ok=True)
    store = object_store.client(settings, attempts=5)
    bucket = settings.s3_bucket

    def fetch(key: str) -> bool:
        path = folder / BUCKET / key
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            store.download_file(bucket, key, str(path))
        except ClientError as error:
            # The bucket's retention, or Delta's VACUUM, has deleted it since the listing.
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            return False
        return True

    # The table's log first: a commit names only files that were stored before it.
    copied = int(fetch(NEWEST_CHECKPOINT))
    keys = settled_keys(store, bucket)
    log = [key for key in keys if key.startswith(DELTA_LOG) and key != NEWEST_CHECKPOINT]
    others = [key for key in keys if not key.startswith((DELTA_LOG, "staging/"))]
    with ThreadPoolExecutor(COPIES) as pool:
        copied += sum(pool.map(fetch, log))
        copied += sum(pool.map(fetch, others))
    _dump(pg_dump, settings, folder / DATABASE)
    return copied


def settled_keys(store: "S3Client", bucket: str) -> list[str]:
    """List the bucket when every batch in `raw/` is either complete or absent.

    raw_archive resumes after the highest offsets in `raw/`. With a part of a batch, it would skip the rest.
    """
    deadline = time.monotonic() + LISTING_DEADLINE
    keys = [*_keys(store, bucket)]
    while True:
        is_publishing = STAGED in _keys(store, bucket, STAGED)
        again = [*_keys(store, bucket)]
        if not is_publishing and _in_raw(again) == _in_raw(keys):
            return keys
        if time.monotonic() > deadline:
            raise StackError(
                "raw_archive publishes without a pause: make stop-jobs, then back up. If it was killed while "
                "it published, make jobs completes the batch"
            )
        keys = again


def restore(settings: Settings, folder: Path) -> int:
    """Fill an empty bucket and an empty database from the folder. Return the number of objects.

    No job and no server may run. A restore that was interrupted can be repeated, unless the database is
    already loaded: then everything is restored. Raise StackError if the folder is incomplete, if the bucket
    or the tables have other data, or if pg_restore is missing or fails.
    """
    if not (folder / DATABASE).exists():
        raise StackError(f"{folder} has no {DATABASE}: not a back-up, or one that was interrupted")
    pg_restore = program("pg_restore", settings.database_url)
    store = object_store.client(settings, attempts=5)
    files = {str(path.relative_to(folder / BUCKET)): path for path in _files(folder / BUCKET)}
    present = {*_keys(store, settings.s3_bucket)}
    if others := present - files.keys():
        raise StackError(f"the bucket is not empty: it has {min(others)}. Restore into a new stack")
    _refuse_rows(settings)

    def upload(key: str) -> None:
        store.upload_file(str(files[key]), settings.s3_bucket, key)

    with ThreadPoolExecutor(COPIES) as pool:
        list(pool.map(upload, sorted(files)))
    _load(pg_restore, settings, folder / DATABASE)
    # The dump may be of an earlier version, and has no rights.
    postgres.initialise(settings)
    return len(files)


def _keys(store: "S3Client", bucket: str, prefix: str = "") -> Iterator[str]:
    """Yield the keys below a prefix, without those of empty objects that represent folders."""
    for page in store.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
        yield from (
            key for each in page.get("Contents", []) if not (key := each["Key"]).endswith("/")
        )


def _in_raw(keys: list[str]) -> list[str]:
    return [key for key in keys if key.startswith("raw/")]


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def _refuse_rows(settings: Settings) -> None:
    with closing(psycopg2.connect(settings.database_url)) as database, database.cursor() as cursor:
        cursor.execute("SELECT EXISTS (SELECT FROM kafka_progress)")
        if cursor.fetchone() == (True,):
            raise StackError("the database is not empty. Restore into a new stack")


def program(name: str, database_url: str) -> str:
    """Return the path of a program of Postgres: that of make setup, which has no TLS, or the one on PATH.

    Raise StackError if the database requires TLS and the program on PATH is missing or too old.
    """
    mode = parse_qs(urlsplit(database_url).query).get("sslmode", [""])[-1]
    if mode in ("", *WITHOUT_TLS):
        return str(paths.site_packages() / paths.POSTGRES_BIN / name)
    found = shutil.which(name)
    version = ""
    if found:
        version = subprocess.run(
            [found, "--version"], capture_output=True, text=True
        ).stdout.strip()
    release = re.search(r"\(PostgreSQL\) (\d+)", version)
    if found is None or release is None or int(release[1]) < OLDEST_RELEASE:
        raise StackError(
            f"DATABASE_URL requires TLS, so a {name} of Postgres {OLDEST_RELEASE} or newer must be on PATH: "
            f"found {version or 'none'}. That of make setup has no TLS"
        )
    return found


def _dump(pg_dump: str, settings: Settings, file: Path) -> None:
    incomplete = file.with_suffix(".incomplete")
    options = ("--format=custom", "--no-owner", "--no-privileges", f"--file={incomplete}")
    _run(pg_dump, settings.database_url, *options)
    incomplete.rename(file)


def _load(pg_restore: str, settings: Settings, file: Path) -> None:
    """Replace the tables, to which no job has written yet, by those of the dump."""
    # pg_restore --clean can't drop partitioned tables.
    try:
        postgres.make_empty(settings)
    except psycopg2.Error as error:
        raise StackError(f"the database can't be emptied: {str(error).strip()}") from error
    options = ("--no-owner", "--no-privileges", "--single-transaction")
    _run(pg_restore, settings.database_url, *options, str(file))


def _run(program: str, database_url: str, *options: str) -> None:
    """Run a program of Postgres. The password is not on its command line, where others could read it."""
    url = urlsplit(database_url)
    user, _, host = url.netloc.rpartition("@")
    name, _, password = user.partition(":")
    shown = url._replace(netloc=f"{name}@{host}" if user else host).geturl()
    command = [program, f"--dbname={shown}", *options]
    environment = os.environ | ({"PGPASSWORD": unquote(password)} if password else {})
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise StackError(f"{Path(program).name} failed: {done.stderr.strip()}")
