"""OTLP, read and written."""
