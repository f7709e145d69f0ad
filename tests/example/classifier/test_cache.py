from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tracebench.example.pictures import onnx_model


@pytest.fixture(scope="module")
def expected() -> bytes:
    return onnx_model.kept_model()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "tracebench"


def only_file(folder: Path) -> Path:
    (path,) = folder.iterdir()
    return path


def test_the_model_is_converted_once(folder: Path, expected: bytes) -> None:
    assert onnx_model.kept_model() == expected
    made = only_file(folder).stat()
    assert onnx_model.kept_model() == expected
    found = only_file(folder).stat()
    assert (found.st_ino, found.st_mtime_ns) == (made.st_ino, made.st_mtime_ns)


@pytest.mark.parametrize(
    "damage",
    [
        lambda sealed: b"",
        lambda sealed: sealed[: len(sealed) // 2],
        lambda sealed: sealed + b"\0",
        lambda sealed: sealed[:-1] + bytes([sealed[-1] ^ 1]),
        lambda sealed: b"garbage",
    ],
    ids=["empty", "half-written", "longer", "one bit", "garbage"],
)
def test_a_damaged_cache_is_made_anew(
    folder: Path, expected: bytes, damage: Callable[[bytes], bytes]
) -> None:
    onnx_model.kept_model()
    path = only_file(folder)
    intact = path.read_bytes()
    path.write_bytes(damage(intact))
    assert onnx_model.kept_model() == expected
    assert only_file(folder).read_bytes() == intact


def test_a_folder_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, expected: bytes
) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(in_the_way))
    assert onnx_model.kept_model() == expected


def test_many_may_start_at_once(folder: Path, expected: bytes) -> None:
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda _: onnx_model.kept_model(), range(3)))
    assert found == [expected] * 3
    assert only_file(folder).stat().st_size == len(expected) + 32


def test_without_xdg_the_home_folder_is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    onnx_model.kept_model()
    assert only_file(tmp_path / ".cache" / "tracebench").name.startswith("efficientnet-lite0-")
