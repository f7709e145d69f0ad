"""Jaeger: its query API to read server spans from, and its UI to link to."""
