"""Facts about a run besides its requests, with which an archive gives the same result."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass
from types import MappingProxyType
from typing import Any, Final

from tracebench.model.measurement import Measurement
from tracebench.model.plan import Stability
from tracebench.model.record.requests import Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.results.result import Gauge, TcpInfo, Warmup
from tracebench.model.results.workers import Worker

_RECORDS: Final = {"tcp": TcpInfo, "until_stable": Stability, "warmup": Warmup}
"""The fields of a `Measurement` that have fields of their own."""


_TUPLES: Final = ("governors", "block_ends", "blocks_s")

_RECORD: Final = ("requests", "times", "left_out", "streams", "agreement")
"""The fields of a `Measurement` that are not written: records, which the root spans hold, and what
was asked by each of a target's requests, as spans do not tell which of them they are."""


@dataclass(frozen=True, slots=True)
class RunFacts:
    """Everything about one target's run that its root spans do not hold."""

    address: str
    session: Mapping[str, Any]
    """The fields of a `Result` that say when, where, how and with what it was measured."""
    load: Mapping[str, Any]
    """The fields of a `Measurement`, without its requests."""
    gauges: Mapping[str, Gauge] = field(default_factory=dict)
    """The server's gauges during the run."""

    @property
    def plan(self) -> Mapping[str, Any]:
        """The plan of the run, as far as it can be read."""
        return self.session.get("plan") or {}

    @property
    def rules(self) -> tuple[Sequence[str], str | None]:
        """The run's span mapping, `--map` and `--mapping`, as far as they can be read."""
        maps, mapping = self.plan.get("maps") or (), self.plan.get("mapping")
        return tuple(one for one in maps if isinstance(one, str)), mapping and str(mapping)

    def load_of(self, requests: Requests, times: ServerTimes) -> Measurement:
        """Restore the load."""
        return Measurement(requests=requests, times=times, **self.load)


def written(
    address: str,
    load: Measurement,
    session: Mapping[str, Any],
    gauges: Mapping[str, Gauge] = MappingProxyType({}),
) -> str:
    """The facts as text, for an attribute."""
    told = {
        one.name: _plain(getattr(load, one.name))
        for one in fields(Measurement)
        if one.name not in _RECORD
    }
    facts = {"address": address, "session": session, "load": told}
    if gauges:
        facts["gauges"] = {name: asdict(one) for name, one in gauges.items()}
    return json.dumps(facts, ensure_ascii=False, default=str)


def read(text: object) -> RunFacts | None:
    """Read what was written; None for anything else. Unknown fields are ignored."""
    try:
        facts = json.loads(str(text))
        load, session = dict(facts["load"]), dict(facts["session"])
        known = {one.name: load[one.name] for one in fields(Measurement) if one.name in load}
        for name, kind in _RECORDS.items():
            known[name] = kind(**load[name]) if load.get(name) is not None else None
        for name in _TUPLES:
            known[name] = tuple(load.get(name, ()))
        known["workers"] = tuple(Worker(**one) for one in load.get("workers", ()))
        gauges = {str(name): _gauge(one) for name, one in facts.get("gauges", {}).items()}
        found = RunFacts(str(facts["address"]), session, known, gauges)
        found.load_of(Requests.of(()), ServerTimes.of(()))
    except (AttributeError, ValueError, KeyError, TypeError, RecursionError):
        return None
    return found


def _gauge(told: Mapping[str, Any]) -> Gauge:
    return Gauge(
        metric=str(told["metric"]),
        t_s=tuple(map(float, told["t_s"])),
        value=tuple(map(float, told["value"])),
        min=float(told["min"]),
        median=float(told["median"]),
        max=float(told["max"]),
    )


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_plain(one) for one in value]
    return asdict(value) if is_dataclass(value) and not isinstance(value, type) else value
