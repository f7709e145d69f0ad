"""Pages as a browser would take them apart, and results that try to break out of them."""

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

from tests.report.samples import own_parts, result, streamed, target
from tracebench.model.results.result import Result
from tracebench.report.files.result_file import dumps, loads

VOID = {"meta", "link", "br", "img", "input", "hr"}
EVIL = "</script><script>window.hijacked = 1</script><img src=x onerror='window.hijacked = 2'>"
_STRUCTURE = {"schema", "severity", "source", "method", "verdict", "started_at", "trace_id"}
"""Fields that are not free text."""


@dataclass
class Page(HTMLParser):
    """Elements of a page; complains about tags that do not match."""

    elements: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    raw: dict[str, list[str]] = field(default_factory=dict)
    """What stands in `script` and `style` elements."""
    _open: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)

    @classmethod
    def of(cls, text: str) -> "Page":
        page = cls()
        page.feed(text)
        page.close()
        assert not page._open, f"{page._open} are never closed"
        return page

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len(dict(attrs)) == len(attrs), f"an attribute comes twice in {attrs}"
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, f"</{tag}> closes nothing"
        assert self._open.pop() == tag, f"</{tag}> stands in the wrong place"

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] in ("script", "style"):
            self.raw.setdefault(self._open[-1], []).append(data)
        else:
            self.texts.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.texts).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def attribute(self, name: str) -> list[str]:
        return [value for _, those in self.elements if (value := those.get(name)) is not None]

    @property
    def data(self) -> Any:
        return json.loads(self.raw["script"][0])


def hostile() -> Result:
    """A result with markup in every text, as a file from a stranger may have it."""
    whole = streamed()
    found = result(
        rest=target(300, failed=20, reason=EVIL, address=EVIL),
        **{EVIL: own_parts().targets["rest"]},
    )
    data = json.loads(dumps(found))
    data["targets"]["streams"] = json.loads(dumps(whole))["targets"]["rest"]
    data["plan"] |= {EVIL: EVIL, "rest_url": EVIL, "headers": [[EVIL, EVIL]], "label": EVIL}
    read = {"t_s": [0.0, 1.0], "value": [1.0, 2.0], "min": 1.0, "median": 1.5, "max": 2.0}
    data["targets"][EVIL]["gauges"] = {EVIL: {"metric": EVIL, **read}}
    _infect(data)
    for one in data["targets"].values():
        for exemplar in one["exemplars"]:
            exemplar["url"] = "javascript:window.hijacked=3"
        one["search_url"] = " javascript:window.hijacked=4"
    return loads(json.dumps(data))


def _infect(value: Any) -> None:
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in list(keys):
        if isinstance(value[key], str) and key not in _STRUCTURE:
            value[key] = EVIL
        elif isinstance(value[key], dict | list):
            _infect(value[key])
