"""HTTP: health, the schema registry face, and what departments answer."""
