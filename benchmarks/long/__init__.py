"""Simulations whose answers are known, too long for the tests: `make check-long`."""
