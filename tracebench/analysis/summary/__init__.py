"""Summarise one target: its statistics, its failures, what a comparison needs."""
