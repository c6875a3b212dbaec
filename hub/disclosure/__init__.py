"""Disclosure: what may be public goes to the channels, and their receipts come back."""
