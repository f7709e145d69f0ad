"""Measures one cell with tracebench's engine, as `tracebench run` does, and keeps every stamp.

`python -m benchmarks.streams.client PORT FOLDER CELL`: CELL in JSON. Writes `found.npz` to FOLDER.
"""

import ctypes
import json
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.streams import method
from benchmarks.streams.cells import Cell
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare.targets import prepare
from tracebench.load.progress import Watcher
from tracebench.model.measurement import Measurement
from tracebench.model.plan import Calls, Payload, Payloads, Plan, Targets, Tls, Workload
from tracebench.model.shards import Endless

CERTIFICATE: Final = "certificate.pem"
FOUND: Final = "found.npz"
_LONG_EVERY: Final = 200
_STALL_US, _BETWEEN_STALLS_S = 20_000, 0.18


def planned(cell: Cell, port: int, folder: Path) -> Plan:
    """The cell as tracebench is asked for it."""
    targets, calls = Targets(rest_url=_url(cell, port)), Calls()
    if cell.protocol == "grpc":
        descriptor = folder / "descriptor"
        method.write_descriptor(descriptor)
        targets = Targets(grpc_server=f"127.0.0.1:{port}")
        calls = Calls(grpc_method=method.NAME, descriptor=str(descriptor))
    asked = [cell.asked()]
    if cell.long_tokens:
        asked.append(asked[0] | {"max_tokens": cell.long_tokens, "gap_ms": 1})
    return Plan(
        Payloads(tuple(_payload(json.dumps(one), cell) for one in asked)),
        targets,
        calls=calls,
        tls=Tls(cacert=str(folder / CERTIFICATE) if cell.protocol == "tls" else None),
        load=Workload(requests=cell.requests, concurrency=cell.concurrency),
    )


def _url(cell: Cell, port: int) -> str:
    scheme = "https" if cell.protocol == "tls" else "http"
    return f"{scheme}://127.0.0.1:{port}/v1/chat/completions"


def _payload(text: str, cell: Cell) -> Payload:
    content = json.dumps({"text": text}) if cell.protocol == "grpc" else text
    return Payload(content.encode(), "application/json", "prompt.json", "json")


def ready(cell: Cell, plan: Plan) -> PreparedTarget:
    """The target, tried; one of many requests is the long one, where there is one."""
    (prepared,) = prepare(plan).values()
    if not cell.long_tokens:
        return prepared
    return replace(prepared, variants=Endless([1] + [0] * (_LONG_EVERY - 1)))


def stall() -> None:
    """Keep Python's lock now and then, so that nothing else of this process runs."""
    sleep = ctypes.PyDLL(None).usleep
    while True:
        time.sleep(_BETWEEN_STALLS_S)
        sleep(_STALL_US)


def keep(load: Measurement, cpu_ns: int, file: Path) -> None:
    """Write what was recorded of each stream."""
    streams = load.streams
    assert streams is not None
    draws = streams.rows["draw"].tolist()
    np.savez(
        file,
        rows=streams.rows,
        reads=streams.reads,
        names=np.array([load.requests.ids(draw)[0] for draw in draws]),
        succeeded=sum(int(page.succeeded.sum()) for page in load.requests.pages()),
        cpu_ns=cpu_ns,
    )


def main() -> None:
    port, folder = int(sys.argv[1]), Path(sys.argv[2])
    cell = Cell(**json.loads(sys.argv[3]))
    plan = planned(cell, port, folder)
    prepared = ready(cell, plan)
    if cell.stalls:
        threading.Thread(target=stall, daemon=True).start()
    began_ns = time.process_time_ns()
    load = measure(prepared, plan.load, Watcher())
    keep(load, time.process_time_ns() - began_ns, folder / FOUND)


if __name__ == "__main__":
    main()
