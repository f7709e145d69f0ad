"""The mirror in its four spellings, and in no spelling at all."""

import json
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tracebench.model.record.exchange import Reply, Timing, Undecomposed
from tracebench.protos.inference_pb2 import PredictResponse, TimingInfo
from tracebench.tracing.mirror.timings import read_timing

FULL_NS = {"queue": 250_000, "preprocessing": 1_000_000, "inference": 4_000_000}
MALFORMED, NO_TIMING = Undecomposed.MALFORMED, Undecomposed.NO_TIMING


def timing_info(text: str) -> Timing | Undecomposed:
    return read_timing(Reply("200", {"x-timing-info": text}, b""))


def server_timing(text: str) -> Timing | Undecomposed:
    return read_timing(Reply("200", {"server-timing": text}, b""))


def in_head(total_ns: int, parts_ns: Mapping[str, int]) -> Timing:
    """What stood in a header, of a reply of which nothing tells that it streams."""
    return Timing(total_ns, parts_ns, "mirror", came_with="head")


def message(**durations_ms: float) -> bytes:
    entries = [TimingInfo(component=name, duration_ms=ms) for name, ms in durations_ms.items()]
    return PredictResponse(result="{}", timing_info=entries).SerializeToString()


def test_seconds_in_json() -> None:
    text = (
        '{"queue": 0.00025, "preprocessing": 1e-3, "inference": 4E-03, "server_processing": 0.01}'
    )
    assert timing_info(text) == in_head(10_000_000, FULL_NS)


def test_milliseconds_in_server_timing() -> None:
    text = (
        'trace;desc="00-0af7-b7ad-01", queue;dur=0.25, preprocessing;desc="a \\", b";dur=1, '
        'inference ; dur = "4.0" ;x,, server_processing;DUR=10;dur=99'
    )
    assert server_timing(text) == in_head(10_000_000, FULL_NS)


def test_milliseconds_in_a_grpc_message() -> None:
    body = message(queue=0.25, preprocessing=1.0, inference=4.0, server_processing=10.0)
    assert read_timing(Reply("OK", {}, body)) == Timing(10_000_000, FULL_NS, "mirror")


TGI = {
    "x-compute-time": "91",
    "x-total-time": "91",
    "x-validation-time": "1",
    "x-queue-time": "0",
    "x-inference-time": "89",
    "x-time-per-token": "4",
}


def test_whole_milliseconds_of_text_generation_inference() -> None:
    parts_ns = {"queue": 0, "preprocessing": 1_000_000, "inference": 89_000_000}
    assert read_timing(Reply("200", TGI, b"")) == in_head(91_000_000, parts_ns)
    assert read_timing(Reply("200", {**TGI, "x-queue-time": "soon"}, b"")) is MALFORMED
    for name in ("x-total-time", "x-inference-time"):
        assert (
            read_timing(Reply("200", {k: v for k, v in TGI.items() if k != name}, b"")) is NO_TIMING
        )


@pytest.mark.parametrize("name", ["server_processing", "total"])
def test_a_total_alone_is_enough(name: str) -> None:
    assert timing_info(json.dumps({name: 0.007})) == in_head(7_000_000, {})
    assert server_timing(f"{name};dur=7") == in_head(7_000_000, {})
    assert read_timing(Reply("OK", {}, message(**{name: 7.0}))) == Timing(7_000_000, {}, "mirror")


@pytest.mark.parametrize(
    "text", ["total;;dur=5", "total;dur=5;", 'total;dur="5', ";dur=5,=,total;x=y=z; dur=5.0;dur=x"]
)
def test_server_timing_is_read_as_tolerantly_as_browsers_do(text: str) -> None:
    assert server_timing(text) == in_head(5_000_000, {})


OWN = in_head(7_000_000, {"inference": 1_000_000, "tokenize": 2_000_000})


def test_names_of_the_author_s_own_are_parts() -> None:
    text = '{"model": "resnet", "tokenize": 0.002, "inference": 0.001, "total": 0.007, "x": [{}]}'
    assert timing_info(text) == OWN
    assert server_timing("tokenize;dur=2, inference;dur=1, total;dur=7") == OWN
    in_message = read_timing(Reply("OK", {}, message(tokenize=2.0, inference=1.0, total=7.0)))
    assert in_message == OWN._replace(came_with="end")


