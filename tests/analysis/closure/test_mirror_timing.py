"""Mirrors: rounding is forgiven, contradiction is not."""

from collections.abc import Mapping
from fractions import Fraction
from math import inf, nan

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server_middleware.vocabulary import REPORTED_PARTS
from tracebench.analysis.closure.attribution import mirror_timing
from tracebench.model.record.exchange import Timing, Undecomposed

MS, DIGIT_NS = 1_000_000, 100_000.0  # a mirror in ms, rounded to 0.1


def test_exact_numbers_are_taken_as_they_are() -> None:
    timing = mirror_timing(10e6, {"inference": 7e6, "queue": 1e6}, 1.0)
    assert timing == Timing(10 * MS, {"queue": MS, "inference": 7 * MS}, "mirror")


def test_numbers_in_full_may_still_be_half_a_nanosecond_off() -> None:
    found = mirror_timing(3.0, {"queue": 1.5, "inference": 1.5}, 1e-9)
    assert found == Timing(3, {"queue": 1, "inference": 2}, "mirror", scaled=True)


def test_what_was_not_reported_is_absent() -> None:
    assert mirror_timing(10e6, {}, 1.0) == Timing(10 * MS, {}, "mirror")


def test_names_of_the_author_s_own_must_fit_into_the_rest() -> None:
    found = mirror_timing(10e6, {"inference": 4e6, "tokenize": 7e6, "parse": 5e6}, 1.0)
    parts_ns = {"inference": 4 * MS, "parse": 5 * MS}
    assert found == Timing(10 * MS, parts_ns, "mirror", left_out=("tokenize",))
    assert mirror_timing(None, {"tokenize": 7e6}, 1.0) is Undecomposed.NO_TOTAL


def test_server_other_is_not_taken_over() -> None:
    timing = mirror_timing(10e6, {"inference": 7e6, "server_other": 3e6}, 1.0)
    assert timing == Timing(10 * MS, {"inference": 7 * MS}, "mirror")


def test_server_other_must_fit() -> None:
    found = mirror_timing(10e6, {"inference": 7e6, "server_other": 9e6}, 1.0)
    assert found is Undecomposed.EXCESS


@pytest.mark.parametrize(
    ("parts_ms", "total_ms", "scaled"),
    [
        ({"inference": 5.0}, 5.0, False),
        ({"inference": 5.1}, 5.0, True),
        ({"inference": 5.2}, 5.0, None),
        ({"inference": 3.1, "queue": 2.0}, 5.0, True),
        ({"inference": 3.2, "queue": 2.0}, 5.0, None),
        ({"inference": 3.2, "queue": 1.0, "preprocessing": 1.0}, 5.0, True),
        ({"inference": 0.1}, 0.0, True),
    ],
)
def test_an_excess_of_half_a_digit_each(
    parts_ms: Mapping[str, float], total_ms: float, scaled: bool | None
) -> None:
    parts_ns = {part: ms * MS for part, ms in parts_ms.items()}
    found = mirror_timing(total_ms * MS, parts_ns, DIGIT_NS)
    if scaled is None:
        assert found is Undecomposed.EXCESS
    else:
        assert isinstance(found, Timing)
        assert found.scaled is scaled
        assert sum(found.parts_ns.values()) == found.total_ns


def test_scaling_keeps_proportions() -> None:
    found = mirror_timing(8 * MS, {"queue": 3.1 * MS, "inference": 5.0 * MS}, DIGIT_NS)
    assert found == Timing(8 * MS, {"queue": 3_061_728, "inference": 4_938_272}, "mirror", True)


@pytest.mark.parametrize("bad", [-1.0, nan, inf, -inf, 1e300])
def test_what_is_no_duration(bad: float) -> None:
    assert mirror_timing(bad, {}, 1.0) is Undecomposed.MALFORMED
    for part in ("inference", "server_other"):
        assert mirror_timing(1e6, {part: bad}, 1.0) is Undecomposed.MALFORMED
        assert mirror_timing(None, {part: bad}, 1.0) is Undecomposed.MALFORMED


def test_without_a_total() -> None:
    assert mirror_timing(None, {"inference": 1.0}, 1.0) is Undecomposed.NO_TOTAL


@pytest.mark.parametrize("resolution_ns", [0.0, 1e-9, inf])
def test_any_resolution(resolution_ns: float) -> None:
    assert isinstance(mirror_timing(10e6, {"queue": 1.0}, resolution_ns), Timing)


exact_times = st.tuples(
    st.dictionaries(st.sampled_from(REPORTED_PARTS), st.integers(0, 10**9)), st.integers(0, 10**9)
)


@given(exact_times)
def test_a_mirror_rounded_to_a_tenth_is_always_readable(
    times: tuple[Mapping[str, int], int],
) -> None:
    parts_ns, other_ns = times
    total_ns = sum(parts_ns.values()) + other_ns

    def rounded(value_ns: int) -> float:
        return float(round(Fraction(value_ns, MS), 1)) * MS

    mirrored = {part: rounded(value_ns) for part, value_ns in parts_ns.items()}
    found = mirror_timing(rounded(total_ns), mirrored, DIGIT_NS)
    assert isinstance(found, Timing)
    assert found.parts_ns.keys() == parts_ns.keys()
    named_ns = sum(found.parts_ns.values())
    assert named_ns == found.total_ns if found.scaled else named_ns <= found.total_ns
    for part, value_ns in found.parts_ns.items():
        assert 0 <= value_ns <= round(mirrored[part])
