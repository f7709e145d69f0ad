"""Bytes ↔ events: protocols and the patterns of replies; no socket, no clock."""
