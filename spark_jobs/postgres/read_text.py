"""From text to values: a column `written_x` has what a message says for x, NULL where it says nothing.

Each function reads one such column: the value, or NULL when the text is none.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs.tickers.values import EARLIEST, LATEST, NAME_LENGTH, SHOWN_LENGTH


def written(name: str) -> Column:
    return F.col(f"written_{name}")


def name_of(name: str) -> Column:
    """NULL for what Postgres refuses in a key: nothing, a NUL character, kilobytes."""
    text = written(name)
    return F.when(F.length(text).between(1, NAME_LENGTH), text_of(name))


def text_of(name: str) -> Column:
    """NULL for what has a NUL character, which Postgres refuses."""
    text = written(name)
    return F.when(~text.contains("\0"), text)


def whole_number(name: str) -> Column:
    return written(name).try_cast("BIGINT")


def count_of(name: str) -> Column:
    """A whole number from 0."""
    number = whole_number(name)
    return F.when(number >= 0, number)


def moment(name: str, unit: int) -> Column:
    """A time that was written as a count of units, of so many microseconds each, since the epoch."""
    count = whole_number(name)
    is_plausible = count.between(EARLIEST // unit, LATEST // unit)
    return F.when(is_plausible, F.timestamp_micros(count * unit))


def missing(name: str) -> Column:
    """That nothing was written; NULL where something was."""
    return F.when(written(name).isNull(), F.lit(f"{name} is missing"))


def unusable(name: str) -> Column:
    """What was written but could not be read. Without NUL, which Postgres refuses in text."""
    shown = F.translate(F.left(written(name), F.lit(SHOWN_LENGTH)), "\0", "\ufffd")
    message = F.concat(F.lit(f"{name} can't be read: "), shown)
    return F.when(written(name).isNotNull() & F.col(name).isNull(), message)
