"""The results embedded in a page, which draws from them and offers them for download."""

import json
from collections.abc import Iterator
from typing import Any, Final

from tracebench.report.files.result_file import dumps
from tracebench.report.several import Several

_GIVE_WAY: Final = ("histograms", "blocks", "timeline", "cdf", "exemplars", "tail")
"""Parts dropped from a page that would be too large, in this order; never from a result file."""
_EMPTY: Final[dict[str, Any]] = {"histograms": {}, "exemplars": [], "tail": {}}


def embedded(several: Several[Any], most_bytes: int) -> tuple[str, tuple[str, ...]]:
    """The text of the result file for a script element, and the parts dropped from it.

    Several results are a list: `{"several": [{"name", "result"}, …]}`.

    Args:
        several: the results that the page shows.
        most_bytes: largest size of the text.

    Returns:
        The text, which is `null` if dropping parts is not enough, and the names of dropped parts.
    """
    held = [{"name": n, "result": json.loads(dumps(one))} for n, one in several.results.items()]
    data = held[0]["result"] if len(held) == 1 else {"several": held}
    left_out: list[str] = []
    for name in ("", *_GIVE_WAY):
        if name and list(_emptied(data, name)):
            left_out.append(name)
        text = _for_script(data)
        if len(text.encode(errors="backslashreplace")) <= most_bytes:
            return text, tuple(left_out)
    return "null", ("all of it",)


def _emptied(value: Any, name: str) -> Iterator[bool]:
    """Empty every occurrence of a part; yields True for each that was not empty."""
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
    """JSON in which nothing can end the surrounding script element."""
    text = json.dumps(data, separators=(",", ":"), ensure_ascii=False)
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
