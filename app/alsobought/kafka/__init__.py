"""Kafka topics in: consumer, offsets, dead letters; and the producer that appends events."""
