"""The user's rules hold for parts that a mirror tells as they do for spans of their names."""

from pathlib import Path

import pytest

from tests.tracing.mapping.samples import MS, span, split
from tracebench.model.record.exchange import Timing, Undecomposed
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.span import Value
from tracebench.tracing.join.join import renamed as by_rules
from tracebench.tracing.mapping.mapper import Mapper, mapper_of

MIRROR = Timing(100 * MS, {"inference": 20 * MS, "tokenize": 30 * MS, "render": 5 * MS}, "mirror")


def told(mirror: Timing | Undecomposed, mapper: Mapper) -> Timing | Undecomposed:
    return by_rules(ServerTimes.of([mirror]), mapper).timing(0)


def renamed(mapper: Mapper) -> dict[str, float]:
    found = told(MIRROR, mapper)
    assert isinstance(found, Timing)
    assert found.total_ns == MIRROR.total_ns
    return {name: ns / MS for name, ns in found.parts_ns.items()}


def spanned(mapper: Mapper) -> dict[str, float]:
    """The same as spans of the middleware's."""
    spans = [span("POST /predict", 0, 100, kind="SERVER")]
    for at, (name, ns) in enumerate(MIRROR.parts_ns.items()):
        spans.append(
            span(
                name,
                at * 30,
                at * 30 + ns / MS,
                "POST /predict",
                scope="server_middleware",
                attributes={"tracebench.component": name},
            )
        )
    found = split(mapper, *spans)
    del found["server_processing"]
    return found


RULES = [
    ([], {"inference": 20, "tokenize": 30, "render": 5}),
    (["preprocessing=tokenize"], {"inference": 20, "preprocessing": 30, "render": 5}),
    (["inference=re:[a-z]+"], {"inference": 55}),
    (["server_other=render", "queue=inference"], {"queue": 20, "tokenize": 30}),
    (["queue=forward"], {"inference": 20, "tokenize": 30, "render": 5}),
]


@pytest.mark.parametrize(("maps", "expected"), RULES)
def test_short_rules(maps: list[str], expected: dict[str, float]) -> None:
    mapper = mapper_of(maps, None)
    assert renamed(mapper) == spanned(mapper) == expected


@pytest.mark.parametrize(
    ("conditions", "fits"),
    [
        ('span = "tok*"', True),
        ('attributes = { "tracebench.component" = "tokenize" }', True),
        ('span = "tokenize"\nkind = "INTERNAL"\nscope = "server_middleware"', True),
        ('span = "tokenize"\nkind = "SERVER"', False),
        ('span = "tokenize"\nresource = { "service.name" = "ours" }', False),
        ('span = "tokenize"\nfrom = "begun"', False),
    ],
)
def test_rules_of_a_file(conditions: str, fits: bool, tmp_path: Path) -> None:
    file = tmp_path / "ours.toml"
    file.write_text(f'[[rule]]\n{conditions}\ncomponent = "preprocessing"\n')
    mapper = mapper_of([], str(file))
    assert renamed(mapper) == spanned(mapper)
    assert ("preprocessing" in renamed(mapper)) is fits


def test_profiles_do_not_touch_a_mirror() -> None:
    sglang = Timing(9 * MS, {"tokenize": MS, "decode_loop": MS}, "mirror")
    assert told(sglang, Mapper()) == sglang


def test_what_is_no_timing_stays_so() -> None:
    mapper = mapper_of(["preprocessing=tokenize"], None)
    assert told(Undecomposed.EXCESS, mapper) is Undecomposed.EXCESS


@pytest.mark.parametrize(
    ("maps", "expected"),
    [
        ([], {"inference": 20, "deserialization": 3, "serialization": 4}),
        (
            ["postprocessing=serialization"],
            {"inference": 20, "deserialization": 3, "postprocessing": 4},
        ),
        (["inference=*serialization"], {"inference": 27}),
    ],
)
def test_a_server_span_may_tell_parts_that_have_no_span(
    maps: list[str], expected: dict[str, float]
) -> None:
    told = {f"tracebench.part_ns.{name}": ms * MS for name, ms in TOLD_MS.items()}
    entry = span("Predict", 0, 100, kind="SERVER", attributes=told)
    found = split(mapper_of(maps, None), entry, span("inference", 10, 30, "Predict"))
    assert found == {"server_processing": 100, **expected}


def test_rules_that_fit_neither_a_span_nor_a_part() -> None:
    maps = ["queue=wait*", "preprocessing=tokenize", "postprocessing=Predict", "queue=nowhere"]
    mapper = mapper_of(maps, None)
    assert mapper.unfit() == maps
    told(Timing(9 * MS, {"tokenize": MS}, "mirror"), mapper)
    assert mapper.unfit() == ["queue=wait*", "postprocessing=Predict", "queue=nowhere"]
    split(mapper, span("Predict", 0, 9, kind="SERVER"), span("waiting", 1, 2, "Predict"))
    assert mapper.unfit() == ["queue=nowhere"]


TOLD_MS = {"deserialization": 3, "serialization": 4}


@pytest.mark.parametrize("told", [-1, "soon", 1.5, True, 81 * MS])
def test_what_such_a_part_cannot_be_is_left_out(told: Value) -> None:
    attributes = {"tracebench.part_ns.serialization": told}
    entry = span("Predict", 0, 100, kind="SERVER", attributes=attributes)
    found = split(Mapper(), entry, span("inference", 10, 30, "Predict"))
    assert found == {"server_processing": 100, "inference": 20}
