"""How the jobs connect to Postgres."""

from typing import Any

import psycopg2
from psycopg2.extensions import connection

# Within half a minute, on either side: the lock of a writer that vanished must not outlive it for hours.
NOTICES_A_LOST_SERVER: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Not by libpq's `options`: pgbouncer refuses them. Keepalives say nothing while an answer is under way: the
# kernel would send it again for a quarter of an hour.
NOTICES_A_LOST_CLIENT = """
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 25000
"""


def connect(database_url: str, name: str) -> connection:
    """Return a connection that notices within half a minute when the other side has vanished.

    `name` is shown in pg_stat_activity. Raise psycopg2.Error without Postgres.
    """
    opened: connection = psycopg2.connect(
        database_url, application_name=name, **NOTICES_A_LOST_SERVER
    )
    try:
        # In a transaction, the rollback's own error would replace that of a connection which is lost again.
        opened.autocommit = True
        with opened.cursor() as statements:
            statements.execute(NOTICES_A_LOST_CLIENT)
        opened.autocommit = False
    except BaseException:
        opened.close()
        raise
    return opened
