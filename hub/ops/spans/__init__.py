"""Spans of OpenTelemetry out of the log: one for each record, told to a receiver by OTLP."""
