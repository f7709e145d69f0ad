"""Keyword arguments as options of a command, which parses, checks and completes them.

So each option is declared once, and its errors are those of the command line. A name in Python is
that of the option: `--rest-url` is `rest_url`, `--from` is `from_`.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from difflib import get_close_matches
from inspect import Parameter, Signature, signature
from keyword import iskeyword
from typing import Any, Final, Literal, TypeVar

import click

from tracebench.model.errors import TracebenchError, UsageError
from tracebench.model.plan import Payload
from tracebench.system.redaction import scrubbed

Function = TypeVar("Function", bound=Callable[..., Any])

METHODS: Final = {
    "output_json": "to_json",
    "output_html": "to_html",
    "output_markdown": "to_markdown",
    "output_plot": "plot",
    "output_samples": "to_samples",
    "plot_style": "plot",
}
"""Options that are methods of the result here."""
_ELSEWHERE: Final = frozenset({*METHODS, "output_junit", "verbose", "quiet", "dry_run", "help"})
_CONTENTS: Final = {
    "image": "a picture as bytes",
    "data": "bytes",
    "json": "a dict, a list or anything else that JSON can hold",
    "payloads": "a list of them, one a request",
}
"""Payloads that may be values instead of files."""
_NAME: Final = "(from Python)"


def name_of(option: click.Option) -> str:
    """The name of an option in Python."""
    name = max(option.opts, key=len).removeprefix("--").replace("-", "_")
    return f"{name}_" if iskeyword(name) else name


def options_of(command: click.Command) -> dict[str, click.Option]:
    """Name in Python → option, for those that Python has too."""
    named = {name_of(one): one for one in command.params if isinstance(one, click.Option)}
    return {name: option for name, option in named.items() if name not in _ELSEWHERE}


def takes(command: click.Command, *more: Parameter) -> Callable[[Function], Function]:
    """Let `help()` and notebooks show the options of a command as keywords of the function."""

    def decorate(function: Function) -> Function:
        keywords = [
            Parameter(name, Parameter.KEYWORD_ONLY, default=None) for name in options_of(command)
        ]
        own = [
            one
            for one in signature(function).parameters.values()
            if one.kind is not Parameter.VAR_KEYWORD
        ]
        setattr(function, "__signature__", Signature([*own, *keywords]))  # noqa: B010 - typed
        return function

    return decorate


def parsed(
    command: click.Command, options: Mapping[str, Any], arguments: Sequence[str] = ()
) -> dict[str, Any]:
    """Parse keyword arguments as the command parses its options.

    Args:
        command: whose options they are.
        options: name in Python → value; None, and False for a switch, are as if not given.
        arguments: the command's arguments.

    Returns:
        Field or name of each option → its value, for the functions that the command calls too.

    Raises:
        TypeError: the command has no option of this name.
        UsageError: a value is wrong.
    """
    known, words = options_of(command), list[str]()
    for name, value in options.items():
        if name not in known:
            raise TypeError(_unknown(command, name, [*known]))
        if value is not None:
            words += _words(known[name], value)
    with one_line_errors():
        return dict(command.make_context(command.name, [*words, "--", *arguments]).params)


def _unknown(command: click.Command, name: str, known: Sequence[str]) -> str:
    said = f"{command.name}() got an unexpected keyword argument {name!r}"
    if name in METHODS:
        return f"{said}: save the result by its method {METHODS[name]}()"
    close = get_close_matches(name, known, 1)
    return f"{said}. Did you mean {close[0]!r}?" if close else said


def _words(option: click.Option, value: Any) -> Iterator[str]:
    """The words of the command line that say an option's value."""
    long = max(option.opts, key=len)
    optional = isinstance(option.flag_value, str) and not option.is_flag
    if isinstance(value, bool) and (option.is_flag or optional):
        if value:
            yield long
        elif option.secondary_opts:
            yield option.secondary_opts[0]
    elif option.multiple and isinstance(value, Mapping):
        between = ": " if option.name == "headers" else "="
        yield from (f"{long}={name}{between}{one}" for name, one in value.items())
    elif option.multiple and isinstance(value, list | tuple | set):
        yield from (f"{long}={_text(one)}" for one in value)
    elif isinstance(value, list | tuple):
        yield f"{long}={','.join(map(_text, value))}"
    else:
        yield f"{long}={_text(value)}"


def _text(value: Any) -> str:
    return os.fspath(value) if isinstance(value, os.PathLike) else str(value)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Raise errors of the command line as `UsageError`, and all without credentials."""
    try:
        yield
    except click.ClickException as error:
        raise UsageError(_one_line(error.format_message())) from None
    except TracebenchError as error:
        raise type(error)(_one_line(str(error))) from None


def _one_line(message: str) -> str:
    return scrubbed(" ".join(message.split()))


# Payloads that are values instead of files.


def taken_contents(options: dict[str, Any]) -> tuple[Payload, ...]:
    """Take payloads that are no files out of the options.

    Raises:
        UsageError: a value cannot be sent, or two options name payloads.
    """
    given = [name for name in _CONTENTS if options.get(name) is not None]
    of_files = [name for name in given if isinstance(options[name], str | os.PathLike)]
    if given == of_files:
        return ()
    if len(given) > 1:
        raise UsageError("give only one of image, data, json and payloads")
    ((name),) = given
    value, kind = options.pop(name), options.pop("content_type", None)
    if name in ("image", "data"):
        if not isinstance(value, bytes | bytearray | memoryview):
            raise UsageError(
                f"{name} is a {type(value).__name__}: give a path, or {_CONTENTS[name]}"
            )
        form: Literal["image", "data"] = "image" if name == "image" else "data"
        return (Payload(bytes(value), kind or "application/octet-stream", _NAME, form),)
    values = value if name == "payloads" else [value]
    return tuple(Payload(_json(one, name), "application/json", _NAME, "json") for one in values)


def _json(value: Any, name: str) -> bytes:
    try:
        return json.dumps(value, allow_nan=False).encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise UsageError(f"{name} cannot be written as JSON ({error})") from None
