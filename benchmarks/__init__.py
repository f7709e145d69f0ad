"""What the project claims, measured: `python -m benchmarks` (or `make bench`) prints it all."""
