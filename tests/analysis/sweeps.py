"""Sweeps of servers whose every time is known."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from tests.analysis.samples import MS, SUCCESS
from tests.records import decomposed, measured
from tracebench.analysis.summary.summary import summarise
from tracebench.model.record.exchange import Timing
from tracebench.model.results.result import Finding, TargetResult, TcpInfo, Verdict

LOADS = (1, 2, 4, 8, 16)
NEAR = TcpInfo(0.05, 0.1, 0, 1)
Times = Mapping[str, float]
"""Mean ms in each part; `client` and `network` are the client's, the rest the server's."""


def target(
    times_ms: Times, throughput_rps: float, *, tcp: TcpInfo = NEAR, invalid: str = ""
) -> TargetResult:
    """A server that spends the same times on each of 40 requests, at this throughput.

    Args:
        times_ms: what it spends; all but `backlog`, `client` and `network` are parts
            that the server reports.
        throughput_rps: how many requests a second it completes.
        tcp: what the kernel knew.
        invalid: a finding that makes the step invalid.
    """
    ns = {name: round(ms * MS) for name, ms in times_ms.items()}
    backlog, client, network = ns.pop("backlog", 0), ns.pop("client", 0), ns.pop("network", 0)
    other = ns.pop("server_other", 0)
    sent = SUCCESS.ready_ns + client
    arrived = sent + network + sum(ns.values()) + other
    one = SUCCESS._replace(
        scheduled_ns=SUCCESS.ready_ns - backlog,
        sent_ns=sent,
        first_byte_ns=arrived,
        arrived_ns=arrived,
        done_ns=arrived,
    )
    exchanges = [one] * 40
    timing = Timing(sum(ns.values()) + other, ns, "mirror")
    run = measured(exchanges, duration_s=40 / throughput_rps, cpu_s=0.1, tcp=tcp)
    found = summarise("http://x", run, decomposed(exchanges, [timing] * 40))
    findings = (Finding(invalid, "invalid", "so it is", "mend it"),) if invalid else ()
    return replace(found, verdict=Verdict(not invalid, findings))


def closed(
    times_ms: Callable[[int], Times], loads: tuple[int, ...] = LOADS
) -> dict[float, TargetResult]:
    """A closed loop over the loads: throughput is what Little's law says."""
    found: dict[float, TargetResult] = {}
    for load in loads:
        times = times_ms(load)
        found[load] = target(times, 1e3 * load / sum(times.values()))
    return found


def pool(workers: int, *, waits_in: str) -> Callable[[int], Times]:
    """A pool in which 10 ms of inference take 10 ms however many run; the others wait."""

    def times_ms(load: int) -> Times:
        waiting = 10.0 * max(0.0, load / workers - 1)
        return {"network": 0.1, "inference": 9.9, waits_in: waiting + 0.1 * (waits_in == "network")}

    return times_ms


def cores(count: int) -> Callable[[int], Times]:
    """Processor sharing: 2 ms and 8 ms of work that stretch alike where there are fewer cores."""

    def times_ms(load: int) -> Times:
        stretch = max(1.0, load / count)
        return {"network": 0.1, "preprocessing": 0.5 * stretch, "inference": 9.4 * stretch}

    return times_ms
