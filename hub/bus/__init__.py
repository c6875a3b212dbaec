"""Kafka: the lane that every stage runs in, the publisher, topics, dead letters, lag."""
