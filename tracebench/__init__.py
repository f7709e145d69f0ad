"""Where does the time of a request go? A tracing benchmark for REST and gRPC model servers.

The public Python door is `tracebench.benchmark.run`. Nothing is imported here: servers that use
`server_middleware` import this package for its vocabulary alone, and must not pay for numpy.
"""

__version__ = "0.1.0"
