"""The table of profiles in docs/mapping.md: `python -m tools.profile_table`."""

from collections.abc import Iterator

from tracebench.tracing.mapping.rule_files import built_in
from tracebench.tracing.mapping.rules import AnyOf, Conditions, Profile, Rule


def table() -> str:
    """One line a profile."""
    return "\n".join(map(_line, built_in()))


def _line(profile: Profile) -> str:
    signs = "; ".join(_sign(one) for one in profile.when) or "every trace"
    maps = "; ".join(dict.fromkeys(_map(rule) for rule in profile.rules if _tells(rule)))
    return f"| `{profile.name}` | {profile.about} | {signs} | {maps or 'the total alone'} |"


def _tells(rule: Rule) -> bool:
    return rule.component != "server_other"


def _map(rule: Rule) -> str:
    if rule.is_stretch:
        what = f"{_texts(rule.starts) or 'begin'} → {_end(rule)}"
    else:
        what = f"`{rule.duration}`" if rule.duration else _sign(rule.conditions)
    when = " (where outlived)" if rule.outlived else " (where repeated)" if rule.repeated else ""
    return f"{what} = {rule.component}{when}"


def _end(rule: Rule) -> str:
    return f"end of {_patterns(rule.last)}" if rule.last else _texts(rule.ends) or "end"


def _texts(names: tuple[str, ...]) -> str:
    return " or ".join(f"`{name}`" for name in names)


def _patterns(patterns: AnyOf) -> str:
    return _texts(tuple(dict.fromkeys(pattern.text.strip() for pattern in patterns)))


def _sign(conditions: Conditions) -> str:
    return ", ".join(dict.fromkeys(_signs(conditions)))


def _signs(conditions: Conditions) -> Iterator[str]:
    if conditions.span:
        yield _patterns(conditions.span)
    if conditions.scope:
        yield f"scope {_patterns(conditions.scope)}"
    for name, patterns in conditions.resource:
        yield f"{name} {_patterns(patterns)}"
    for name, _ in conditions.attributes:
        yield f"attribute `{name}`"


if __name__ == "__main__":
    print(table())
