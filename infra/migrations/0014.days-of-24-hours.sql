-- A day of an exchange has 24 hours. An interval of a day has 23 or 25 where the session's time zone changes its clocks, so
-- some hours counted twice, and a running day as finished. The function is otherwise as in 0010.
DO $$
DECLARE
    before text := pg_get_functiondef('merged_candles'::regproc);
    after text := replace(before, $old$interval '1 day'$old$, $new$interval '24 hours'$new$);
BEGIN
    IF after = before THEN
        RAISE EXCEPTION 'merged_candles is not as migration 0010 wrote it';
    END IF;
    EXECUTE after;
END
$$;
