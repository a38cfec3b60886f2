"""What the stages agree on: settings, topic names, the Kafka message. Standard library only."""
