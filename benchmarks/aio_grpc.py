"""A `grpc.aio` server and client, as most people write them.

aio_grpc.py serve PORT
aio_grpc.py call PORT BODY_BYTES CONNECTIONS STREAMS SECONDS     prints calls/s, CPU µs a call
aio_grpc.py make PORT BODY_BYTES CONNECTIONS CALLS               so many calls, and nothing else
"""

import asyncio
import sys
import time
from collections.abc import Callable, Coroutine
from typing import Any

import grpc

from tracebench.protos import inference_pb2, inference_pb2_grpc


class Service(inference_pb2_grpc.InferenceServiceServicer):
    async def Predict(self, request: Any, context: Any) -> Any:  # noqa: N802 - the interface's
        began = time.perf_counter()
        response = inference_pb2.PredictResponse(result="ok")
        if request.enable_timing:
            took_ms = (time.perf_counter() - began) * 1e3
            response.timing_info.add(component="server_processing", duration_ms=took_ms)
        return response


async def serve(port: int) -> None:
    server = grpc.aio.server()
    add: Any = inference_pb2_grpc.add_InferenceServiceServicer_to_server
    add(Service(), server)
    server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    await server.wait_for_termination()


async def call(port: int, size: int, connections: int, streams: int, seconds: float) -> None:
    own = [("grpc.use_local_subchannel_pool", 1)]  # else channels share one connection
    address = f"127.0.0.1:{port}"
    channels = [grpc.aio.insecure_channel(address, own) for _ in range(connections)]
    request = inference_pb2.PredictRequest(image_data=bytes(size), enable_timing=True)
    end, done = time.perf_counter() + seconds, 0

    async def work(channel: Any) -> None:
        nonlocal done
        stub: Any = inference_pb2_grpc.InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
        while time.perf_counter() < end:
            await stub.Predict(request)
            done += 1

    cpu_s = time.process_time()
    await asyncio.gather(*(work(channel) for channel in channels for _ in range(streams)))
    cpu_s = time.process_time() - cpu_s
    print(done / seconds, cpu_s / done * 1e6)
    for channel in channels:
        await channel.close(None)


async def make(port: int, size: int, connections: int, calls: int) -> None:
    own = [("grpc.use_local_subchannel_pool", 1)]
    request = inference_pb2.PredictRequest(image_data=bytes(size), enable_timing=True)

    async def work(count: int) -> None:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", own) as channel:
            stub: Any = inference_pb2_grpc.InferenceServiceStub(channel)  # type: ignore[no-untyped-call]
            for _ in range(count):
                await stub.Predict(request)

    await asyncio.gather(*(work(calls // connections) for _ in range(connections)))


if __name__ == "__main__":
    role, *numbers = sys.argv[1:]
    roles: dict[str, Callable[..., Coroutine[Any, Any, None]]]
    roles = {"serve": serve, "call": call, "make": make}
    asyncio.run(roles[role](*map(int, numbers)))
