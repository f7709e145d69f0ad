"""Several runs that answer one question: sweep, search and compare."""
