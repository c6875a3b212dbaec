"""Measurements beside a reference, in one run: what the README claims, anyone can repeat."""
