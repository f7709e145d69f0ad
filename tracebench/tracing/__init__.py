"""Spans: made from exchanges, read from servers, and joined by trace id."""
