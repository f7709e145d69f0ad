"""Files, folders and lines become payloads."""

from pathlib import Path

import pytest

from tracebench.cli.options.payloads import read_payloads
from tracebench.model.errors import UsageError
from tracebench.system.input_files import MOST_BYTES


def filled(folder: Path) -> str:
    for name, content in {
        "b.png": b"\x89PNG",
        "a.JPG": b"\xff\xd8",
        "c.json": b"{}",
        "notes.txt": b"notes",
        ".hidden.png": b"\x89PNG",
    }.items():
        (folder / name).write_bytes(content)
    (folder / "deeper.png").mkdir()
    return str(folder)


def names(image: str | None = None, data: str | None = None, json: str | None = None) -> list[str]:
    return [one.name for one in read_payloads(image, data, json, None, None)]


def test_a_folder_gives_its_files_of_the_kind_in_order(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    assert names(image=folder) == ["a.JPG", "b.png"]
    assert names(json=folder) == ["c.json"]
    assert names(data=folder) == ["a.JPG", "b.png", "c.json", "notes.txt"]
    jpg, png = read_payloads(folder, None, None, None, None)
    assert (jpg.content_type, png.content_type) == ("image/jpeg", "image/png")
    assert (png.content, png.form) == (b"\x89PNG", "image")


def test_lines(tmp_path: Path) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text('{"a": 1}\n\n  {"a": 2}\r\n')
    found = read_payloads(None, None, None, str(file), None)
    assert [(one.name, one.content) for one in found] == [
        ("p.jsonl:1", b'{"a": 1}'),
        ("p.jsonl:3", b'  {"a": 2}'),
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("\n\n", "has 0 requests"),
        ('{"a": 1}\n{oops\n', "line 2, is not valid JSON"),
        ("[" * 100_000, "line 1, is not valid JSON"),
    ],
)
def test_lines_that_are_none(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "p.jsonl"
    file.write_text(text)
    with pytest.raises(UsageError, match=said):
        read_payloads(None, None, None, str(file), None)


def test_what_would_fill_the_memory_is_refused_unread(tmp_path: Path) -> None:
    folder = filled(tmp_path)
    with (tmp_path / "huge.bin").open("wb") as huge:
        huge.truncate(MOST_BYTES + 1)
    for data, lines in ((folder, None), (None, str(tmp_path / "huge.bin"))):
        with pytest.raises(UsageError, match="256 MiB, which are kept in memory"):
            read_payloads(None, data, None, lines, None)


def test_nothing_given() -> None:
    assert read_payloads(None, None, None, None, None) == ()
