"""A server of known service time: `python -m benchmarks.exact_server rest|grpc PORT MS`.

It sleeps, measures how long that really took, and reports just that. Nothing of tracebench is in
it: REST answers with a hand-written X-Timing-Info, gRPC with `timing_info`.
"""

import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc

from protos import inference_pb2, inference_pb2_grpc

THREADS = 80


def serve_rest(port: int, service_s: float) -> None:
    listener = socket.create_server(("127.0.0.1", port), backlog=256)
    while True:
        connection, _ = listener.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        threading.Thread(target=answer, args=(connection, service_s), daemon=True).start()


def answer(connection: socket.socket, service_s: float) -> None:
    while read_request(connection):
        began = time.perf_counter()
        time.sleep(service_s)
        took = time.perf_counter() - began
        head = f'HTTP/1.1 200 OK\r\nX-Timing-Info: {{"server_processing": {took!r}}}\r\n'
        connection.sendall(head.encode() + b"Content-Length: 2\r\n\r\nok")


def read_request(connection: socket.socket) -> bool:
    data = connection.recv(1 << 20)
    while data and b"\r\n\r\n" not in data:
        data += connection.recv(1 << 20)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0] or 0)
    missing = length - len(body)
    while data and missing > 0:
        part = connection.recv(1 << 20)
        if not part:
            return False
        missing -= len(part)
    return bool(data)


class Exact(inference_pb2_grpc.InferenceServiceServicer):  # type: ignore[misc] # generated
    def __init__(self, service_s: float) -> None:
        self.service_s = service_s

    def Predict(self, request: Any, context: grpc.ServicerContext) -> Any:  # noqa: N802
        began = time.perf_counter()
        time.sleep(self.service_s)
        took_ms = (time.perf_counter() - began) * 1e3
        timing = inference_pb2.TimingInfo(component="server_processing", duration_ms=took_ms)
        return inference_pb2.PredictResponse(result="ok", timing_info=[timing])


def serve_grpc(port: int, service_s: float) -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS))
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(Exact(service_s), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    serve = {"rest": serve_rest, "grpc": serve_grpc}[sys.argv[1]]
    serve(int(sys.argv[2]), float(sys.argv[3]) / 1e3)
