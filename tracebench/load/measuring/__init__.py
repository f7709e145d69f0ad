"""Measure targets from this process: one after the other, or by turns."""
