"""Reads and checks the payloads that the options name."""

import json
import mimetypes
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, cast

from tracebench.model.errors import UsageError
from tracebench.model.plan import Payload
from tracebench.system.input_files import MOST_BYTES, read

PayloadForm = Literal["image", "data", "json"]

MOST_PAYLOADS: Final = 100_000
_OPTIONS: Final = "--image, --data, --json and --payloads"


def read_payloads(
    image: str | None,
    data: str | None,
    json_file: str | None,
    payloads: str | None,
    content_type: str | None,
) -> tuple[Payload, ...]:
    """Read the payloads to send; empty if no option names any.

    Raises:
        UsageError: more than one option is given, or a file cannot be read or is too large.
    """
    given = {"image": image, "data": data, "json": json_file, "payloads": payloads}
    chosen = [(form, path) for form, path in given.items() if path is not None]
    if not chosen:
        return ()
    if len(chosen) > 1:
        raise UsageError(f"give only one of {_OPTIONS}")
    ((form, path),) = chosen
    if form == "payloads":
        return tuple(_lines(path))
    option = f"--{form}"
    if not _is_folder(path):
        _check_size(option, path, [Path(path)])
        return (_payload(cast(PayloadForm, form), option, path, content_type),)
    files = _files(cast(PayloadForm, form), Path(path))
    if not files:
        raise UsageError(f"{option} {path!r} is a folder without matching files: give another")
    _check_size(option, path, files)
    return tuple(
        _payload(cast(PayloadForm, form), option, str(file), content_type) for file in files
    )


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except ValueError:  # a null byte; reading the file reports it
        return False


def _files(form: PayloadForm, folder: Path) -> list[Path]:
    """The matching files of a folder, sorted by name."""
    found = sorted(one for one in folder.iterdir() if one.is_file() and one.name[0] != ".")
    if form == "json":
        return [one for one in found if one.suffix.lower() == ".json"]
    if form == "image":
        return [one for one in found if (_guessed(one.name) or "").startswith("image/")]
    return found


def _check_size(option: str, path: str, files: Sequence[Path]) -> None:
    """Refuse payloads that would not fit in memory, before reading them."""
    size = sum(file.stat().st_size for file in files if file.is_file())
    if size > MOST_BYTES or len(files) > MOST_PAYLOADS:
        raise UsageError(
            f"{option} {path!r} holds {len(files)} files, {size / 2**20:.0f} MiB in all: give at "
            f"most {MOST_PAYLOADS} files and {MOST_BYTES // 2**20} MiB, which are kept in memory"
        )


def _payload(form: PayloadForm, option: str, path: str, content_type: str | None) -> Payload:
    guessed = "application/json" if form == "json" else _guessed(path)
    kind = content_type or guessed or "application/octet-stream"
    body = _read(option, path)
    if form == "json":
        _check_json(f"{option} {path!r}", body, "; --data sends a file unchanged")
    return Payload(body, kind, Path(path).name, form)


def _lines(path: str) -> Iterator[Payload]:
    _check_size("--payloads", path, [Path(path)])
    lines = _read("--payloads", path).splitlines()
    filled = [(number, line) for number, line in enumerate(lines, 1) if line.strip()]
    if not 0 < len(filled) <= MOST_PAYLOADS:
        raise UsageError(
            f"--payloads {path!r} has {len(filled)} requests: "
            f"give 1 to {MOST_PAYLOADS}, one per line"
        )
    for number, line in filled:
        _check_json(f"--payloads {path!r}, line {number},", line)
        yield Payload(line, "application/json", f"{Path(path).name}:{number}", "json")


def _check_json(given: str, body: bytes, otherwise: str = "") -> None:
    try:
        json.loads(body)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{given} is not valid JSON ({error}){otherwise}") from None


def _guessed(name: str) -> str | None:
    return mimetypes.guess_type(name)[0]


def _read(option: str, path: str) -> bytes:
    content = read(option, path, MOST_BYTES)
    if not content:
        raise UsageError(f"{option} {path!r} is empty: give a non-empty file")
    return content
