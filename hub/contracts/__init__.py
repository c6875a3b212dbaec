"""What may stand on a topic and what may leave: schemas, views, code lists, envelope headers."""
