"""Histograms are those of the HdrHistogram library, to the byte of every count."""

from base64 import b64decode, b64encode

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.analysis.series import latencies, normal
from tracebench.analysis.statistics.distribution import in_order
from tracebench.analysis.statistics.histogram import (
    Histogram,
    decoded,
    encoded,
    histogram_of,
    merged,
    quantiles_ms,
    within,
)

values = st.lists(st.integers(0, 2**52), min_size=1, max_size=60)


def of(numbers: list[int]) -> Histogram:
    return histogram_of(in_order(np.array(numbers, np.int64)))


@given(values)
@settings(deadline=None)
def test_the_library_reads_what_it_would_have_counted(numbers: list[int]) -> None:
    theirs = HdrHistogram(1, max(2, *numbers), 3)
    for number in numbers:
        assert theirs.record_value(number)
    read = HdrHistogram.decode(encoded(of(numbers)))
    assert read.get_total_count() == len(numbers)
    shares = (0, 1, 25, 50, 90, 95, 99, 99.9, 100)
    expected = [theirs.get_value_at_percentile(share) for share in shares]
    assert [read.get_value_at_percentile(share) for share in shares] == expected
    for number in numbers:
        assert read.get_count_at_value(number) == theirs.get_count_at_value(number)


@given(values)
@settings(deadline=None)
def test_what_the_library_writes_is_read(numbers: list[int]) -> None:
    theirs = HdrHistogram(1, max(2, *numbers), 3)
    for number in numbers:
        theirs.record_value(number)
    ours, read = of(numbers), decoded(theirs.encode().decode())
    assert (read.first, read.digits, read.counts.tolist()) == (
        ours.first,
        ours.digits,
        ours.counts.tolist(),
    )


@given(values)
def test_two_digits_are_the_library_s_too(numbers: list[int]) -> None:
    theirs = HdrHistogram(1, max(2, *numbers), 2)
    for number in numbers:
        theirs.record_value(number)
    read = decoded(theirs.encode().decode())
    coarse = of(numbers).coarse()
    assert (read.first, read.counts.tolist()) == (coarse.first, coarse.counts.tolist())
    assert decoded(encoded(coarse)).counts.tolist() == coarse.counts.tolist()


def test_a_quantile_is_within_a_thousandth() -> None:
    sample_ns = latencies(normal(1, 1, 200_000))[0]
    found = quantiles_ms(histogram_of(in_order(sample_ns)), (0.5, 0.99, 0.999))
    exact = np.sort(sample_ns)[[99_999, 197_999, 199_799]] / 1e6
    assert found == pytest.approx(exact.tolist(), rel=1e-3)


def test_merged_histograms_are_those_of_all_values() -> None:
    a, b = [5, 10_000, 10_000], [7_000_000, 1]
    both = merged([of(a), of(b)])
    assert (both.first, both.counts.sum()) == (1, 5)
    assert encoded(both) == encoded(of(a + b))
    mixed = merged([of(a), of(b).coarse()])
    assert encoded(mixed) == encoded(of(a + b).coarse())


def test_counts_of_any_size_survive() -> None:
    counts = np.array([1, 2**40, 0, 0, 2**55 - 1, 0, 127, 128])
    assert decoded(encoded(Histogram(counts, 5_000))).counts.tolist() == counts.tolist()


def test_below_nothing_is_nothing() -> None:
    assert of([-5, 0, 3]).counts.tolist() == [2, 0, 0, 1]
    assert of([-5]).counts.tolist() == [1]


def test_what_takes_too_much_loses_a_digit_of_custom_parts_first() -> None:
    wide = histogram_of(in_order(latencies(2 * normal(2, 1, 300_000))[0]))
    names = [f"part-{at}" for at in range(30)]
    found = within(120_000, {"inference": wide, **dict.fromkeys(names, wide)}, names)
    digits = {name: decoded(text).digits for name, text in found.items()}
    assert digits == {"inference": 3, **dict.fromkeys(names, 2)}
    assert sum(map(len, found.values())) <= 120_000
    few = within(120_000, {"inference": wide, "part-0": wide}, names)
    assert {decoded(text).digits for text in few.values()} == {3}
    all_wide = within(120_000, {f"leaf-{at}": wide for at in range(30)}, [])
    assert {decoded(text).digits for text in all_wide.values()} == {2}


good = encoded(of([1, 2, 3_000]))


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "AAAA", good[:-8], good[8:]),
        b64encode(b64decode(good)[:-3]).decode(),
        HdrHistogram(1, 2, 3).encode().decode(),
        HdrHistogram(1, 2000, 4).encode().decode(),
    ],
)
def test_damage_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decoded(text)
