"""Two panels for streamed replies: the time to the first token, and the gaps after it."""

from collections.abc import Mapping

from matplotlib.axes import Axes

from server_middleware.vocabulary import DECODE, PREFILL
from tracebench.analysis.numbers import milliseconds
from tracebench.model.results.result import TargetResult
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.figures.figure_style import COMPONENTS, Look, heading, look_of_target

_PARTS: Mapping[str, Look] = {
    **COMPONENTS,
    "network_first": COMPONENTS["network"],
    PREFILL: COMPONENTS["inference"],
    "server_before_first": COMPONENTS["server_other"],
    DECODE: COMPONENTS["postprocessing"],
}
_LABELLED = 0.12
"""Share of the longest bar below which segments have no label."""


def streams_in(targets: Mapping[str, TargetResult]) -> dict[str, StreamResult]:
    """The targets that have streams with tokens."""
    return {
        name: one.stream
        for name, one in targets.items()
        if one.stream is not None and one.stream.ttft is not None
    }


def first_token(axes: Axes, known: Mapping[str, StreamResult]) -> None:
    """A bar for each target: the mean time to the first token, in parts."""
    heading(axes, "The first token: mean")
    axes.set_xlabel("ms")
    longest = max(one.ttft.mean_ms for one in known.values() if one.ttft is not None)
    named = set[str]()
    for place, one in enumerate(known.values()):
        begin = 0.0
        for part, statistics in one.parts.get("ttft", {}).items():
            width, look = statistics.mean_ms, _PARTS.get(part, COMPONENTS["server_other"])
            label = None if part in named or not width else part.replace("_", " ")
            axes.barh(
                place,
                width,
                0.5,
                begin,
                color=look.color,
                hatch=look.hatch,
                edgecolor="white",
                label=label,
            )
            named |= {part} if label else set()
            if width > _LABELLED * longest:
                box = {"facecolor": "white", "edgecolor": "none", "alpha": 0.8, "pad": 1.5}
                text = f"{milliseconds(width)} ms"
                axes.text(begin + width / 2, place, text, ha="center", va="center", bbox=box)
            begin += width
    axes.set_yticks(range(len(known)), list(known))
    axes.set_ylim(len(known) - 0.4, -0.6)


def gaps(axes: Axes, known: Mapping[str, StreamResult]) -> None:
    """The gap before each token: median, shaded up to the 95th percentile."""
    heading(axes, "Gaps between tokens, by position: median, p95 shaded")
    axes.set_xlabel("token")
    axes.set_ylabel("ms")
    told = {name: one.gaps for name, one in known.items() if one.gaps is not None}
    if not told:
        axes.text(0.5, 0.5, "no gaps to tell of", ha="center", transform=axes.transAxes)
        return
    for number, (name, found) in enumerate(told.items()):
        color, line = look_of_target(number).color, look_of_target(number).line
        width = found.position[1] - found.position[0] if len(found.position) > 1 else 1
        position = [*found.position, found.position[-1] + width]
        p50_ms, p95_ms = ([*values, values[-1]] for values in (found.p50_ms, found.p95_ms))
        axes.step(position, p50_ms, line, where="post", color=color, label=name)
        axes.fill_between(position, p50_ms, p95_ms, step="post", color=color, alpha=0.2)
    axes.set_ylim(bottom=0)
    if len(told) > 1:
        axes.legend(frameon=False)
