"""gevent: threads that it makes greenlets of are followed, its own greenlets are counted."""

import subprocess
import sys

import pytest

pytestmark = pytest.mark.live
pytest.importorskip("gevent")

PROGRAM = """
from gevent import monkey

monkey.patch_all()

import contextvars
from concurrent.futures import ThreadPoolExecutor
from threading import Thread

import gevent

from server_middleware import component
from server_middleware.context.outside_requests import strays
from server_middleware.context.threads import follow_threads
from tests.middleware.requests import parts, request

follow_threads()
infer = component("inference")(lambda: gevent.sleep(0.01))


def in_thread():
    thread = Thread(target=infer)
    thread.start()
    thread.join()


def in_pool():
    with ThreadPoolExecutor(1) as pool:
        pool.submit(infer).result()


ways = {
    "thread": in_thread,
    "pool": in_pool,
    "copy": lambda: gevent.spawn(contextvars.copy_context().run, infer).join(),
    "greenlet": lambda: gevent.spawn(infer).join(),
    "native": lambda: gevent.get_hub().threadpool.apply(infer),
}
for name, way in ways.items():
    before = strays.count
    with request() as recorder:
        way()
        print(name, *parts(recorder), strays.count - before)
"""


def test_what_is_followed_and_what_is_counted() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout.splitlines() == [
        "thread inference 0",
        "pool inference 0",
        "copy inference 0",
        "greenlet 1",
        "native 1",
    ], done.stderr
