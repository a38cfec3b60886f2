"""Records of a span of time, from Kafka or from raw/, and what is made of them anew."""
