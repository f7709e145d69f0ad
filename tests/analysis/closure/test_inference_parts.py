"""`prefill` and `decode`: their time is inference, and they stand below it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.analysis.samples import MS, SUCCESS, load, read
from tests.records import decomposed
from tests.tracing.mapping.samples import span, timing
from tracebench.analysis.closure.source_agreement import Told, differences, differences_alike
from tracebench.analysis.summary.summary import summarise
from tracebench.model.components import LEAVES
from tracebench.model.record.columns import ABSENT
from tracebench.model.record.exchange import Reply, Timing, Undecomposed
from tracebench.model.results.result import TargetResult
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.mirror.timings import read_timing

TOTAL_MS = 9


def told(**parts_ms: float) -> Timing:
    parts_ns = {name: round(ms * MS) for name, ms in parts_ms.items()}
    return Timing(TOTAL_MS * MS, parts_ns, "mirror")


def measured(*timings: Timing) -> TargetResult:
    run = load([SUCCESS] * len(timings))
    return summarise("x", run, decomposed(list(run.requests), timings))


def mean_ms(found: TargetResult, name: str) -> float:
    return found.components[name].mean_ms


def test_they_count_as_inference_beside_what_is_told_of_it() -> None:
    found = measured(told(queue=1, inference=0.5, prefill=1.5, decode=4))
    assert found.parts_of == {"inference": ("prefill", "decode")}
    assert mean_ms(found, "inference") == 6
    assert mean_ms(found, "server_other") == 2
    assert (mean_ms(found, "prefill"), mean_ms(found, "decode")) == (1.5, 4)
    assert set(found.share) <= set(LEAVES)
    assert sum(found.share.values()) == pytest.approx(1)


def test_where_they_alone_are_told_they_are_all_of_it() -> None:
    found = measured(told(prefill=2, decode=4), told(decode=6), told(queue=1))
    assert found.components["inference"].count == 2
    assert mean_ms(found, "inference") == 6
    assert found.components["prefill"].count == 1


def test_own_parts_stand_beside_them() -> None:
    found = measured(told(prefill=2, tokenize=1))
    assert found.parts_of == {"inference": ("prefill",), "server_other": ("tokenize",)}
    assert mean_ms(found, "server_other") == 7


def test_what_to_do_depends_on_which_takes_most() -> None:
    assert "100 % of that is decode: try quantisation, spec" in read(measured(told(decode=8)))
    assert "prefill: send shorter prompts" in read(measured(told(prefill=6, decode=2)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("prefill;dur=2, decode;dur=4, total;dur=9", told(prefill=2, decode=4)),
        ("prefill;dur=2, decode;dur=12, total;dur=9", Undecomposed.EXCESS),
        ("prefill;dur=-1, total;dur=9", Undecomposed.MALFORMED),
        ("decode;dur=1", Undecomposed.NO_TOTAL),
    ],
)
def test_a_mirror_must_tell_them_as_the_other_standard_parts(
    text: str, expected: Timing | Undecomposed
) -> None:
    found = read_timing(Reply("200", {"server-timing": text}, b"", frozenset({"server-timing"})))
    assert found == expected


def test_spans_that_say_so() -> None:
    spans = [
        span("POST /chat", 0, 9, kind="SERVER"),
        span("generate", 1, 8, "POST /chat", attributes={"tracebench.component": "inference"}),
        span("first", 1, 3, "generate", attributes={"tracebench.component": "prefill"}),
        span("rest", 3.5, 8, "generate", attributes={"tracebench.component": "decode"}),
    ]
    found = timing(Mapper(), *spans)
    assert isinstance(found, Timing)
    assert found.parts_ns == {"inference": MS / 2, "prefill": 2 * MS, "decode": 4.5 * MS}


TIMES = st.integers(0, 2 * MS)


@given(
    st.lists(st.fixed_dictionaries({}, optional=dict.fromkeys(LEAVES[-5:-1], TIMES)), min_size=1)
)
def test_the_server_s_time_is_the_sum_of_its_leaves(each: list[dict[str, int]]) -> None:
    extra = [{"prefill": len(one) * 7, "decode": 11} for one in each]
    timings = [
        Timing(TOTAL_MS * MS, {**one, **more}, "mirror")
        for one, more in zip(each, extra, strict=True)
    ]
    run = load([SUCCESS] * len(timings))
    columns = decomposed(list(run.requests), timings).columns
    parts = [columns[name].clip(min=0) for name in LEAVES[-5:]]
    assert np.array_equal(np.sum(parts, axis=0), columns["server_processing"])


def test_a_source_that_tells_of_the_parts_agrees_with_one_that_tells_of_the_whole() -> None:
    whole, parts = told(inference=6), told(inference=0.5, prefill=1.5, decode=4)
    assert differences(whole, parts) == {}
    assert differences(told(inference=3.001), parts) == {"inference": 2_999_000}
    found = differences_alike(in_columns(told(inference=3.001)), in_columns(parts))
    assert found["inference"].tolist() == [2_999_000]
    assert all((ns == ABSENT).all() for name, ns in found.items() if name != "inference")


def in_columns(one: Timing) -> Told:
    parts_ns = {name: np.array([ns]) for name, ns in one.parts_ns.items()}
    return Told(np.array([one.total_ns]), parts_ns)
