"""Where does the time of a request go? A tracing benchmark for REST and gRPC model servers.

The public Python API is `tracebench.benchmark.run`. Nothing is imported here: `--help` and the
server that does nothing must not pay for numpy.
"""

__version__ = "0.1.0"
