-- A day of an exchange has 24 hours. An interval of a day has 23 or 25 where the session's time zone changes its clocks, so
-- some hours counted twice, and a running day as finished. The function is otherwise as in 0010.
DO $$
BEGIN
    EXECUTE replace(
        pg_get_functiondef('merged_candles'::regproc), $old$interval '1 day'$old$, $new$interval '24 hours'$new$
    );
END
$$;
