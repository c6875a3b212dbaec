"""One fact by two sources: one event, and both sources on record."""
