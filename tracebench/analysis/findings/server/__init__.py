"""Findings about the server, and about what it reports of itself."""
