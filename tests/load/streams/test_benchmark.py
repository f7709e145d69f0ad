"""The benchmark of streams' stamps: does it see an error where there is one?"""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from benchmarks.streams.__main__ import broken
from benchmarks.streams.cells import Bounds, Cell
from benchmarks.streams.errors import Found, compared
from benchmarks.streams.forms import Grpc, Sse, prompt_of
from benchmarks.streams.workload import LOADS, Told, came, row
from tests.load.streams.exact_streams import MS
from tracebench.model.record.streams import READ, STREAM

NAME = "0af7651916cd43dd8448eb211c80319c"
LEFT_NS = np.array([50, 60, 70, 80], np.int64) * MS
CELL = Cell("a cell", 1)


def kept(folder: Path, reads: list[tuple[int, int]], last_after_ms: int = 80) -> Path:
    """One stream, its first stamp exact, as the client keeps it; times in ms."""
    row = np.zeros(1, STREAM)
    row["carrying"], row["reads"] = sum(tokens for _, tokens in reads), len(reads)
    first_ms, last_ms = reads[0][0], reads[-1][0]
    row["first_token"] = row["first_token_after"] = first_ms * MS
    row["last_token"], row["last_token_after"] = last_ms * MS, last_after_ms * MS
    row["exact"] = len(reads) - (last_ms != last_after_ms)
    file = folder / "found.npz"
    gaps = np.diff([came_ms for came_ms, _ in reads], prepend=0).tolist()
    came = np.array([(gap * MS, 0, k) for gap, (_, k) in zip(gaps, reads, strict=True)], READ)
    np.savez(file, rows=row, reads=came, names=np.array([NAME]), succeeded=1, cpu_ns=400_000)
    return file


def found(file: Path, left_ns: npt.NDArray[np.int64] = LEFT_NS) -> Found:
    return compared(file, {NAME: left_ns}, 1, 64)


def test_right_stamps(tmp_path: Path) -> None:
    seen = found(kept(tmp_path, [(50, 1), (60, 1), (70, 1), (80, 1)]))
    assert (seen.lost, seen.not_held, seen.shared) == (0, 0, 0)
    assert seen.exact_ns.tolist() == [0, 0, 0, 0]
    assert seen.cpu_us == 100
    assert [*broken(CELL, seen, {})] == []


def test_a_shared_stamp_is_an_interval(tmp_path: Path) -> None:
    seen = found(kept(tmp_path, [(50, 1), (70, 2), (80, 1)]))
    assert (seen.lost, seen.not_held, seen.shared) == (0, 0, 0.25)
    shared = replace(CELL, bounds=Bounds(shared=0.2))
    assert [*broken(shared, seen, {})] == ["shared > 20.0%"]


def test_what_is_wrong_is_seen(tmp_path: Path) -> None:
    late = found(kept(tmp_path, [(50, 1), (62, 1), (70, 1), (80, 1)]))
    assert late.exact_ns.max() == 2 * MS
    assert any("p99" in why for why in broken(CELL, late, {}))
    early = found(kept(tmp_path, [(50, 1), (59, 1), (70, 1), (80, 1)]))
    assert early.not_held == 1
    fewer = found(kept(tmp_path, [(50, 1), (60, 1), (80, 2)]), np.append(LEFT_NS, 90 * MS))
    assert fewer.lost == 1


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_the_exact_server_reads_requests_in_any_pieces(size: int) -> None:
    body = b'{"stream":true,"max_tokens":2}'
    head = b"POST /v1/chat/completions HTTP/1.1\r\ntraceparent: 00-%s-b7ad6b7169203331-01\r\n"
    whole = head % NAME.encode() + b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
    sse = Sse()
    pieces = [whole[at : at + size] for at in range(0, len(whole), size)]
    (asked,) = [asked for piece in pieces for asked in sse.requests(piece)]
    assert (asked.name, asked.said["max_tokens"]) == (NAME, 2)
    assert Grpc().answer, "its settings come first"


# ── the workload of several tools ────────────────────────────────────────────────────────────


def test_what_came_to_the_server() -> None:
    """The last three of four requests, one a second; two of them begin alike."""
    prompts = ["before", "abcd", "abcx", "zzzz"]
    lines = [
        {"come_ns": at * 10**9, "prompt": one, "left_ns": [at * 10**9 + 1, at * 10**9 + 10**9]}
        for at, one in enumerate(prompts)
    ]
    seen = came(lines, 3)
    assert (seen.requests, seen.before, seen.different, seen.common) == (3, 1, 3, 3)
    assert (seen.prompt, seen.answer) == ((4, 4.0, 4), (2, 2))
    assert (seen.arrivals_rps, seen.spread) == (1.0, 0.0)
    assert (seen.rps, seen.tokens_per_s) == (1.0, 2.0)
    line = row(LOADS[1], "tracebench", seen, Told(1.0, 2.1))
    assert line.endswith("| 3 | 1 | 3 | 3 | 4 | 2 | 1.0 (0.00) | 1.00 → 1.00 | 2 → 2 |")


@pytest.mark.parametrize(
    "said",
    [
        {"messages": [{"content": "ab"}, {"content": "c"}]},
        {"messages": [{"content": [{"type": "text", "text": "abc"}]}]},
        {"prompt": "abc"},
    ],
)
def test_the_exact_server_reads_every_form_of_a_prompt(said: dict[str, Any]) -> None:
    assert prompt_of(said) == "abc"
