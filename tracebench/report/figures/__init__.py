"""Figures of a result and of a sweep."""
