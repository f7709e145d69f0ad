"""The result itself inside its page: drawn from there, and downloaded from there."""

import json
from collections.abc import Iterator
from typing import Any, Final

from tracebench.model.comparison import RunComparison
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.report.files.result_file import dumps

_GIVE_WAY: Final = ("histograms", "blocks", "timeline", "cdf", "exemplars", "tail")
"""What is left out of a page that would be too large, the first first; never of a result file."""
_EMPTY: Final[dict[str, Any]] = {"histograms": {}, "exemplars": [], "tail": {}}


def embedded(found: Result | Sweep | RunComparison, most_bytes: int) -> tuple[str, tuple[str, ...]]:
    """The text of the result file for a script element, and what had to be left out of it.

    Args:
        found: what the page is about.
        most_bytes: how much room there is.

    Returns:
        `null`, where nothing helps.
    """
    data = json.loads(dumps(found))
    left_out: list[str] = []
    for name in ("", *_GIVE_WAY):
        if name and list(_emptied(data, name)):
            left_out.append(name)
        text = _for_script(data)
        if len(text.encode(errors="backslashreplace")) <= most_bytes:
            return text, tuple(left_out)
    return "null", ("all of it",)


def _emptied(value: Any, name: str) -> Iterator[bool]:
    """Empty a part wherever it stands; yields True for each that held something."""
    if isinstance(value, dict):
        if value.get(name):
            value[name] = _EMPTY.get(name)
            yield True
        for one in value.values():
            yield from _emptied(one, name)
    elif isinstance(value, list):
        for one in value:
            yield from _emptied(one, name)


def _for_script(data: Any) -> str:
    """JSON that cannot end the element that it stands in."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
