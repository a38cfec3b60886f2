"""Report rows that were computed with earlier reading rules, so that nobody takes them for right."""

from collections.abc import Iterator
from contextlib import closing

import deltalake
import psycopg2

from core.reading_rules import READING_RULES, TABLE_PROPERTY
from core.settings import Settings


def advice(settings: Settings) -> str:
    """Return what to run, and why; empty if all rows are of the present rules."""
    stores = [*_tables(settings), *_tickers(settings)]
    if not stores:
        return ""
    return (
        f"{' and '.join(stores)}: computed by an earlier version, which read messages by other rules. New "
        "messages are read right. Run make rebuild to compute all rows again (docs/history.md)"
    )


def _tables(settings: Settings) -> Iterator[str]:
    with closing(psycopg2.connect(settings.database_url)) as database, database.cursor() as cursor:
        cursor.execute(
            "SELECT exchange FROM reading_rules WHERE rules < %s ORDER BY exchange",
            (READING_RULES,),
        )
        for (exchange,) in cursor:
            yield f"tables of {exchange}"


def _tickers(settings: Settings) -> Iterator[str]:
    options = _options(settings)
    path = f"s3://{settings.s3_bucket}/tickers"
    if not deltalake.DeltaTable.is_deltatable(path, options):
        return
    configuration = deltalake.DeltaTable(path, storage_options=options).metadata().configuration
    if int(configuration.get(TABLE_PROPERTY, "1")) < READING_RULES:
        yield "tickers/"


def _options(settings: Settings) -> dict[str, str]:
    """Return delta-rs's options of the store. Without keys, it finds credentials itself."""
    keys = {
        "AWS_ACCESS_KEY_ID": settings.aws_access_key_id,
        "AWS_SECRET_ACCESS_KEY": settings.aws_secret_access_key,
        "AWS_SESSION_TOKEN": settings.aws_session_token,
    }
    return {name: value for name, value in keys.items() if value} | {
        "AWS_ENDPOINT_URL": settings.s3_endpoint_url,
        "AWS_ALLOW_HTTP": str(settings.s3_endpoint_url.startswith("http:")).lower(),
        "AWS_REGION": "us-east-1",
    }
