"""Three real gRPC servers that echo bytes: grpcio with threads, grpcio with asyncio, and Go's.

Methods of `test.Echo`: Say echoes; Gzip echoes a compressed message; Fail fails with NOT_FOUND;
Wait never answers.
"""

import asyncio
import shutil
import subprocess
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeAlias

import grpc
import grpc.aio
import pytest

AioContext: TypeAlias = "grpc.aio.ServicerContext[bytes, bytes]"
GO_SOURCE = Path(__file__).parent.parent / "peers" / "go"
_GZIP = (("grpc-internal-encoding-request", "gzip"),)
_FAILURE = (grpc.StatusCode.NOT_FOUND, "no such model: é")


def _traced(context: Any) -> tuple[tuple[str, str | bytes], ...]:
    received = dict(context.invocation_metadata())
    return (("last-bin", b"\x00\xff"), ("traced", received["traceparent"]))


@contextmanager
def threads() -> Iterator[int]:
    over = threading.Event()

    def say(message: bytes, context: grpc.ServicerContext) -> bytes:
        context.send_initial_metadata((("first", "1"),))
        context.set_trailing_metadata(_traced(context))
        return message

    def compress(message: bytes, context: grpc.ServicerContext) -> bytes:
        context.set_compression(grpc.Compression.Gzip)
        return say(message, context)

    def fail(_message: bytes, context: grpc.ServicerContext) -> bytes:
        context.abort(*_FAILURE)

    def wait(message: bytes, _context: grpc.ServicerContext) -> bytes:
        over.wait()
        return message

    server = grpc.server(ThreadPoolExecutor(8), options=_UNLIMITED)
    server.add_generic_rpc_handlers((_handlers(Say=say, Gzip=compress, Fail=fail, Wait=wait),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield port
    finally:
        over.set()
        server.stop(None).wait()


@contextmanager
def coroutines() -> Iterator[int]:
    async def say(message: bytes, context: AioContext) -> bytes:
        await context.send_initial_metadata((("first", "1"),))
        context.set_trailing_metadata(_traced(context))
        return message

    async def compress(message: bytes, context: AioContext) -> bytes:
        await context.send_initial_metadata((("first", "1"), *_GZIP))
        context.set_trailing_metadata(_traced(context))
        return message

    async def fail(_message: bytes, context: AioContext) -> bytes:
        await context.abort(*_FAILURE)

    async def wait(message: bytes, _context: AioContext) -> bytes:
        await asyncio.Event().wait()
        return message

    handlers = _handlers(Say=say, Gzip=compress, Fail=fail, Wait=wait)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()

    async def start() -> tuple[grpc.aio.Server, int]:
        server = grpc.aio.server(options=_UNLIMITED)
        server.add_generic_rpc_handlers((handlers,))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        return server, port

    server, port = asyncio.run_coroutine_threadsafe(start(), loop).result()
    try:
        yield port
    finally:
        asyncio.run_coroutine_threadsafe(server.stop(None), loop).result()
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


@contextmanager
def go(folder: Path, package: str = ".") -> Iterator[int]:
    """Build a Go server in `folder`, and run it; skips the test where that is not possible."""
    if shutil.which("go") is None:
        pytest.skip("no Go on this machine")
    program = folder / "echo"
    built = subprocess.run(
        ["go", "build", "-o", program, package], cwd=GO_SOURCE, capture_output=True, text=True
    )
    if built.returncode:
        pytest.skip(f"the Go server cannot be built: {built.stderr.strip()[-200:]}")
    with subprocess.Popen(
        [program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.communicate()


_UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]


def _handlers(**methods: Any) -> "grpc.GenericRpcHandler[bytes, bytes]":
    return grpc.method_handlers_generic_handler(
        "test.Echo", {name: grpc.unary_unary_rpc_method_handler(m) for name, m in methods.items()}
    )
