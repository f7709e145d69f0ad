"""Runs every benchmark: `python -m benchmarks`."""

from benchmarks import grpc_speed, influence, rest_speed, truth

for benchmark in (rest_speed, grpc_speed, truth, influence):
    benchmark.main()
