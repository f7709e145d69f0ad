"""Numbers formatted for people: no exponents, no meaningless digits."""

from decimal import Decimal
from string import Formatter
from typing import Any


def milliseconds(value: float) -> str:
    """A time in a table: two decimals if they fit, and at least one non-zero digit."""
    if value == 0:
        return "0"
    if abs(value) < 0.01:
        return rounded(value, 1)
    for limit, digits in ((0.1, 3), (100, 2), (1000, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def approximately(value: float) -> str:
    """A poorly known time in a table: one decimal less than `milliseconds`."""
    return f"{value:.1f}" if 10 <= abs(value) < 100 else milliseconds(value)


def signed(value: float) -> str:
    """A difference of times, with its sign."""
    return ("+" if value > 0 else "") + milliseconds(value)


def rounded(value: float, digits: int = 3) -> str:
    """A number in a sentence, such as `2,220`, with at most `digits` significant digits."""
    return f"{Decimal(f'{value:.{digits}g}'):,f}"


def percent(share: float) -> str:
    """A fraction as `75 %`: with a decimal only below 3 %, and never rounded up to 100 %."""
    value = 100 * share
    if abs(value) >= 3:
        text = f"{value:,.0f}"
        return f"{value:.1f} %" if text == "100" and value < 99.95 else f"{text} %"
    return f"{rounded(value, 2 if abs(value) >= 1 else 1)} %"


def whole_percent(share: float) -> str:
    """A fraction in a table column, as whole percent; small ones above 0 as `<1 %`."""
    return "<1 %" if 0 < share < 0.005 else f"{100 * share:.0f} %"


def counted(number: int, what: str, several: str = "") -> str:
    """A number with its noun, as `1 reply` or `1,200 replies`.

    Args:
        number: how many.
        what: the noun in the singular.
        several: the noun in the plural; empty: `what` with an s.
    """
    return f"{number:,} {what if number == 1 else several or f'{what}s'}"


class Wording(Formatter):
    """Fills in a template like `str.format`, with numbers formatted for people.

    `.3g` formats like `rounded`, `%` like `percent`, and `{n:#reply|replies}` like `counted`.
    """

    def format_field(self, value: Any, format_spec: str) -> str:
        """Format one field of the template."""
        if format_spec.startswith("#"):
            return counted(value, *format_spec[1:].split("|"))
        if format_spec == "%":
            return percent(value)
        sign, point, digits = format_spec.removesuffix("g").partition(".")
        if point and format_spec.endswith("g"):
            return ("+" if sign and value > 0 else "") + rounded(value, int(digits))
        return str(super().format_field(value, format_spec))
