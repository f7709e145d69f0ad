"""What a result keeps for comparisons: that it is right, and that it is small."""

from dataclasses import replace

import numpy as np
import pytest

from tests.analysis.samples import (
    FAILED,
    MS,
    NO_TIMING,
    SUCCESS,
    TIMED_OUT,
    TIMING,
    load,
    shifted,
    target,
)
from tests.analysis.series import latencies, normal
from tests.load.streams.exact_streams import Streamed, chat, streams, tokens
from tests.records import decomposed, measured
from tests.report.samples import result
from tracebench.analysis.closure.decomposition import decompose
from tracebench.analysis.statistics.histogram import decoded, quantiles_ms
from tracebench.analysis.summary.summary import summarise
from tracebench.model.measurement import Measurement
from tracebench.model.record import server_times as told
from tracebench.model.record.columns import ABSENT, PAGE_ROWS, Columns, Int64
from tracebench.model.record.exchange import Timing
from tracebench.model.record.requests import (
    CONNECT,
    DRAW,
    LOST,
    OUTCOME,
    REASON,
    SLOT,
    STAMP,
    STATUS,
    VARIANT,
    WRITE_LAG,
    IdsAsText,
    Requests,
    stamp_columns,
)
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.results.result import TargetResult
from tracebench.model.results.statistics import Statistics
from tracebench.report.files.result_file import dumps, loads

CUSTOM = tuple(f"a-step-of-the-author-s-own-{at}" for at in range(20))


def test_blocks_tell_when_the_server_changed() -> None:
    slower = [shifted(n, longer_ms=5 * (n >= 40)) for n in range(80)]
    blocks = target(slower).blocks
    assert blocks is not None
    assert blocks.start_s == (0, 0.4, 0.8, 1.2)
    assert blocks.count == (20, 20, 20, 20)
    network = blocks.components["network"]
    assert network.mean_ms == (2, 2, 7, 7)
    assert network.halves["p50_ms"] == (2, 7)
    assert blocks.components["inference"].halves["mean_ms"] == (5, 5)


def test_rounds_of_an_alternating_run_are_its_blocks() -> None:
    run = replace(load([shifted(n) for n in range(80)]), block_ends=(10, 40, 40, 80))
    blocks = target([shifted(n) for n in range(80)], run=run).blocks
    assert blocks is not None
    assert blocks.start_s == (0, 0.2, 0.8)
    assert blocks.count == (10, 30, 40)


def test_a_part_that_some_requests_have_keeps_its_blocks() -> None:
    with_queue = Timing(8 * MS, {"queue": MS, "inference": 5 * MS}, "mirror")
    exchanges = [shifted(n) for n in range(80)]
    timings = [with_queue if n >= 60 else TIMING for n in range(80)]
    run = load(exchanges)
    blocks = summarise("x", run, decomposed(exchanges, timings)).blocks
    assert blocks is not None
    assert blocks.components["queue"].mean_ms == (None, None, None, 1)
    assert blocks.components["queue"].halves == {}
    assert blocks.components["end_to_end"].mean_ms == (10.2,) * 4


def test_latency_stands_beside_end_to_end_where_it_covers_more() -> None:
    alike = target([SUCCESS] * 30)
    assert alike.blocks is not None
    assert "latency" not in alike.blocks.components
    assert alike.blocks.components.keys() == alike.histograms.keys() == alike.components.keys()
    mixed = target([SUCCESS] * 30 + [TIMED_OUT] * 2, NO_TIMING)
    assert mixed.blocks is not None
    assert decoded(mixed.histograms["latency"]).counts.sum() == 32
    assert decoded(mixed.histograms["end_to_end"]).counts.sum() == 30


def test_without_a_success_there_is_nothing_to_keep() -> None:
    nothing = target([FAILED] * 3, NO_TIMING)
    assert nothing.blocks is None
    assert nothing.histograms == {}


