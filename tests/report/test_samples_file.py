"""Every request as a row: what is in it, in both formats."""

import csv
from pathlib import Path

import pytest
from pyarrow import parquet

from tests.analysis.samples import FAILED, MS, NO_TIMING, SUCCESS, TIMED_OUT, TIMING, shifted
from tests.load.streams.exact_streams import Streamed, chat, streams, tokens
from tests.records import Timings, record
from tracebench.model.measurement import Record
from tracebench.model.record.columns import PAGE_ROWS
from tracebench.model.record.exchange import Exchange, Lost, Timing
from tracebench.report.files.samples_file import columns_of, write

EPOCH_NS = 1_700_000_000 * 10**9
OWN = Timing(8 * MS, {"inference": 5 * MS, "prefill": MS, "tokenize": MS, "network": MS}, "otlp")


def of(*exchanges: Exchange, timings: Timings | None = None) -> Record:
    known = [TIMING] * len(exchanges) if timings is None else timings
    return Record(*record(exchanges, known), None, EPOCH_NS)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return [*csv.DictReader(file)]


def test_a_row_tells_all_of_a_request(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    again = shifted(3)._replace(lost=Lost.CLOSED, slot=2, variant=1)
    write(str(path), [("rest", of(again))])
    (row,) = rows(path)
    assert row["target"] == "rest"
    assert int(row["scheduled_ns"]) == EPOCH_NS + again.scheduled_ns
    assert (row["trace_id"], row["span_id"]) == ("a" * 32, "b" * 16)
    assert (row["payload"], row["slot"], row["sent_again"]) == ("1", "2", "closed")
    assert (row["outcome"], row["status"], row["reason"]) == ("succeeded", "200", "")
    assert (row["arrival_stamp"], row["server_timing_source"]) == ("kernel", "mirror")
    to = [int(row[f"to_{name}_ns"]) for name in ("ready", "sent", "first_byte", "arrived", "done")]
    assert to == [0, MS // 10, 10 * MS, 10 * MS + 100_000, 10 * MS + 200_000]
    leaves = ("backlog", "connect", "client", "network", "body", "preprocessing", "inference")
    parts = [int(row[f"{name}_ns"]) for name in (*leaves, "server_other")]
    assert sum(parts) == int(row["end_to_end_ns"]) == 10 * MS + 200_000
    assert row["queue_ns"] == ""


def test_what_did_not_succeed_has_no_components(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(str(path), [("rest", of(FAILED, TIMED_OUT, SUCCESS, timings=[NO_TIMING] * 3))])
    failed, late, silent = rows(path)
    assert (failed["outcome"], failed["reason"], failed["status"]) == ("failed", "HTTP 500", "500")
    assert (late["outcome"], late["to_arrived_ns"]) == ("timed_out", "")
    assert late["end_to_end_ns"] == str(2_000 * MS)
    assert {one["client_ns"] for one in (failed, late)} == {""}
    assert failed["undecomposed"] == ""
    assert silent["undecomposed"] == "the server reported no timing"
    assert silent["client_ns"] == "200000"
    assert silent["network_ns"] == silent["server_timing_source"] == ""


def test_a_server_that_tells_too_much_is_said_to(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(str(path), [("rest", of(SUCCESS, timings=[Timing(11 * MS, {}, "mirror")]))])
    (row,) = rows(path)
    assert row["undecomposed"] == "the server reported more time than the client waited"


def test_parts_have_the_name_of_their_whole_before_their_own(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    write(str(path), [("rest", of(SUCCESS, timings=[OWN]))])
    (row,) = rows(path)
    assert row["inference_ns"] == str(6 * MS)
    assert row["inference.prefill_ns"] == str(MS)
    assert row["server_other.tokenize_ns"] == row["server_other.server.network_ns"] == str(MS)
    assert row["server_other_ns"] == str(2 * MS)
    assert row["network_ns"] == str(2 * MS)


def test_targets_share_one_header(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    kept = [("rest", of(SUCCESS, timings=[OWN])), ("grpc", of(SUCCESS)), ("rest", of(SUCCESS))]
    write(str(path), kept)
    found = rows(path)
    assert [row["target"] for row in found] == ["rest", "grpc", "rest"]
    assert [*found[0]] == columns_of(kept)
    assert [row["server_other.tokenize_ns"] for row in found] == [str(MS), "", ""]


def test_pages_follow_each_other(tmp_path: Path) -> None:
    path = tmp_path / "s.csv"
    exchanges = [shifted(at) for at in range(PAGE_ROWS + 3)]
    write(str(path), [("rest", of(*exchanges))])
    due = [int(row["scheduled_ns"]) - EPOCH_NS for row in rows(path)]
    assert due == [one.scheduled_ns for one in exchanges]


def test_streams_have_their_own_columns(tmp_path: Path) -> None:
    made = Streamed(streams(chat(tokens(32))), requests=6)
    path = tmp_path / "s.csv"
    load = made.load
    write(str(path), [("rest", Record(load.requests, load.times, load.streams, 0))])
    found = rows(path)
    assert len(found) == 6
    assert made.target.stream is not None
    assert made.target.stream.ttft is not None
    ttft = sorted(int(row["ttft_ns"]) for row in found)
    assert ttft[2] / 1e6 == made.target.stream.ttft.p50_ms
    assert {row["output_tokens"] for row in found} == {"32"}
    for row in found:
        whole = int(row["ttft_ns"]) + int(row["generation_ns"]) + int(row["ending_ns"])
        assert whole == int(row["to_arrived_ns"])


def test_parquet_holds_the_same(tmp_path: Path) -> None:
    one = [("rest", of(SUCCESS, FAILED, TIMED_OUT)), ("grpc", of(SUCCESS, timings=[OWN]))]
    write(str(tmp_path / "s.csv"), one)
    write(str(tmp_path / "s.parquet"), one)
    table = parquet.read_table(tmp_path / "s.parquet")
    as_text = [
        {name: "" if value is None else str(value) for name, value in row.items()}
        for row in table.to_pylist()
    ]
    assert as_text == rows(tmp_path / "s.csv")
    assert str(table.schema.field("end_to_end_ns").type) == "int64"


@pytest.mark.parametrize("name", ["s.csv", "s.parquet"])
def test_what_cannot_be_written_leaves_the_old_file(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    path.write_text("of another run")
    broken = Record(*record([SUCCESS], [TIMING]), None, 0)
    broken.times.columns._pages.clear()  # as if a spilled page could not be read
    with pytest.raises(ValueError, match="shorter"):
        write(str(path), [("rest", of(SUCCESS)), ("rest", broken)])
    assert path.read_text() == "of another run"
    assert [*tmp_path.iterdir()] == [path]
