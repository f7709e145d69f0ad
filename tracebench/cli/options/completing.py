"""Values that a shell completes: names of files, and components in limits and rules."""

from typing import Any, Final

import click
from click.shell_completion import CompletionItem

from tracebench.model.components import END_TO_END, LEAVES
from tracebench.model.plan import GRPC, REST

_STREAMS: Final = ("ttft", "tpot", "itl")


class FileName(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """The path of a file or a folder, which is checked when it is used."""

    name = "file"

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Let the shell complete the path."""
        return [CompletionItem(incomplete, type="file")]


class OfComponent(click.ParamType):  # type: ignore[type-arg] # generic since click 8.2 only
    """A text about a component, which is parsed when it is used.

    Args:
        form: how it begins: `{name}` is a component, `{target}` a target and a dot, or nothing.
        more: names that may stand in the place of a component.
    """

    name = "text"

    def __init__(self, form: str, more: tuple[str, ...] = ()) -> None:
        self._form, self._more = form, more

    def shell_complete(self, ctx: Any, param: Any, incomplete: str) -> list[CompletionItem]:
        """Suggest how the text may begin."""
        targets = [f"{name}." for name in _targets(ctx)] if "{target}" in self._form else []
        names = (*self._more, END_TO_END, *LEAVES)
        texts = [self._form.format(target=t, name=n) for t in targets or [""] for n in names]
        return [CompletionItem(text) for text in texts if text.startswith(incomplete)]


def _targets(ctx: click.Context) -> list[str]:
    """The targets that the command line names so far."""
    usual = {"rest_url": REST, "grpc_server": GRPC}
    known = [name for field, name in usual.items() if ctx.params.get(field)]
    return known + [one.name for one in ctx.params.get("named") or ()]


FILE: Final = FileName()
GATE_TEXT: Final = OfComponent("{target}{name}.p95_ms", ("latency",))
CHANGE_TEXT: Final = OfComponent("{name}.p95", ("latency",))
LIMIT_TEXT: Final = OfComponent("{name}", ("latency", *_STREAMS))
OBJECTIVE_TEXT: Final = OfComponent("{name}.p99", ("latency", *_STREAMS))
RULE_TEXT: Final = OfComponent("{name}=")
