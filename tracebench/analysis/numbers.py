"""Numbers as people read them: never with an exponent."""

from decimal import Decimal
from string import Formatter
from typing import Any


def milliseconds(value: float) -> str:
    """A time in a table, with at least three digits that mean something."""
    if value == 0:
        return "0"
    for limit, digits in ((0.01, 5), (10, 3), (100, 2), (1000, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def signed(value: float) -> str:
    """The same, of a difference."""
    return ("+" if value > 0 else "") + milliseconds(value)


def rounded(value: float, digits: int = 3) -> str:
    """A number in a sentence, such as `2,220`, of at most so many significant digits."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


class Wording(Formatter):
    """Fills in a sentence as `str.format` does, and gives what asks for `.3g` as `rounded` does."""

    def format_field(self, value: Any, format_spec: str) -> str:
        """One number of the sentence."""
        sign, point, digits = format_spec.removesuffix("g").partition(".")
        if point and format_spec.endswith("g"):
            return ("+" if sign and value > 0 else "") + rounded(value, int(digits))
        return str(super().format_field(value, format_spec))
