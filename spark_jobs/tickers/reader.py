"""Read messages into tickers: fast if column_reader understands a message, else element by element."""

import polars as pl

from spark_jobs.tickers.column_reader import read_columns
from spark_jobs.tickers.columns import READ, polars_schema
from spark_jobs.tickers.element_reader import read_elements

NOTHING = pl.DataFrame(schema=polars_schema(READ))


def read_messages(messages: pl.DataFrame) -> pl.DataFrame:
    """Return rows of columns.READ from messages with columns.MESSAGE, from the topics of any exchanges.

    An array without elements has no row. The order of rows is undefined.
    """
    read = [NOTHING]
    for topic in messages["topic"].unique():
        rows, left = read_columns(messages.filter(pl.col("topic") == topic))
        read += [rows, read_elements(left)] if len(left) else [rows]
    return pl.concat(read)