def test_an_own_name_may_come_several_times() -> None:
    assert server_timing("tokenize;dur=.5,inference;dur=1,total;dur=7,tokenize;dur=1.5") == OWN


@pytest.mark.parametrize("number", ["odd", "nan", "-1", "inf", "1e300", "1e999999999999", ""])
def test_what_is_no_time_is_no_part(number: str) -> None:
    text = f"cache;dur={number}, inference;dur=1, tokenize;dur=2, total;dur=7"
    assert server_timing(text) == OWN


CDN = "cdn-cache; desc=HIT, edge; dur=1, origin; dur=50"


@pytest.mark.parametrize(
    ("text", "parts_ms", "left_out"),
    [
        (f"{CDN}, total;dur=60", {"edge": 1, "origin": 50}, ()),
        (f"{CDN}, total;dur=51", {"edge": 1, "origin": 50}, ()),
        (f"{CDN}, total;dur=49", {"edge": 1}, ("origin",)),
        (f"{CDN}, inference;dur=20, total;dur=60", {"inference": 20, "edge": 1}, ("origin",)),
        (f"inference;dur=60.0, total;dur=60.0, {CDN}", {"inference": 60}, ("edge", "origin")),
        (f"server_processing;dur=60, {CDN}, total;dur=52", {"edge": 1, "origin": 50}, ()),
        (f"total;dur=52, {CDN}, total;dur=9, server_processing;dur=30", {"edge": 1}, ("origin",)),
        ("server_other;dur=5, inference;dur=10, edge;dur=12, total;dur=30", None, ()),
    ],
)
def test_timings_of_others_never_spoil_those_of_the_server(
    text: str, parts_ms: Mapping[str, int] | None, left_out: tuple[str, ...]
) -> None:
    found = server_timing(text)
    assert isinstance(found, Timing)
    expected_ms = {"inference": 10, "edge": 12} if parts_ms is None else parts_ms
    assert found.parts_ns == {name: ms * 1_000_000 for name, ms in expected_ms.items()}
    assert found.left_out == left_out


def test_others_digits_do_not_decide_on_the_server_s_rounding() -> None:
    found = server_timing("edge;dur=0.000001, inference;dur=3, queue;dur=3, total;dur=5")
    assert isinstance(found, Timing)
    assert found.scaled
    assert sum(found.parts_ns.values()) == found.total_ns


def test_a_rounded_own_part_is_cut_where_it_exceeds_the_rest_by_a_digit() -> None:
    found = server_timing("inference;dur=3.0, tokenize;dur=2.1, total;dur=5.0")
    parts_ns = {"inference": 3_000_000, "tokenize": 2_000_000}
    assert found == in_head(5_000_000, parts_ns)._replace(scaled=True)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a b", "a_b"),
        ("%s{}[red]\\\x1b", "_s___red___"),
        ("ключ", "____"),
        ("n" * 1000, "n" * 64),
        ("\ud800", "_"),
    ],
)
def test_names_are_fit_for_every_output(name: str, shown: str) -> None:
    found = timing_info(json.dumps({name: 0.001, "total": 0.002}))
    assert found == in_head(2_000_000, {shown: 1_000_000})


def test_no_reply_has_names_without_end() -> None:
    many = {f"name{number}": 1e-9 for number in range(10_000)}
    found = timing_info(json.dumps({**many, "total": 1.0}))
    assert isinstance(found, Timing)
    assert (len(found.parts_ns), found.unlisted) == (32, 32)


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ('server_processing;dur=10, components_outside_requests;desc="3"', 3),
        ("components_outside_requests ; desc=12, server_processing;dur=10", 12),
        ('server_processing;dur=10, x_components_outside_requests;desc="3"', 0),
        ('server_processing;dur=10, components_outside_requests;desc="many"', 0),
        ('server_processing;dur=10, components_outside_requests;desc="1234567890"', 0),
        ("server_processing;dur=10, components_outside_requests;dur=3", 0),
    ],
)
def test_components_outside_requests_are_counted(text: str, count: int) -> None:
    timing = server_timing(text)
    assert isinstance(timing, Timing)
    assert timing.strays == count
    beside = read_timing(Reply("OK", {"server-timing": text}, message(server_processing=10)))
    assert isinstance(beside, Timing)
    assert beside.strays == count


