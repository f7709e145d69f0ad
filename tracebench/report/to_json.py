"""The result file: a Result as JSON."""

import json
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from tracebench.model.result import Result
from tracebench.model.sweep import Sweep
from tracebench.system.output_files import replaced

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


def _plain(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return value
