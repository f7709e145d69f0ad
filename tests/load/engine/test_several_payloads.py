"""Several payloads: each is sent as often as it should be, counted by real servers."""

import json
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import trustme

from tests.load.zoo import CLASSIFY, zoo
from tests.plans import changed, plan_of
from tests.servers import HOST, read_request, reply, serving
from tests.tls import ca_file, context, under_tls
from tracebench.benchmark import run
from tracebench.load.engine import memory_mapped
from tracebench.load.engine.target import MOST_TRIED, variants
from tracebench.model.errors import TargetError, UsageError
from tracebench.model.plan import Calls, Payload, Payloads, Plan, Targets, Workload

JSON = "application/json"


def payloads(count: int, size: int = 1) -> tuple[Payload, ...]:
    """Of different sizes, each telling its number."""
    contents = [
        json.dumps({"name": f"{n}", "pad": "x" * (n * size)}).encode() for n in range(count)
    ]
    return tuple(Payload(one, JSON, f"{n}.json", "json") for n, one in enumerate(contents))


@contextmanager
def counting(
    answer: Callable[[str], bytes] = lambda name: reply(),
) -> Iterator[tuple[str, Counter[str]]]:
    """An HTTP server that counts the names it is sent, and reads each body to its end."""
    counted: Counter[str] = Counter()
    lock = threading.Lock()

    def script(connection: socket.socket) -> None:
        while request := read_request(connection):
            name = json.loads(request.partition(b"\r\n\r\n")[2])["name"]
            with lock:
                counted[name] += 1
            connection.sendall(answer(name))

    with serving(script) as port:
        yield f"http://{HOST}:{port}/v1/models/m:predict", counted


def measured(url: str, several: tuple[Payload, ...], **more: Any) -> Any:
    result = run(plan_of(several, rest_url=url, **more))
    found = result.targets["rest"]
    assert found.requests.succeeded == more["requests"], found.errors
    return result


@pytest.mark.parametrize("concurrency", [1, 4])
def test_rotation_over_rest(concurrency: int) -> None:
    with counting() as (url, counted):
        result = measured(url, payloads(7), requests=700, concurrency=concurrency)
    assert counted == {f"{n}": 100 + 1 for n in range(7)}  # each was tried once before
    sizes = [len(one.content) for one in payloads(7)]
    expected = {"count": 7, "smallest_bytes": min(sizes), "largest_bytes": max(sizes)}
    assert result.plan["sent"]["rest"] == expected
    assert result.plan["payload"]["count"] == 7
    assert result.plan["payload"]["bytes"] == sum(sizes)


@pytest.mark.parametrize(("concurrency", "private"), [(2, True), (40, False)])
def test_rotation_of_large_bodies(concurrency: int, private: bool) -> None:
    several = payloads(4, size=300_000)
    copies = concurrency * sum(len(one.content) for one in several)
    assert (copies <= memory_mapped.MOST_PRIVATE_BYTES) is private
    with counting() as (url, counted):
        measured(url, several, requests=40, concurrency=concurrency)
    assert counted == {f"{n}": 11 for n in range(4)}


@pytest.mark.parametrize("count", [memory_mapped.MOST_PRIVATE, 600])
def test_many_small_payloads(count: int) -> None:
    with counting() as (url, counted):
        measured(url, payloads(count, size=0), requests=count, concurrency=8)
    assert len(counted) == count
    assert set(counted.values()) == {1, 2}
    assert sum(count == 2 for count in counted.values()) == MOST_TRIED


def test_random_order_is_named_by_the_seed() -> None:
    def drawn(seed: int) -> Counter[str]:
        with counting() as (url, counted):
            measured(url, payloads(5), requests=500, order="random", seed=seed)
        return counted

    first = drawn(1)
    assert first == drawn(1)
    assert first != drawn(2)
    assert all(60 < first[f"{n}"] < 140 for n in range(5))


def test_rotation_over_grpc_on_shared_connections() -> None:
    animals = tuple(
        Payload(json.dumps({"name": name, "picture": "A" * 40_000}).encode(), JSON, name, "json")
        for name in ("ant", "bee", "cat")
    )
    with zoo() as (address, asked):
        plan = Plan(
            Payloads(animals),
            Targets(grpc_server=address),
            calls=Calls(grpc_method=CLASSIFY),
            load=Workload(requests=300),
        )
        for connections in (None, 1):
            asked.clear()
            options: Any = {"concurrency": 6, "connections": connections}
            found = run(changed(plan, **options)).targets["grpc"]
            assert found.requests.succeeded == 300
            assert asked == {"ant": 101, "bee": 101, "cat": 101}


def test_rotation_over_tls(tmp_path: Path) -> None:
    authority = trustme.CA()
    counted: Counter[str] = Counter()

    def script(connection: socket.socket) -> None:
        while request := read_request(connection):
            counted[json.loads(request.partition(b"\r\n\r\n")[2])["name"]] += 1
            connection.sendall(reply())

    with serving(under_tls(context(authority), script)) as port:
        url = f"https://{HOST}:{port}/x"
        measured(url, payloads(3), requests=30, cacert=ca_file(authority, tmp_path))
    assert counted == {"0": 11, "1": 11, "2": 11}


def test_every_payload_is_tried_before_the_run() -> None:
    with (
        counting(lambda name: reply(b"no", "400 Bad") if name == "3" else reply()) as (
            url,
            counted,
        ),
        pytest.raises(TargetError, match=r"3\.json: HTTP 400"),
    ):
        run(Plan(Payloads(payloads(5)), Targets(rest_url=url)))
    assert counted == {"0": 1, "1": 1, "2": 1, "3": 1}


def test_a_payload_that_is_refused_over_grpc_is_named() -> None:
    animals = tuple(
        Payload(json.dumps({"name": name}).encode(), JSON, f"{name}.json", "json")
        for name in ("ant", "dragon")
    )
    with zoo() as (address, _), pytest.raises(TargetError, match=r"dragon\.json: the call ended"):
        run(
            Plan(Payloads(animals), Targets(grpc_server=address), calls=Calls(grpc_method=CLASSIFY))
        )


def test_one_payload_that_is_wrong_for_grpc_is_named() -> None:
    with zoo() as (address, _), pytest.raises(UsageError, match=r"--json '0\.json' is not a zoo"):
        run(
            Plan(
                Payloads(payloads(2)),
                Targets(grpc_server=address),
                calls=Calls(grpc_method=CLASSIFY),
            )
        )


def test_variants() -> None:
    assert variants("rotate", 0, 1) is None
    assert list(islice(variants("rotate", 0, 3) or (), 7)) == [0, 1, 2, 0, 1, 2, 0]