def test_the_best_known_spelling_is_read() -> None:
    headers = {
        "x-timing-info": '{"server_processing": 0.001}',
        "server-timing": "total;dur=2",
    }
    body = message(server_processing=3.0)
    seen = []
    while headers:
        seen.append(read_timing(Reply("OK", headers, body, late=frozenset(headers))))
        del headers[next(iter(headers))]
    seen.append(read_timing(Reply("OK", headers, body)))
    assert seen == [Timing(ms * 1_000_000, {}, "mirror") for ms in (1, 2, 3)]


def test_a_spelling_without_a_known_name_is_passed_over() -> None:
    headers = {"x-timing-info": '{"model": "resnet"}', "server-timing": "cache;dur=1"}
    body = message(server_processing=3.0)
    assert read_timing(Reply("OK", headers, body)) == Timing(3_000_000, {}, "mirror")


SIZED, CHUNKED = {"content-length": "2"}, {"transfer-encoding": "chunked"}
EVENTS = {"content-type": "Text/Event-Stream; charset=utf-8"}


@pytest.mark.parametrize(
    ("status", "headers", "late", "whole", "expected"),
    [
        ("200", {}, (), False, "head"),
        ("200", SIZED, (), True, "head"),
        ("200", CHUNKED, (), False, "head"),
        ("200", CHUNKED, (), True, "stream"),
        ("200", {}, (), True, "stream"),
        ("200", CHUNKED | EVENTS, (), False, "stream"),
        ("200", SIZED | EVENTS, (), False, "head"),
        ("200", CHUNKED, ("server-timing",), True, "end"),
        ("OK", {}, ("server-timing", "grpc-status"), False, "end"),
        ("OK", {}, ("grpc-status",), False, "head"),
    ],
)
def test_where_in_the_reply_a_timing_stood(
    status: str, headers: Mapping[str, str], late: tuple[str, ...], whole: bool, expected: str
) -> None:
    said = {**headers, "server-timing": "total;dur=7"}
    found = read_timing(Reply(status, said, b"", frozenset(late), whole))
    assert isinstance(found, Timing)
    assert found.came_with == expected


@pytest.mark.parametrize("status", ["200", "UNAVAILABLE", ""])
def test_a_body_is_a_message_only_where_grpc_says_ok(status: str) -> None:
    assert read_timing(Reply(status, {}, message(server_processing=3.0))) is NO_TIMING


@pytest.mark.parametrize(
    "text", ["", "cache;desc=hit", "total", "total;desc=x", " , ,", "a total;dur=5"]
)
def test_a_server_timing_without_our_durations(text: str) -> None:
    assert server_timing(text) is NO_TIMING


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "[]",
        "1.5",
        '"server_processing"',
        "[" * 100_000,
        '{"server_processing": 0.1',
        '{"server_processing": "0.1"}',
        '{"server_processing": null}',
        '{"server_processing": true}',
        '{"server_processing": [0.1]}',
        '{"server_processing": {"seconds": 0.1}}',
        '{"server_processing": 0.1, "server_processing": 0.1}',
        '{"total": 0.1, "total": 0.1}',
        '{"server_processing": 0.1, "inference": "x"}',
        '{"server_processing": -0.1}',
        '{"server_processing": 0.1, "inference": -0.01}',
        '{"server_processing": NaN}',
        '{"server_processing": Infinity}',
        '{"server_processing": -Infinity}',
        '{"server_processing": 0.1, "inference": NaN}',
        '{"server_processing": 1e400}',
        '{"server_processing": 1e300}',
        '{"server_processing": 1e290}',
        '{"server_processing": 1e10}',
        '{"server_processing": 1e99999999999999999999}',
        '{"server_processing": 0e99999999999999999999}',
        '{"server_processing": ' + "9" * 10_000 + "}",
        '{"server_processing": 0.1} {"server_processing": 0.1}',
    ],
    ids=lambda text: text[:40],
)
def test_malformed_json(text: str) -> None:
    assert timing_info(text) is MALFORMED


