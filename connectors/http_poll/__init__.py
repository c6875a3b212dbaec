"""An interface that answers in JSON, asked again and again for what is new."""
