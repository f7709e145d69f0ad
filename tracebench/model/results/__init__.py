"""What is reported: the result of a run, of a sweep, of a search, of a comparison."""
