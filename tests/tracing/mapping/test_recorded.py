"""Traces that real servers sent, byte for byte: what becomes of their stages."""

from pathlib import Path

import pytest

from server_middleware.vocabulary import REPORTED_PARTS
from tests.tracing.otlp_samples import RECORDED
from tracebench.model.record.exchange import HandedOver, StreamTiming, Timing
from tracebench.model.record.span import Span
from tracebench.tracing.mapping.mapper import Mapper
from tracebench.tracing.otlp.read_json import read_json
from tracebench.tracing.otlp.read_protobuf import read_protobuf

REST, GRPC = "cd" * 8, "ef" * 8
MAPPER = Mapper()


def recording(path: Path) -> list[Span]:
    read = read_json if path.suffix == ".json" else read_protobuf
    return read(path.read_bytes())


def timings(name: str, root: str) -> list[tuple[int, ...]]:
    """Of each request: the total, then queue, preprocessing, inference, postprocessing; in ns."""
    spans = recording(RECORDED / name)
    found = [MAPPER.timing(entry, spans) for entry in spans if entry.parent_id == root]
    assert all(isinstance(one, Timing) for one in found)
    return [
        (one.total_ns, *(one.parts_ns.get(part, -1) for part in REPORTED_PARTS))
        for one in found
        if isinstance(one, Timing)
    ]


@pytest.mark.parametrize(
    ("name", "root", "expected"),
    [
        ("triton-1.json", REST, [(34_991_644, 54_841, 148_811, 34_353_368, 125_095)]),
        ("triton-2.json", REST, [(1_449_421, 44_396, 143_964, 720_228, 156_783)]),
        ("triton-2.json", GRPC, [(639_039, 56_635, 69_883, 395_177, 36_243)]),
        ("triton-3.json", REST, [(688_862, 84_445, 52_157, 362_969, 83_474)]),
        (
            "triton-3.json",
            GRPC,
            [
                (640_750, 74_731, 55_522, 406_353, 41_592),
                (588_263, 77_626, 51_015, 367_265, 33_320),
            ],
        ),
    ],
)
def test_triton_s_stages_until_its_reply_has_left(
    name: str, root: str, expected: list[tuple[int, ...]]
) -> None:
    assert timings(name, root) == expected


def test_triton_s_stream_until_its_last_message_has_left() -> None:
    """Its compute span goes on for 74 ms, until the model itself has returned."""
    spans = recording(RECORDED / "triton-stream-1.json")
    entry = next(one for one in spans if one.name == "InferRequest")
    found = MAPPER.timing(entry, spans)
    assert isinstance(found, Timing)
    assert found.total_ns == 11_314_066
    assert found.parts_ns == {"queue": 121_027, "preprocessing": 312_756, "inference": 10_745_880}
    starts_ns = [2_619_703, 3_152_372, 3_927_876, 7_102_990, 8_389_552, 8_461_767, 11_075_298]
    expected = tuple(HandedOver(at, ns) for at, ns in enumerate(starts_ns, 1))
    assert found.stream == StreamTiming(expected)


def test_vllm_s_streams() -> None:
    spans = recording(RECORDED / "vllm-stream-1.json")
    found = [MAPPER.timing(one, [one]) for one in spans]
    told = [(334_428_104, 41_007, 14_129_324, 303_369_468, 30_992_746)]
    told.append((346_599_085, 34_104, 17_814_906, 302_003_426, 41_324_139))
    told.append((346_778_706, 22_261, 17_814_906, 302_003_426, 41_198_254))
    assert found == [
        Timing(
            total_ns,
            {"queue": queue_ns, "prefill": prefill_ns, "decode": decode_ns},
            "otlp",
            stream=StreamTiming(first_ns=first_ns),
        )
        for total_ns, queue_ns, prefill_ns, decode_ns, first_ns in told
    ]


def test_litserve_on_fastapi() -> None:
    assert timings("litserve-1.pb", REST) == [
        (4_252_870, -1, 664_346, 1_973_047, 87_019),
        (3_183_384, -1, 547_863, 1_613_063, 50_324),
        (3_033_141, -1, 431_770, 1_616_780, 42_983),
    ]


@pytest.mark.parametrize(
    ("name", "root", "totals_ns"),
    [
        ("mlserver-1.pb", REST, [6_305_818, 1_836_656, 2_006_708]),
        ("mlserver-1.pb", GRPC, [1_389_763, 1_554_808, 1_398_054]),
        ("bentoml-1.pb", REST, [15_028_391, 2_191_762, 3_327_227]),
    ],
)
def test_servers_that_tell_their_total_alone_until_the_reply_is_sent(
    name: str, root: str, totals_ns: list[int]
) -> None:
    assert timings(name, root) == [(total_ns, -1, -1, -1, -1) for total_ns in totals_ns]


@pytest.mark.parametrize("path", sorted(RECORDED.glob("*-*")), ids=lambda path: str(path.name))
def test_the_profile_is_found(path: Path) -> None:
    server = {"litserve": "fastapi"}.get(path.name.split("-")[0], path.name.split("-")[0])
    found = {name for one in MAPPER.map(recording(path)) for name in one.profiles}
    assert found == {server}
