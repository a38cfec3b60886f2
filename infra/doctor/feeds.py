"""Check what reached Postgres: age of the prices, items that can't be read, open interruptions."""

from collections.abc import Iterator
from contextlib import closing
from datetime import UTC

from core.settings import Settings
from infra.doctor.finding import Finding
from infra.doctor.tables import connected
from server.state.interruptions import ongoing, recent_interruptions
from server.state.unreadable import mostly_unreadable, unreadable_of

AGES = """
SELECT exchange, extract(epoch FROM now() - max(received_at))::float FROM live_prices GROUP BY exchange
"""

# A span is written again while it grows. Its count includes its older letters: those of up to 1,000
# consecutive messages, which may cover days in a slow topic.
DEAD_LETTERS = """
SELECT topic, cause, sum(letters)::bigint FROM dead_letter_spans
WHERE written_at > now() - interval '1 hour'
GROUP BY topic, cause ORDER BY topic, cause
"""


def prices(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        statements.execute(AGES)
        ages: dict[str, float] = dict(statements.fetchall())
    for exchange, own in settings.exchanges.items():
        age = ages.get(exchange)
        if age is None:
            found = f"there are no prices of {exchange}"
        elif age > own.price_age_limit:
            found = f"the newest price of {exchange} is {age:.0f} s old, the limit {own.price_age_limit:g}"
        else:
            continue
        yield Finding(
            found,
            f"make status shows whether the extractor {exchange} and the jobs run; see their logs",
        )


def unreadable(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        found = mostly_unreadable(unreadable_of(statements))
    for exchange, each in found.items():
        yield Finding(
            f"{each.share:.0%} of the items of {exchange} could not be read in the last minute: {each.cause}",
            f"the exchange may have changed its format: adapt exchanges/{exchange}.py, as the section "
            "MostlyUnreadable of docs/monitoring.md says",
        )


def dead_letters(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        statements.execute(DEAD_LETTERS)
        for topic, cause, letters in statements.fetchall():
            yield Finding(
                f"{letters} items of {topic} could not be read, the newest in the last hour: {cause}",
                "make dead-letters shows the newest of them; after a fix, make dead-letters REPLAY=1",
            )


def interruptions(settings: Settings) -> Iterator[Finding]:
    with closing(connected(settings.database_url)) as database, database.cursor() as statements:
        for each in ongoing(recent_interruptions(statements)):
            since = each.start.astimezone(UTC)
            yield Finding(
                f"no tickers of {each.exchange} since {since:%Y-%m-%d %H:%M:%S} UTC: {each.reason}",
                f"see the log of the extractor {each.exchange}, which keeps trying",
            )