@pytest.mark.parametrize(
    "text",
    [
        "total;dur=",
        "total;dur=abc",
        "total;dur=nan",
        "total;dur=inf",
        "total;dur=-1",
        "total;dur=1e400",
        "total;dur=5 6",
        "total;dur=5\x00",
        "total;dur=5, total;dur=5",
        "total;dur=5, inference;dur=x",
    ],
)
def test_malformed_server_timing(text: str) -> None:
    assert server_timing(text) is MALFORMED


@pytest.mark.parametrize(
    "body",
    [
        message(server_processing=float("nan")),
        message(server_processing=float("inf")),
        message(server_processing=-1.0),
        message(server_processing=1e300),
        message(server_processing=3.0) * 2,
    ],
)
def test_malformed_messages(body: bytes) -> None:
    assert read_timing(Reply("OK", {}, body)) is MALFORMED


@pytest.mark.parametrize("body", [b"\xff\xff\xff", message(server_processing=3.0)[:-1]])
def test_messages_of_another_kind_report_nothing(body: bytes) -> None:
    assert read_timing(Reply("OK", {}, body)) is NO_TIMING


def test_parts_without_a_total() -> None:
    assert timing_info('{"inference": 0.001}') is Undecomposed.NO_TOTAL
    assert server_timing("inference;dur=1") is Undecomposed.NO_TOTAL


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("inference;dur=3.1, queue;dur=2.0, total;dur=5.0", True),
        ("inference;dur=3.5, queue;dur=2.0, total;dur=5.0", False),
        ("inference;dur=3.1, queue;dur=2.000001, total;dur=5.0", False),
        ("inference;dur=4, queue;dur=2, total;dur=5", True),
    ],
)
def test_an_excess_within_the_last_digit_is_rounding(text: str, verdict: bool) -> None:
    timing = server_timing(text)
    if not verdict:
        assert timing is Undecomposed.EXCESS
    else:
        assert isinstance(timing, Timing)
        assert timing.scaled
        assert timing.total_ns == 5_000_000 == sum(timing.parts_ns.values())


def test_a_double_in_a_message_has_the_digits_it_is_printed_with() -> None:
    rounded = read_timing(Reply("OK", {}, message(inference=5.1, total=5.0)))
    assert isinstance(rounded, Timing)
    assert rounded.scaled
    exact = read_timing(Reply("OK", {}, message(inference=5.1000000001, total=5.0)))
    assert exact is Undecomposed.EXCESS


def assert_sound(found: Timing | Undecomposed) -> None:
    if isinstance(found, Timing):
        assert 0 <= sum(found.parts_ns.values()) <= found.total_ns


words = st.sampled_from(
    ["total", "inference", "dur", "=", ";", ",", '"', "{", "}", ":", "-", "1", ".5", "e9", " "]
)
texts = st.one_of(st.text(max_size=30), st.lists(words, max_size=12).map("".join))


@given(st.dictionaries(st.sampled_from(["x-timing-info", "server-timing"]), texts), st.binary())
def test_no_reply_is_an_exception(headers: Mapping[str, str], body: bytes) -> None:
    for status in ("200", "OK", ""):
        assert_sound(read_timing(Reply(status, headers, body)))


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.just("1"),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.just("k"), inner),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(["total", "inference", "queue", "own"]), json_values))
def test_no_json_is_an_exception(report: Mapping[str, object]) -> None:
    assert_sound(timing_info(json.dumps(report)))


@given(st.floats(0, 1e6), st.floats(0, 1))
def test_what_python_prints_is_read_to_the_nanosecond(total_s: float, fraction: float) -> None:
    report = {"inference": total_s * fraction, "server_processing": total_s}
    timing = timing_info(json.dumps(report))
    assert isinstance(timing, Timing)
    assert timing.total_ns == pytest.approx(total_s * 1e9, abs=0.5)
    assert timing.parts_ns["inference"] == pytest.approx(report["inference"] * 1e9, abs=1.5)