def test_streams_are_kept_too() -> None:
    found = Streamed(streams(chat(tokens(32))), requests=12).target
    assert found.blocks is not None
    assert found.stream is not None
    names = ("ttft", "ttft_service", "first_text", "itl", "tpot", "generation", "ending")
    for name in names:
        statistics: Statistics = getattr(found.stream, name)
        histogram = decoded(found.histograms[f"stream.{name}"])
        assert histogram.counts.sum() == statistics.count
        assert quantiles_ms(histogram, [0.5]) == pytest.approx([statistics.p50_ms], rel=1e-3)
    itl = found.blocks.components["stream.itl"].halves["mean_ms"]
    assert found.stream.itl is not None
    assert sum(itl) / 2 == pytest.approx(found.stream.itl.mean_ms, rel=1e-6)


def million(count: int = 1_000_000) -> tuple[Measurement, ServerTimes]:
    """Requests as wide-spread as those of a busy server, with 20 parts of the author's own."""

    def drawn(seed: int, scale: float = 1.0) -> Int64:
        return np.asarray(latencies(normal(seed, 1, count) * 2)[0] * scale, np.int64)

    parts = {"preprocessing": drawn(1, 0.1), "inference": drawn(2), "queue": drawn(3, 0.5)}
    parts |= {name: drawn(10 + at, 0.02) for at, name in enumerate(CUSTOM)}
    total = np.sum([*parts.values()], axis=0) + drawn(4, 0.05)
    at = np.arange(count) * 100_000
    sent = at + 20_000 + drawn(5, 0.001)
    arrived = sent + total + drawn(6, 0.1)
    stamps = {"ready": at, "sent": sent, "first_byte": arrived, "arrived": arrived}
    columns = stamp_columns(at, stamps | {"done": arrived + drawn(7, 0.001)})
    columns |= dict.fromkeys((CONNECT, WRITE_LAG, SLOT, VARIANT, OUTCOME), np.zeros(count, int))
    columns |= dict.fromkeys((STAMP, REASON, STATUS), np.zeros(count, np.int64))
    columns |= {LOST: np.full(count, ABSENT), DRAW: np.arange(count)}
    said = {told.PROBLEM: np.full(count, ABSENT), told.TOTAL: total}
    said |= dict.fromkeys((told.SCALED, told.SOURCE, told.CAME_WITH_COLUMN), np.zeros(count, int))
    said |= {told.PART + name: values for name, values in parts.items()}
    requests = Requests(_paged(columns, count), IdsAsText(lambda draw: (f"{draw:032x}", "0" * 16)))
    load = Measurement(requests, ServerTimes.of(()), 100.0, 1.0, None)
    return load, ServerTimes(_paged(said, count))


def _paged(columns: dict[str, Int64], count: int) -> Columns:
    paged = Columns()
    for at in range(0, count, PAGE_ROWS):
        some = {name: values[at : at + PAGE_ROWS] for name, values in columns.items()}
        paged.append(some, min(PAGE_ROWS, count - at))
    return paged


def kept_bytes(found: TargetResult) -> int:
    """What a result file has more for blocks and histograms."""
    bare = replace(found, blocks=None, histograms={})
    return len(dumps(result(rest=found)).encode()) - len(dumps(result(rest=bare)).encode())


@pytest.mark.slow
def test_a_million_requests_with_twenty_custom_parts_take_less_than_200_kb() -> None:
    load, times = million()
    found = summarise("http://x", load, decompose(load.requests, times))
    assert found.decomposed == 1_000_000
    assert found.histograms.keys() >= {"end_to_end", "inference", *CUSTOM}
    assert kept_bytes(found) <= 200_000
    digits = {name: decoded(text).digits for name, text in found.histograms.items()}
    assert {digits[name] for name in found.histograms if name not in CUSTOM} == {3}
    exact = found.components["inference"].p99_ms
    assert quantiles_ms(decoded(found.histograms["inference"]), [0.99])[0] == pytest.approx(
        exact, rel=1e-3
    )


def test_a_short_run_takes_little_and_survives_the_file() -> None:
    exchanges = [shifted(n) for n in range(200)]
    found = summarise(
        "x",
        measured(exchanges, duration_s=4.0, cpu_s=0.1, tcp=None),
        decomposed(exchanges, [TIMING] * 200),
    )
    assert kept_bytes(found) < 20_000
    again = loads(dumps(result(rest=found))).targets["rest"]
    assert again.blocks == found.blocks
    assert again.histograms == found.histograms
