"""A result as one HTML file: text, tables and bars are rendered here, curves by its script."""

from base64 import b64encode
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final, TypeAlias

from jinja2 import Environment, PackageLoader, StrictUndefined, UndefinedError

from tracebench.analysis.numbers import milliseconds, rounded
from tracebench.model.results.comparison import RunComparison
from tracebench.model.results.result import Result
from tracebench.model.results.sweep import Sweep
from tracebench.report.figures.figure_style import COMPONENTS, OWN
from tracebench.report.page.data import embedded
from tracebench.report.page.views import of_comparison, of_run, of_sweep, safe_url
from tracebench.report.page.waterfall import look_of
from tracebench.report.several import Several, together
from tracebench.system.output_files import replaced

MOST_BYTES: Final = 1_500_000
"""Largest size of a page that mail and chat programs usually accept."""
Pageable: TypeAlias = Result | Sweep | RunComparison
"""What has a page; several of one kind have one together."""
_HATCHES: Final = {"": "", "//": "up", "\\\\": "down", "xx": "cross", "--": "level", "..": "dots"}
_LOOKS: Final = {**COMPONENTS, "own": OWN[0]}
"""Colours of bars by component name."""


def write(found: Pageable | Several[Any], path: str) -> None:
    """Write the page.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
    """
    # A lone surrogate has no UTF-8 encoding; its Python escape is valid in the data, too.
    page = render(found).encode(errors="backslashreplace")
    with replaced(path) as file:
        file.write(page)


def render(found: Pageable | Several[Any]) -> str:
    """Render the page as text; it is self-contained and makes no requests.

    Raises:
        LookupError: the result refers to something that it does not contain.
    """
    try:
        return _rendered(together(found))
    except UndefinedError as error:
        raise LookupError(str(error)) from None


def _rendered(several: Several[Any]) -> str:
    name, view = _view(several)
    style, script = _style(), _script()
    whole = {
        "view": view,
        "unit": view.unit,
        "held": list(several.results),
        "comparable": isinstance(next(iter(several.results.values())), Result),
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    template = _environment().get_template(name)
    empty = template.render(**whole, data="null", left_out=("",))
    room = MOST_BYTES - len(empty.encode(errors="backslashreplace"))
    data, left_out = embedded(several, room)
    return template.render(**whole, data=data, left_out=left_out)


def _view(several: Several[Any]) -> tuple[str, Any]:
    """The name of the template, and the view that fills it."""
    kind = next(iter(several.results.values()))
    if isinstance(kind, Sweep):
        return "sweep.html", of_sweep(several)
    if isinstance(kind, RunComparison):
        return "compare.html", of_comparison(several)
    return "run.html", of_run(several)


@cache
def _environment() -> Environment:
    made = Environment(
        loader=PackageLoader("tracebench.report.page"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters |= {
        "number": milliseconds,
        "rounded": rounded,
        "words": lambda name: name.removeprefix("stream.").replace("_", " "),
        "percent": lambda share: f"{share:.1%}",
        "url": safe_url,
    }
    made.globals["look_of"] = look_of
    return made


def _hash(text: str) -> str:
    """The source expression by which a content security policy admits an inline element."""
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


@cache
def _style() -> str:
    colors = "".join(f"--c-{name}:{look.color};" for name, look in _LOOKS.items())
    fills = "".join(f".c-{name}{{fill:var(--c-{name})}}" for name in _LOOKS)
    hatches = "".join(
        f".c-{name}+.hatch{{fill:url(#hatch-{_HATCHES[look.hatch]})}}"
        for name, look in _LOOKS.items()
        if look.hatch
    )
    own = f":root{{{colors}}}{fills}{hatches}"
    return f"{_static('uPlot.min.css')}\n{own}\n{_static('page.css')}"


@cache
def _script() -> str:
    return "\n".join(map(_static, ("uPlot.iife.min.js", "charts.js", "page.js")))


def _static(name: str) -> str:
    return (files("tracebench.report.page") / "static" / name).read_text(encoding="utf-8")
