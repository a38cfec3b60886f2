"""Read the records of a span of time from Kafka or raw/, and rebuild tables from them."""
