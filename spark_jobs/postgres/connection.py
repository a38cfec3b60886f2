"""Open the jobs' connections to Postgres. Both sides detect a lost peer within 30 s."""

from typing import Any

import psycopg2
from psycopg2.extensions import connection

# Options of libpq, for our side of the connection.
NOTICES_A_LOST_SERVER: dict[str, Any] = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
}
# Settings of Postgres's side. Without them, a lost writer could hold its lock for hours. They are set by
# a statement, because pgbouncer refuses libpq's `options`. No keepalives are sent while an answer is
# unacknowledged: without tcp_user_timeout, the kernel would retransmit the answer for 15 minutes.
NOTICES_A_LOST_CLIENT = """
SET tcp_keepalives_idle = 10;
SET tcp_keepalives_interval = 5;
SET tcp_keepalives_count = 3;
SET tcp_user_timeout = 25000
"""


def connect(database_url: str, name: str) -> connection:
    """Return a connection. Both sides detect a lost peer within 30 s.

    `name` is shown in pg_stat_activity. Raise psycopg2.Error if Postgres is unavailable.
    """
    opened: connection = psycopg2.connect(
        database_url, application_name=name, **NOTICES_A_LOST_SERVER
    )
    try:
        # No transaction: if the connection is lost here, the rollback's error would hide the first error.
        opened.autocommit = True
        with opened.cursor() as statements:
            statements.execute(NOTICES_A_LOST_CLIENT)
        opened.autocommit = False
    except BaseException:
        opened.close()
        raise
    return opened
