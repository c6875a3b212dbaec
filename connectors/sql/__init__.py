"""Tables of a database: rows by an increasing column, out of an outbox, or by comparing snapshots."""
