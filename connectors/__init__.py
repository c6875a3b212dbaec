"""Connectors: one folder for each outside system; they import the SDK ``hub.intake`` only."""
