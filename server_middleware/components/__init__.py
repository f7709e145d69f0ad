"""`component()`: one part of the work, timed."""
