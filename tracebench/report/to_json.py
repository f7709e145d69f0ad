"""The result file: a Result as JSON, and back."""

import json
import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Union, get_args, get_origin, get_type_hints

from tracebench.errors import UsageError
from tracebench.files.writing import replaced
from tracebench.model.result import Result
from tracebench.model.sweep import Sweep

_KINDS = {kind.__dataclass_fields__["schema"].default: kind for kind in (Result, Sweep)}
_FIRST = ("schema", "tool", "environment", "plan", "started_at")


def to_dict(result: Result | Sweep) -> dict[str, Any]:
    """The result as JSON's own types, in the contract's order."""
    plain: dict[str, Any] = _plain(result)
    return {name: plain.pop(name) for name in _FIRST if name in plain} | plain


def dumps(result: Result | Sweep) -> str:
    """The result file's text."""
    return json.dumps(to_dict(result), indent=2, allow_nan=False, ensure_ascii=False) + "\n"


def write(result: Result | Sweep, path: str) -> None:
    """Write the result file.

    Raises:
        OSError: it cannot be written; a file that was there is as it was.
    """
    # A half of a surrogate pair has no UTF-8; its Python escape is JSON's too.
    text = dumps(result).encode(errors="backslashreplace")
    with replaced(path) as file:
        file.write(text)


def loads(text: str, name: str = "the file") -> Result:
    """Read a result file.

    Raises:
        UsageError: it is none, or of another schema.
    """
    result = loads_any(text, name)
    if not isinstance(result, Result):
        raise UsageError(f"{name} has the schema {result.schema!r}, which is not read here")
    return result


def loads_any(text: str, name: str = "the file") -> Result | Sweep:
    """Read a result file, or a sweep's.

    Raises:
        UsageError: it is neither, or of another schema.
    """
    try:
        data = json.loads(text)
        if data["schema"] not in _KINDS:
            raise UsageError(f"{name} has the schema {data['schema']!r}, which is not read here")
        result: Result | Sweep = _built(_KINDS[data["schema"]], data)
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(f"{name} is no result of tracebench ({error})") from None
    return result


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value


def _built(kind: Any, value: Any) -> Any:
    """Build what a type hint says from JSON's types."""
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (types.UnionType, Union):
        return None if value is None else _built(arguments[0], value)
    if is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _built(hints[name], one) for name, one in value.items()})  # type: ignore[operator] # a class
    if origin is tuple:
        return tuple(_built(arguments[0], one) for one in value)
    if origin is Mapping:
        return {key: _built(arguments[1], one) for key, one in value.items()}
    return value
