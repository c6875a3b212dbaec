"""The routing stage: what the map says of an event becomes orders, notices, signals and one decision."""
