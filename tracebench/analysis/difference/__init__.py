"""Differences between two sides that were measured alike."""
