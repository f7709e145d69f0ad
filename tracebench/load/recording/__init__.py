"""The record of a window: rows and replies, in memory or spilled, read after the load."""
