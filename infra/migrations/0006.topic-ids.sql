-- A topic that is deleted and created again has another id, and its offsets begin again at 0.
ALTER TABLE kafka_progress ADD COLUMN topic_id text;

COMMENT ON COLUMN kafka_progress.topic_id IS 'Kafka''s id of the topic that next_offset belongs to; NULL until the first batch after the upgrade';
