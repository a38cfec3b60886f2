"""Settings, topic names, the Kafka message and clients' configuration, shared by all stages."""
