"""Decide what is sent when, over which connection, and timestamp every step."""
