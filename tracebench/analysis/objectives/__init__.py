"""Limits of requests, objectives, gates, and the search for the highest load that meets them."""
