"""Help pages: commands under headings, each imported only if used; examples before options."""

from collections.abc import Mapping, Sequence
from importlib import import_module
from inspect import cleandoc
from typing import Any, Final, NamedTuple

import click
from click.shell_completion import CompletionItem

SETTINGS: Final[Mapping[str, Any]] = {
    "help_option_names": ["-h", "--help"],
    "max_content_width": 80,
}
_OPTIONS, _OTHERS = "Options", "Other options"


class Helpful(click.Command):
    """A command whose help shows examples first, and options under their headings.

    Args:
        examples: command lines of at most 78 characters.
        given: what `click.Command` takes.
    """

    def __init__(self, *given: Any, examples: Sequence[str] = (), **settings: Any) -> None:
        super().__init__(*given, **settings)
        self._examples = examples

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the first paragraph, the examples, then the other paragraphs."""
        first, _, rest = cleandoc(self.help or "").partition("\n\n")
        _write(formatter, first)
        if self._examples:
            with formatter.section("Examples"):
                indent = " " * formatter.current_indent
                formatter.write("".join(f"{indent}{line}\n" for line in self._examples))
        if rest:
            _write(formatter, rest)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section for each heading, in the order in which they first occur."""
        found: dict[str, list[tuple[str, str]]] = {}
        for param in self.get_params(ctx):
            record = None if isinstance(param, click.Argument) else param.get_help_record(ctx)
            if record is not None:
                found.setdefault(getattr(param, "heading", _OTHERS), []).append(record)
        for heading, records in found.items():
            with formatter.section(heading if len(found) > 1 else _OPTIONS):
                formatter.write_dl(records)


def _write(formatter: click.HelpFormatter, text: str) -> None:
    formatter.write_paragraph()
    with formatter.indentation():
        formatter.write_text(text)


class Listed(NamedTuple):
    """A command in the list of all."""

    path: str
    """`module:name` of the command."""
    short_help: str


class LazyGroup(Helpful, click.Group):
    """A group that imports a command only to run it or to show its own help.

    Args:
        listed: heading → name → command, in the order in which they are shown.
        given: what `Helpful` and `click.Group` take.
    """

    def __init__(
        self, *given: Any, listed: Mapping[str, Mapping[str, Listed]], **settings: Any
    ) -> None:
        super().__init__(*given, **settings)
        self._listed = listed
        self._known = {name: one for those in listed.values() for name, one in those.items()}

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of all commands."""
        return [*self._known]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a command; None if there is none of that name."""
        if cmd_name not in self._known:
            return None
        module, _, name = self._known[cmd_name].path.partition(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a section of commands for each heading, then the options."""
        for heading, commands in self._listed.items():
            with formatter.section(heading):
                formatter.write_dl([(name, one.short_help) for name, one in commands.items()])
        super().format_options(ctx, formatter)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command, or an option."""
        names = (name for name in self._known if name.startswith(incomplete))
        found = [CompletionItem(name, help=self._known[name].short_help) for name in names]
        return [*found, *click.Command.shell_complete(self, ctx, incomplete)]
