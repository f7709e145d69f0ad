"""Findings about the load generator and the machine that it runs on."""
