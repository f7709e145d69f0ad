"""Panels of figures, each of which says one thing."""
