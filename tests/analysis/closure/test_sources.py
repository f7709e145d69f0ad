"""Two sources of one request: what counts as a difference, and what is said of it."""

from collections.abc import Mapping

import pytest

from tests.analysis.samples import MS, SUCCESS, found, load
from tests.records import decomposed
from tracebench.analysis.closure.source_agreement import differences
from tracebench.analysis.summary.summary import summarise
from tracebench.model.record.exchange import Timing
from tracebench.model.results.result import Finding

US = 1_000


def told(total_ns: int, **parts_ns: int) -> Timing:
    return Timing(total_ns, parts_ns, "mirror")


@pytest.mark.parametrize(
    ("mirror", "spans", "expected"),
    [
        (told(9_123_457, inference=5 * MS), told(9_300_001, inference=5 * MS), {}),
        (told(9_123_457, inference=5 * MS), told(9_300_001, inference=8 * MS), {"inference": 3}),
        (told(9_123_457, inference=5 * MS), told(9_300_001), {"inference": -5}),
        (told(9_123_457), told(9_300_001, queue=2 * MS), {"queue": 2}),
        # in whole milliseconds: one more or less is rounding
        (told(9 * MS, inference=5 * MS), told(9_300_001, inference=5_900_000), {}),
        (told(9 * MS, inference=5 * MS), told(9_300_001, inference=6_200_000), {"inference": 1.2}),
        # clocks that are read one after the other
        (told(9_123_457, inference=5_000_001), told(9_200_000, inference=5_090_000), {}),
        # a proxy's own entry, which the server's spans do not know
        (told(9_123_457, origin=8 * MS), told(9_300_001), {}),
        (told(9_123_457, step=4 * MS), told(9_300_001, step=2 * MS), {"step": -2}),
        # a total of the reply's that the span does not cover
        (told(30_000_001), told(5 * MS), {"server_processing": -25.000001}),
        (told(5_000_001), told(30 * MS), {}),
        (told(30_000_001), told(28 * MS), {}),
    ],
)
def test_differences_beyond_resolution(
    mirror: Timing, spans: Timing, expected: Mapping[str, float]
) -> None:
    found = {name: ns / MS for name, ns in differences(mirror, spans).items()}
    assert found == pytest.approx(expected)


def finding(code: str, *timings: Timing) -> Finding | None:
    exchanges = [SUCCESS] * len(timings)
    return found(summarise("x", load(exchanges), decomposed(exchanges, timings)), code)


def test_disagreement_is_told_with_counts_and_sizes() -> None:
    agreed = told(9 * MS, inference=5 * MS)._replace(source="otlp", differs_ns={})
    apart = agreed._replace(differs_ns={"inference": -3 * MS, "queue": 20 * US})
    far = agreed._replace(differs_ns={"inference": 5 * MS})
    found = finding("sources_disagree", apart, far, agreed, agreed, told(9 * MS))
    assert found is not None
    assert found.severity == "warning"
    assert found.message == (
        "in 50 % of the 4 requests timed by both the reply and spans, the two differ by more than "
        "their resolution: inference by 4 ms (median of 2), queue by 0.02 ms (median of 1). The "
        "spans are used"
    )
    assert finding("sources_disagree", agreed, told(9 * MS)) is None
