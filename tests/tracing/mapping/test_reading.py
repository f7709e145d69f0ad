"""Rules as people write them: what is read, and one line for what is wrong."""

from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from tests.tracing.mapping.samples import span, split
from tracebench.model.errors import UsageError
from tracebench.tracing.mapping.mapper import Mapper, mapper_of
from tracebench.tracing.mapping.rule_files import read_file, read_rules, read_short

OURS = """
about = "ours"
[[when]]
resource = { "service.name" = "ours" }

[[rule]]
span = ["model.*", "re:tok(en)?ize[0-9]+", "[exact]"]
kind = "INTERNAL"
scope = "ours"
attributes = { batch = "3", gpu = "true" }
component = "inference"

[[rule]]
span = "handler"
from = ["accepted", "read"]
to = "begun"
component = "queue"

[[rule]]
span = "handler"
duration = "decode_ms"
unit = "ms"
component = "preprocessing"

[[rule]]
from = "read"
component = "server_processing"
"""


def test_every_condition_must_hold() -> None:
    mapper = Mapper(profiles=[read_rules(OURS, "ours.toml")])
    entry = span(
        "handler",
        0,
        10,
        resource={"service.name": "ours"},
        events={"read": 1, "begun": 3},
        attributes={"decode_ms": 0.5},
    )
    model = span(
        "model.forward", 4, 8, "handler", scope="ours", attributes={"batch": 3, "gpu": True}
    )
    expected = {"server_processing": 9, "queue": 2, "preprocessing": 0, "inference": 4}
    assert split(mapper, entry, model) | {"preprocessing": 0} == expected
    for broken in (
        model._replace(kind="CLIENT"),
        model._replace(scope="theirs"),
        model._replace(name="my model.forward"),
        model._replace(attributes={"batch": 3}),
        model._replace(attributes={"batch": 4, "gpu": True}),
    ):
        assert "inference" not in split(mapper, entry, broken)
    for name in ("tokenize12", "tokize1", "[exact]", "model."):
        assert split(mapper, entry, model._replace(name=name))["inference"] == 4
    elsewhere = [one._replace(resource={}) for one in (entry, model)]
    assert split(mapper, *elsewhere) == {"server_processing": 10}


def test_rules_of_one_s_own_come_first() -> None:
    entry = span("entry", 0, 10)
    mapper = Mapper([read_short("queue=inference"), read_short("inference = model.*")])
    spans = [entry, span("inference", 1, 3, "entry"), span("model.forward", 4, 8, "entry")]
    assert split(mapper, *spans) == {"server_processing": 10, "queue": 2, "inference": 4}


