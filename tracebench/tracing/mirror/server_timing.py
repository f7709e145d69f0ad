"""The W3C's `Server-Timing` header: names and their durations.

It is read as the standard tells browsers to: what breaks the grammar is passed over, and only the
first `dur` of a metric counts.
"""

import re
from collections.abc import Iterator

from server_middleware.vocabulary import OUTSIDE

_STRAYS = re.compile(rf'(?:^|,)[ \t]*{OUTSIDE}[ \t]*;[ \t]*desc="?([0-9]{{1,9}})\b')
_SPACE = " \t"
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"?')
_SEPARATORS = str.maketrans(dict.fromkeys(',;="'))


def durations(header: str) -> Iterator[tuple[str, str]]:
    """The metrics that have a duration.

    Args:
        header: the value of the header; several headers are joined by commas.

    Yields:
        A metric's name, and its `dur` as it was written (by convention in ms).
    """
    if '"' in header:
        header = _QUOTED.sub(lambda quoted: quoted[1].translate(_SEPARATORS), header)
    for metric in header.split(","):
        name, *parameters = metric.split(";")
        for parameter in parameters:
            key, _, value = parameter.partition("=")
            if key.strip(_SPACE).lower() == "dur":
                yield name.strip(_SPACE), value.strip(_SPACE)
                break


def strays(header: str) -> int:
    """How many components ran outside any request meanwhile; 0 where the server says nothing."""
    found = _STRAYS.search(header) if OUTSIDE in header else None
    return int(found[1]) if found else 0
