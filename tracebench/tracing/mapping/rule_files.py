"""Reading rules: TOML files and the command line's short form, with errors that name the rule."""

import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, Final

from server_middleware.vocabulary import SERVER_PROCESSING
from tracebench.model.errors import UsageError
from tracebench.model.record.span import KINDS
from tracebench.system.input_files import read_text
from tracebench.tracing.mapping.rules import (
    FIRST_TOKEN,
    FROM_ATTRIBUTE,
    RULE_COMPONENTS,
    TEXT,
    UNITS_NS,
    AnyOf,
    Conditions,
    Pattern,
    Profile,
    Rule,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

_MOST_BYTES: Final = 2**20
_CONDITIONS: Final = {"span", "kind", "scope", "attributes", "resource"}
_STRETCH: Final = {"from", "to", "to_end_of"}
_OUTLIVED, _REPEATED = "outlived", "repeated"
_GUESS: Final = "guess"
_DURATION: Final = {"duration", "unit"}
_FROM_ATTRIBUTE: Final = re.compile(f"{FROM_ATTRIBUTE}.")
_BUILT_IN: Final = Path(__file__).parent / "profiles"


@cache
def built_in() -> tuple[Profile, ...]:
    """The profiles that come with tracebench: first those for every trace, then by name."""
    paths = sorted(_BUILT_IN.glob("*.toml"))
    profiles = [read_rules(path.read_text(encoding="utf-8"), path.stem) for path in paths]
    known = (replace(profile, is_built_in=True) for profile in profiles)
    return tuple(sorted(known, key=lambda profile: bool(profile.when)))


def read_file(path: str) -> Profile:
    """Read a mapping file of the user.

    Raises:
        UsageError: it cannot be read, or is not a mapping; the message names the rule.
    """
    return read_rules(read_text("--mapping", path, _MOST_BYTES), Path(path).name)


def read_rules(text: str, name: str) -> Profile:
    """Read a profile; docs/mapping.md describes the format.

    Raises:
        UsageError: it is not a mapping; the message names the rule.
    """
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(
            f"mapping {name!r} is not valid TOML: {error or 'nested too deeply'}"
        ) from None
    _only(data, {"about", "when", "rule"}, f"mapping {name!r}")
    when = _tables(data, "when", name)
    rules = _tables(data, "rule", name)
    if not rules:
        raise UsageError(f"mapping {name!r} has no rules: give at least one [[rule]]")
    return Profile(
        name,
        tuple(_rule(table, f"mapping {name!r}, rule {at}") for at, table in enumerate(rules, 1)),
        tuple(_conditions(one, f"mapping {name!r}, when {at}") for at, one in enumerate(when, 1)),
        str(data.get("about", "")),
    )


def read_short(text: str) -> Rule:
    """Read the short form, `inference=model.forward`: a component, and a span's name or glob.

    Raises:
        UsageError: it does not have this form.
    """
    component, equals, span = text.partition("=")
    if not equals or not span.strip():
        raise UsageError(f"--map {text!r} is not COMPONENT=SPAN: write e.g. 'inference=forward'")
    return _rule({"component": component.strip(), "span": span.strip()}, f"--map {text!r}")


def _tables(data: Mapping[str, Any], key: str, name: str) -> list[Mapping[str, Any]]:
    tables = data.get(key, [])
    if not isinstance(tables, list) or not all(isinstance(one, dict) for one in tables):
        raise UsageError(f"mapping {name!r}: `{key}` is not a list of tables: write [[{key}]]")
    return tables


def _rule(table: Mapping[str, Any], where: str) -> Rule:
    marks = {"component", _OUTLIVED, _REPEATED, _GUESS}
    _only(table, _CONDITIONS | _STRETCH | _DURATION | marks, where)
    if table.keys() & _STRETCH and table.keys() & _DURATION:
        raise UsageError(f"{where}: `from`/`to` and `duration` exclude each other: drop one")
    if "to" in table and "to_end_of" in table:
        raise UsageError(f"{where}: `to` and `to_end_of` exclude each other: drop one")
    if "unit" in table and "duration" not in table:
        raise UsageError(
            f"{where}: `unit` without `duration`: add `duration` to name the attribute"
        )
    rule = Rule(
        _conditions({key: table[key] for key in table.keys() & _CONDITIONS}, where),
        _component(table.get("component"), where),
        _texts(table.get("from", ()), f"{where}: `from`"),
        _texts(table.get("to", ()), f"{where}: `to`"),
        _patterns(table.get("to_end_of", ()), f"{where}: `to_end_of`"),
        _of_total(table, _OUTLIVED, where),
        _text(table.get("duration", ""), f"{where}: `duration`"),
        _unit(table.get("unit", "s"), where),
        _guess(table, where),
        _of_total(table, _REPEATED, where),
    )
    if rule.component == SERVER_PROCESSING and not rule.is_stretch:
        raise UsageError(f"{where}: {SERVER_PROCESSING} takes `from` or `to`: events")
    if rule.component == FIRST_TOKEN and rule.is_whole:
        raise UsageError(f"{where}: {FIRST_TOKEN} takes `to` or `duration`: it is a moment")
    if rule.is_whole and rule.conditions == Conditions():
        raise UsageError(f"{where} matches every span: add `span` or another condition")
    return rule


def _component(value: object, where: str) -> str:
    if isinstance(value, str) and (value in RULE_COMPONENTS or _FROM_ATTRIBUTE.match(value)):
        return value
    raise UsageError(
        f"{where}: {value!r} is not a component: use one of {', '.join(RULE_COMPONENTS)}"
    )


def _of_total(table: Mapping[str, Any], key: str, where: str) -> bool:
    value = table.get(key, False)
    if isinstance(value, bool) and (not value or table.get("component") == SERVER_PROCESSING):
        return value
    raise UsageError(f"{where}: `{key}` must be true or false, and only with {SERVER_PROCESSING}")


def _guess(table: Mapping[str, Any], where: str) -> bool:
    value = table.get(_GUESS, False)
    if isinstance(value, bool) and (not value or table.get("component") != SERVER_PROCESSING):
        return value
    raise UsageError(f"{where}: `guess` must be true or false, and never with {SERVER_PROCESSING}")


def _unit(value: object, where: str) -> str:
    if isinstance(value, str) and value in (*UNITS_NS, TEXT):
        return value
    raise UsageError(f"{where}: {value!r} is not a unit: use one of {', '.join(UNITS_NS)}, {TEXT}")


def _conditions(table: Mapping[str, Any], where: str) -> Conditions:
    _only(table, _CONDITIONS, where)
    kinds = _texts(table.get("kind", ()), f"{where}: `kind`")
    for kind in kinds:
        if kind not in KINDS:
            raise UsageError(f"{where}: {kind!r} is not a kind: use one of {', '.join(KINDS)}")
    return Conditions(
        _patterns(table.get("span", ()), f"{where}: `span`"),
        tuple(map(Pattern, kinds)),
        _patterns(table.get("scope", ()), f"{where}: `scope`"),
        _named(table.get("attributes", {}), f"{where}: `attributes`"),
        _named(table.get("resource", {}), f"{where}: `resource`"),
    )


def _named(value: object, where: str) -> tuple[tuple[str, AnyOf], ...]:
    if not isinstance(value, dict):
        raise UsageError(f"{where} is not a table: write {{ 'name' = 'pattern' }}")
    return tuple((name, _patterns(one, f"{where}: {name!r}")) for name, one in value.items())


def _patterns(value: object, where: str) -> AnyOf:
    patterns = tuple(Pattern(text) for text in _texts(value, where))
    for pattern in patterns:
        try:
            pattern.fits("")
        except (re.error, OverflowError, RecursionError) as error:
            raise UsageError(f"{where}: {pattern.text!r} is not a valid pattern: {error}") from None
    return patterns


def _texts(value: object, where: str) -> tuple[str, ...]:
    values = value if isinstance(value, list | tuple) else [value]
    return tuple(_text(one, where) for one in values)


def _text(value: object, where: str) -> str:
    if not isinstance(value, str):
        raise UsageError(f"{where}: {value!r} is not text: put it in quotes")
    return value


def _only(table: Mapping[str, Any], known: Iterable[str], where: str) -> None:
    unknown = sorted(table.keys() - set(known))
    if unknown:
        raise UsageError(
            f"{where}: {unknown[0]!r} is not a known key: use {', '.join(sorted(known))}"
        )
