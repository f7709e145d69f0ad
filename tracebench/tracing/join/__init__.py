"""Spans of servers joined to requests by trace id."""
