"""Two panels for conversations: the first token by turn, and the tokens of its prompts."""

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from tracebench.model.results.stream_result import StreamResult
from tracebench.report.figures.figure_style import COMPONENTS, heading, look_of_target

_P95 = ("s--", "^:")


def turns_in(streams: Mapping[str, StreamResult]) -> dict[str, StreamResult]:
    """The targets whose requests are turns of conversations."""
    return {name: one for name, one in streams.items() if one.turns}


def first_token_by_turn(axes: Axes, known: Mapping[str, StreamResult]) -> None:
    """The time to the first token of each turn: as flat as the cache works."""
    heading(axes, "The first token by turn: median and p95")
    axes.set_ylabel("ms")
    for number, (name, stream) in enumerate(known.items()):
        color, line = look_of_target(number).color, _P95[number % len(_P95)]
        told = [(one.turn, one.ttft) for one in stream.turns if one.ttft is not None]
        places, ttft = [turn for turn, _ in told], [one for _, one in told]
        axes.plot(places, [one.p50_ms for one in ttft], "o-", color=color, label=f"{name} p50")
        axes.plot(places, [one.p95_ms for one in ttft], line, color=color, label=f"{name} p95")
    _turns(axes)


def tokens_by_turn(axes: Axes, known: Mapping[str, StreamResult]) -> None:
    """The tokens of the prompts of each turn, and how many of them the cache had."""
    heading(axes, "Prompt tokens by turn: mean, cached ones filled")
    axes.set_ylabel("tokens")
    width = 0.8 / len(known)
    for number, (name, stream) in enumerate(known.items()):
        color = look_of_target(number).color
        places = [one.turn - 0.4 + width * (number + 0.5) for one in stream.turns]
        whole = [one.input_tokens or 0.0 for one in stream.turns]
        cached = [one.cached_tokens or 0.0 for one in stream.turns]
        axes.bar(places, whole, width, fill=False, edgecolor=color, label=f"{name}: all")
        filled = COMPONENTS["inference"].color if len(known) == 1 else color
        axes.bar(places, cached, width, color=filled, alpha=0.7, label=f"{name}: cached")
    _turns(axes)


def _turns(axes: Axes) -> None:
    axes.set_xlabel("turn")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=8)
