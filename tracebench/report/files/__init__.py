"""Files that programs read: the result, every request as a row, gates as JUnit XML."""
