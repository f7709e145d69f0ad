"""Numbers as people read them."""

import pytest

from tracebench.analysis.numbers import (
    Wording,
    approximately,
    counted,
    percent,
    rounded,
    whole_percent,
)


@pytest.mark.parametrize(
    ("value", "digits", "said"),
    [
        (0, 3, "0"),
        (12.345, 3, "12.3"),
        (999.6, 3, "1,000"),
        (2218.3, 3, "2,220"),
        (1_100_000, 2, "1,100,000"),
        (11123.4, 5, "11,123"),
        (0.00001234, 3, "0.0000123"),
        (-2218.3, 3, "-2,220"),
    ],
)
def test_no_exponent(value: float, digits: int, said: str) -> None:
    assert rounded(value, digits) == said


def test_a_sentence_has_them_too() -> None:
    sentence = "{0:.3g} ms of {1:.2g}, {share:%}, {load:g}, {2:+.3g} or {3:+.3g}"
    said = Wording().format(sentence, 2218.3, 1e4, 2218.3, -1.5, share=0.22, load=0.5)
    assert said == "2,220 ms of 10,000, 22 %, 0.5, +2,220 or -1.5"


def test_a_sentence_counts_one_of_something_as_one() -> None:
    sentence = "{a:#reply|replies}, {b:#reply|replies}, {c:#connection}"
    assert Wording().format(sentence, a=1, b=1200, c=1) == "1 reply, 1,200 replies, 1 connection"
    assert (counted(0, "note"), counted(1, "note")) == ("0 notes", "1 note")


@pytest.mark.parametrize(
    ("share", "said", "in_a_column"),
    [
        (0, "0 %", "0 %"),
        (0.00042, "0.04 %", "<1 %"),
        (0.006, "0.6 %", "1 %"),
        (0.0234, "2.3 %", "2 %"),
        (0.74, "74 %", "74 %"),
        (0.9974, "99.7 %", "100 %"),
        (0.9998, "100 %", "100 %"),
        (1.2, "120 %", "120 %"),
        (12.5, "1,250 %", "1250 %"),
        (-0.05, "-5 %", "-5 %"),
    ],
)
def test_percents(share: float, said: str, in_a_column: str) -> None:
    assert percent(share) == said
    assert whole_percent(share) == in_a_column


@pytest.mark.parametrize(("value", "said"), [(40.12, "40.1"), (0.9, "0.90"), (1234.0, "1,234")])
def test_an_estimate_has_fewer_digits(value: float, said: str) -> None:
    assert approximately(value) == said
