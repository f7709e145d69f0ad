"""gRPC: interceptors for `grpc.server(…, interceptors=…)` and `grpc.aio.server(…)`."""

from server_middleware.grpc.interceptor import aio_interceptors, interceptors

__all__ = ["aio_interceptors", "interceptors"]
