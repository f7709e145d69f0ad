"""Helpers to declare options that fill fields of the plan."""

from collections.abc import Callable, Mapping
from dataclasses import fields
from typing import Any, Final, TypeAlias, TypeVar

import click

from tracebench.model.plan import (
    Calls,
    Expected,
    Influence,
    LanguageModel,
    MappingRules,
    Naming,
    Objectives,
    Payloads,
    SpanRoutes,
    Streamed,
    Targets,
    Tls,
    Watched,
    Workload,
)

Command = TypeVar("Command", bound=Callable[..., Any])
Part = TypeVar(
    "Part",
    Payloads,
    Targets,
    Calls,
    Tls,
    Workload,
    SpanRoutes,
    MappingRules,
    Influence,
    Expected,
    Streamed,
    LanguageModel,
    Naming,
    Objectives,
    Watched,
)


def fills(
    part: type[Any], option: str, *, field: str | None = None, **settings: Any
) -> Callable[[Command], Command]:
    """Declare the option that fills a field of a part of the plan; its default is the field's.

    Args:
        part: the plan's part that has the field.
        option: the option's name on the command line.
        field: the field's name; None: derived from the option's.
        settings: passed to `click.option`.
    """
    name = field or option.removeprefix("--").replace("-", "_")
    (default,) = (one.default for one in fields(part) if one.name == name)
    if default is not None:
        settings["default"] = default
    return click.option(option, name, **settings)


def filled(part: type[Part], given: Mapping[str, Any]) -> Part:
    """Build a part of the plan from the values of the options that fill it."""
    names = {one.name for one in fields(part)}
    return part(
        **{name: value for name, value in given.items() if name in names and value is not None}
    )


SUCCESS: Final = "Success, limits and gates"
SERVER: Final = "Spans and gauges"
"""Headings that several files use."""

Declared: TypeAlias = Callable[[Command], Command]
"""An option: a decorator of a command."""


def headed(heading: str, *declared: Declared[Command]) -> tuple[Declared[Command], ...]:
    """Options that `--help` shows under a heading; equal headings share one section."""

    def under(option: Declared[Command]) -> Declared[Command]:
        def decorate(command: Command) -> Command:
            command = option(command)
            (*_, param) = command.__click_params__  # type: ignore[attr-defined] # set by click
            param.heading = heading
            return command

        return decorate

    return tuple(map(under, declared))


def options(*groups: tuple[Declared[Command], ...]) -> Declared[Command]:
    """Apply groups of options, in the order in which `--help` shows them."""

    def decorate(command: Command) -> Command:
        for option in reversed([option for group in groups for option in group]):
            command = option(command)
        return command

    return decorate
