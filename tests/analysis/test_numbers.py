"""Numbers as people read them."""

import pytest

from tracebench.analysis.numbers import Wording, rounded


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
    sentence = "{0:.3g} ms of {1:.2g}, {share:.1%}, {load:g}, {2:+.3g} or {3:+.3g}"
    said = Wording().format(sentence, 2218.3, 1e4, 2218.3, -1.5, share=0.22, load=0.5)
    assert said == "2,220 ms of 10,000, 22.0%, 0.5, +2,220 or -1.5"
