"""Every table, view, column and function has a comment, which people and BI tools see."""

from psycopg2.extensions import connection

from tests.support.postgres import execute, rows

# Without partitions, whose parent has the comments, and without the tables of yoyo, which applies the
# migrations. Column 0 is the table itself.
WITHOUT_COMMENT = """
SELECT relname || coalesce('.' || attname, '')
FROM pg_class
LEFT JOIN LATERAL (
    SELECT 0 AS number, NULL AS attname
    UNION ALL
    SELECT attnum, attname FROM pg_attribute WHERE attrelid = oid AND attnum > 0 AND NOT attisdropped
) AS part ON true
WHERE relkind IN ('r', 'p', 'v', 'm', 'f') AND NOT relispartition
    AND relnamespace = 'public'::regnamespace AND relname !~ '^_?yoyo_'
    AND CASE number WHEN 0 THEN obj_description(oid, 'pg_class') ELSE col_description(oid, number) END IS NULL
UNION ALL
SELECT proname FROM pg_proc
WHERE pronamespace = 'public'::regnamespace AND obj_description(oid, 'pg_proc') IS NULL
ORDER BY 1
"""


def test_no_table_view_column_or_function_lacks_a_comment(owner: connection) -> None:
    assert rows(owner, WITHOUT_COMMENT) == []

    execute(owner, "CREATE TABLE new_table (new_column text)")
    execute(owner, "CREATE VIEW new_view AS SELECT base AS named_again FROM pairs")
    execute(owner, "ALTER TABLE candles_1m ADD COLUMN new_column text")
    execute(owner, "CREATE TABLE a_day PARTITION OF candles_1m DEFAULT")
    assert [name for (name,) in rows(owner, WITHOUT_COMMENT)] == [
        "candles_1m.new_column",
        "new_table",
        "new_table.new_column",
        "new_view",
        "new_view.named_again",
    ]