def test_a_file_comes_before_what_a_span_says_of_itself(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text("[[when]]\nspan = 'entry'\n[[rule]]\nspan = 'x'\ncomponent = 'queue'\n")
    said = span("x", 1, 3, "entry", attributes={"tracebench.component": "inference"})
    spans = [span("entry", 0, 10), said]
    assert split(mapper_of((), str(path)), *spans) == {"server_processing": 10, "queue": 2}
    assert split(mapper_of((), None), *spans) == {"server_processing": 10, "inference": 2}


def test_a_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ours.toml"
    path.write_text(OURS)
    assert read_file(str(path)) == read_rules(OURS, "ours.toml")
    with pytest.raises(UsageError, match=r"cannot read --mapping '.*' \(No such file.*\): give"):
        read_file(str(tmp_path / "none.toml"))
    (tmp_path / "image.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(UsageError, match="cannot read --mapping"):
        read_file(str(tmp_path / "image.toml"))


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ("component = 'inference'", "rule 1 matches every span: add `span`"),
        ("span = 'x'", "rule 1: None is not a component: use one of queue, preprocessing"),
        ("span = 'x'\ncomponent = 'model'", "rule 1: 'model' is not a component: use one of"),
        ("span = 'x'\ncomponent = '@'", "rule 1: '@' is not a component"),
        ("span = 'x'\ncomponent = 3", "rule 1: 3 is not a component"),
        ("span = 3\ncomponent = 'queue'", "rule 1: `span`: 3 is not text: put it in quotes"),
        (
            "spam = 'x'\ncomponent = 'queue'",
            "rule 1: 'spam' is not a known key: use attributes, comp",
        ),
        (
            "span = 're:('\ncomponent = 'queue'",
            r"rule 1: `span`: 're:\(' is not a valid pattern: missing",
        ),
        ("kind = 'server'\ncomponent = 'queue'", "rule 1: 'server' is not a kind: use one of"),
        ("resource = 'x'\ncomponent = 'queue'", "rule 1: `resource` is not a table"),
        ("attributes = { a = 1 }\ncomponent = 'queue'", "rule 1: `attributes`: 'a': 1 is not text"),
        ("from = 'A'\nduration = 'b'\ncomponent = 'queue'", "rule 1: `from`/`to` and `duration`"),
        (
            "to = 'A'\noutlived = true\ncomponent = 'queue'",
            "rule 1: `outlived` must be true or false",
        ),
        ("to = 'A'\noutlived = 3\ncomponent = 'queue'", "rule 1: `outlived` must be true or false"),
        ("to = 'A'\nto_end_of = 'b'\ncomponent = 'queue'", "rule 1: `to` and `to_end_of` exclude"),
        ("span = 'x'\nunit = 's'\ncomponent = 'queue'", "rule 1: `unit` without `duration`"),
        (
            "duration = 'x'\nunit = 'h'\ncomponent = 'queue'",
            "rule 1: 'h' is not a unit: use one of s",
        ),
        ("span = 'x'\ncomponent = 'server_processing'", "rule 1: server_processing takes `from`"),
        (
            "to = 'A'\nrepeated = true\ncomponent = 'queue'",
            "rule 1: `repeated` must be true or false, and only with server_processing",
        ),
        ("span = 'x'\ncomponent = 'first_token'", "rule 1: first_token takes `to` or `duration`"),
    ],
)
def test_a_wrong_rule_is_named(rule: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"mapping 'ours.toml', {message}") as raised:
        read_rules(f"[[rule]]\n{rule}\n", "ours.toml")
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "has no rules: give at least one"),
        ("rule = 3", r"`rule` is not a list of tables: write \[\[rule\]\]"),
        ("rule = [3]", "`rule` is not a list of tables"),
        ("[rule]\nspan = 'x'", "`rule` is not a list of tables"),
        ("rules = 3", "'rules' is not a known key: use about, rule, when"),
        ("[[rule]", "is not valid TOML: Expected"),
        ("[[when]]\nfrom = 'x'\n[[rule]]\nspan='x'\ncomponent='queue'", "when 1: 'from' is not"),
    ],
)
def test_a_wrong_file_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"mapping 'ours.toml',? ?:?.*{message}"):
        read_rules(text, "ours.toml")


@pytest.mark.parametrize("text", ["inference", "inference=", "=forward", "model=forward"])
def test_a_wrong_short_form_is_named(text: str) -> None:
    with pytest.raises(UsageError, match=f"--map '{text}'"):
        read_short(text)


words = st.sampled_from(["rule", "when", "span", "kind", "from", "to", "duration", "unit", "s"])
values = st.recursive(
    st.one_of(st.text(max_size=5).map(repr), st.integers().map(str), words.map(repr)),
    lambda inner: st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
    max_leaves=5,
)
lines = st.one_of(
    st.sampled_from(["[[rule]]", "[[when]]", "component = 'queue'"]),
    st.builds("{} = {}".format, words, values),
    st.text(max_size=20),
)


@given(st.lists(lines, max_size=6).map("\n".join))
@example("[[rule]]\ncomponent = 'queue'\nspan = 're:(?P<x>'")
def test_whatever_is_written_is_a_profile_or_a_usage_error(text: str) -> None:
    with suppress(UsageError):
        assert read_rules(text, "fuzz").rules
