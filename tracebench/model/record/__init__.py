"""What a run records, in columns: requests, server times, spans, streams."""
