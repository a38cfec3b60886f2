"""Parse the fields of a message, which are text, into values.

The column `written_x` has the text of field x, NULL if it is missing. Each parser reads one such column
and returns the value, or NULL if the text can't be read.
"""

from pyspark.sql import Column
from pyspark.sql import functions as F

from spark_jobs.tickers.values import EARLIEST, LATEST, NAME_LENGTH, SHOWN_LENGTH


def written(name: str) -> Column:
    return F.col(f"written_{name}")


def name_of(name: str) -> Column:
    """Return a text that is fit for a key: 1 to NAME_LENGTH characters without NUL; else NULL."""
    text = written(name)
    return F.when(F.length(text).between(1, NAME_LENGTH), text_of(name))


def text_of(name: str) -> Column:
    """Return the text; NULL if it contains a NUL character, which Postgres refuses."""
    text = written(name)
    return F.when(~text.contains("\0"), text)


def whole_number(name: str) -> Column:
    return written(name).try_cast("BIGINT")


def count_of(name: str) -> Column:
    """Return a whole number of at least 0; NULL for any other."""
    number = whole_number(name)
    return F.when(number >= 0, number)


def moment(name: str) -> Column:
    """Return a time that was written in microseconds since the epoch; NULL outside 2000 to 2100."""
    count = whole_number(name)
    return F.when(count.between(EARLIEST, LATEST), F.timestamp_micros(count))


def missing(name: str) -> Column:
    """Return the fault of a missing field; NULL if it is present."""
    return F.when(written(name).isNull(), F.lit(f"{name} is missing"))


def unusable(name: str) -> Column:
    """Return the fault of a field that is present but can't be read: its value, column `name`, is NULL.

    NUL is replaced, because Postgres refuses it.
    """
    shown = F.translate(F.left(written(name), F.lit(SHOWN_LENGTH)), "\0", "\ufffd")
    message = F.concat(F.lit(f"{name} can't be read: "), shown)
    return F.when(written(name).isNotNull() & F.col(name).isNull(), message)
