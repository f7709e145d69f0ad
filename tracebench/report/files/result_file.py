"""The result file: a Result written as JSON and read back."""

import json
import re
import sys
import types
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from typing import Any, Final, Literal, NoReturn, Union, get_args, get_origin, get_type_hints

from tracebench.model.components import END_TO_END
from tracebench.model.errors import UsageError
from tracebench.model.results.comparison import Reported, RunComparison
from tracebench.model.results.result import Result, TargetResult
from tracebench.model.results.search import Search
from tracebench.model.results.sweep import Sweep
from tracebench.system import json_fault
from tracebench.system.output_files import replaced
from tracebench.system.redaction import scrubbed

# The result file: a Result as JSON.


def dumps(result: Reported) -> str:
    """The result file's text."""
    whole = {"schema": result.schema} | _plain(result)  # the schema first
    text = json.dumps(whole, default=_plain, indent=2, allow_nan=False, ensure_ascii=False)
    return _NUMBERS.sub(_on_one_line, text) + "\n"


_NUMBERS: Final = re.compile(r"\[\n\s+(?:[-+.\deE]+|null)(?:,\n\s+(?:[-+.\deE]+|null))*\n\s+\]")
"""A list of numbers as written with `indent`, one per line; in texts, line breaks are escaped."""


def _on_one_line(numbers: re.Match[str]) -> str:
    return f"[{', '.join(numbers[0][1:-1].replace(',', ' ').split())}]"


def write(result: Reported, path: str) -> None:
    """Write the result file.

    Raises:
        OSError: it cannot be written; an existing file is unchanged.
    """
    # A lone surrogate has no UTF-8 encoding; its Python escape is also valid JSON.
    text = dumps(result).encode(errors="backslashreplace")
    with replaced(path) as file:
        file.write(text)


def _plain(value: Any) -> dict[str, Any]:
    """Convert types that JSON lacks: records, and mappings other than dicts."""
    if isinstance(value, Mapping):
        return dict(value)
    return {field.name: getattr(value, field.name) for field in fields(value)}


# Reading the result file: fields of newer versions are ignored, invalid values are rejected.

_KINDS: Final = {
    kind.__dataclass_fields__["schema"].default: kind
    for kind in (Result, Sweep, Search, RunComparison)
}
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_SCALARS: Final = {str: "text", int: "a whole number", float: "a number", bool: "true or false"}


class _WrongError(Exception):
    """Something in the file is invalid; the message says what and where."""


def loads(text: str, name: str = "the file") -> Result:
    """Read a result file.

    Raises:
        UsageError: it is not a result file of a run, or has another schema.
    """
    result = loads_any(text, name)
    if not isinstance(result, Result):
        raise UsageError(f"{name} has the schema {result.schema!r}, which is not read here")
    return result


def loads_any(text: str, name: str = "the file") -> Reported:
    """Read the result file of a run, a sweep, a search or a comparison.

    Raises:
        UsageError: it is not a result file, or has another schema.
    """
    try:
        data = json.loads(text, parse_constant=_refuse_constant)
        schema = data.get("schema") if isinstance(data, dict) else None
        if schema is None:
            raise _WrongError(_other_kind(data))
        if not isinstance(schema, str) or schema not in _KINDS:
            raise UsageError(f"{name} has the schema {schema!r}, which is not read here")
        result: Reported = _built(_KINDS[schema], data, "")
    except (RecursionError, ValueError) as error:
        raise _no_result(name, json_fault(error)) from None
    except _WrongError as error:
        raise _no_result(name, str(error)) from None
    return result


def _no_result(name: str, why: str) -> UsageError:
    return UsageError(f"{name} is not a tracebench result ({why}): give a file from --output-json")


def _refuse_constant(constant: str) -> NoReturn:
    raise _WrongError(f"{constant} is not a JSON number")


def _other_kind(data: Any) -> str:
    """What a file without a schema seems to be instead, for the message."""
    if isinstance(data, dict) and "resourceSpans" in data:
        return "it holds spans, which `tracebench analyze` reads"
    return "it has no schema"


def _built(kind: Any, value: Any, where: str) -> Any:
    """Build a value of a type hint's type from JSON types."""
    origin, arguments = get_origin(kind), get_args(kind)
    if kind is Any:
        return value
    if origin in (types.UnionType, Union):
        return None if value is None else _built(arguments[0], value, where)
    if is_dataclass(kind):
        return _record(kind, _checked(value, dict, where), where)
    if origin is tuple:
        return _several(arguments, _checked(value, list, where), where)
    if origin is Mapping:
        held = _checked(value, dict, where)
        return {_text(key, where): _built(arguments[1], one, key) for key, one in held.items()}
    return _scalar(str if origin is Literal else kind, value, where)


def _checked(value: Any, kind: type[dict[str, Any]] | type[list[Any]], where: str) -> Any:
    if not isinstance(value, kind):
        what = "an object" if kind is dict else "a list"
        raise _WrongError(f"{where or 'the whole'} is not {what}")
    return value


def _record(kind: Any, value: Mapping[str, Any], where: str) -> Any:
    """Build a record from its known fields; unknown ones (of newer versions) are ignored."""
    known = {}
    for field, hint in _fields(kind):
        if field.name in value:
            known[field.name] = _built(hint, value[field.name], field.name)
        elif field.default is MISSING and field.default_factory is MISSING:
            raise _WrongError(f"{where or 'it'} has no {field.name}")
    made = kind(**known)
    if isinstance(made, TargetResult) and made.components and END_TO_END not in made.components:
        raise _WrongError(f"components has no {END_TO_END}")
    if isinstance(made, Result) and not made.targets:
        raise _WrongError("targets is empty")
    return made


@cache
def _fields(kind: Any) -> tuple[tuple[Field[Any], Any], ...]:
    hints = get_type_hints(kind)
    return tuple((field, hints[field.name]) for field in fields(kind))


def _several(arguments: tuple[Any, ...], values: list[Any], where: str) -> tuple[Any, ...]:
    if arguments[-1] is not Ellipsis and len(values) != len(arguments):
        raise _WrongError(f"{where} has {len(values)} values, not {len(arguments)}")
    return tuple(_built(arguments[0], one, where) for one in values)


def _scalar(kind: type, value: Any, where: str) -> Any:
    if kind is str:
        return _text(value, where)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number and abs(value) <= sys.float_info.max:
        return value
    if kind is not float and type(value) is kind:
        return value
    raise _WrongError(f"{where} is {str(value)[:40]!r}, not {_SCALARS[kind]}")


def _text(value: Any, where: str) -> str:
    """A printable text: lone surrogates are rejected, control characters replaced."""
    if not isinstance(value, str):
        raise _WrongError(f"{where} is {str(value)[:40]!r}, not text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise _WrongError(f"{where or 'a name'} is not text: {value[:40]!a}") from None
    return _CONTROL.sub(" ", scrubbed(value))  # older versions wrote whole URLs
