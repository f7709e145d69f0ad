"""Findings: reasons to doubt or qualify the numbers of a run, one file a topic."""
