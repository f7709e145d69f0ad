"""Spans: made of exchanges, read from servers, joined by trace id."""
