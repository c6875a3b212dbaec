"""A real Kafka and a real Valkey for a laptop: no Docker, no Java to install, no root.

The Java runtime and the Valkey server come as Python wheels, Kafka's jars by the pinned list
``kafka-jars.lock``. What runs here is the same software as on a server, with small settings.
"""

from hub.embedded.cluster import KafkaCluster
from hub.embedded.valkey import Valkey

__all__ = ["KafkaCluster", "Valkey"]
