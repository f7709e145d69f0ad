"""Times as people read them."""


def milliseconds(value: float) -> str:
    """At least three digits that mean something, and never an exponent."""
    if value == 0:
        return "0"
    for limit, digits in ((0.01, 5), (10, 3), (100, 2), (1000, 1)):
        if abs(value) < limit:
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def signed(value: float) -> str:
    """The same, of a difference."""
    return ("+" if value > 0 else "") + milliseconds(value)
