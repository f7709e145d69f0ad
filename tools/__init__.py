"""Programs that people run here: see the Makefile."""
