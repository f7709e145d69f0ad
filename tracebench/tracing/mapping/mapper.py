"""Which component each span of a trace is, and which stretches of it are others."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from tracebench.analysis.attribution import attribute
from tracebench.model.exchange import ServerSpan, Timing, Undecomposed
from tracebench.model.span import Span
from tracebench.tracing.mapping.reading import built_in, read_file, read_short
from tracebench.tracing.mapping.rules import Conditions, Profile, Rule
from tracebench.tracing.mapping.stages import Stage, durations, stretches
from tracebench.vocabulary import SERVER_PROCESSING

_KINDS_OF_SPANS: Final = 4096
"""So many are remembered; some servers put an id into the name of a span."""


class Mapped(NamedTuple):
    """What the rules say of one span."""

    span: Span
    component: str | None
    """Of its own time; None: no rule says."""
    stages: tuple[Stage, ...]
    profiles: tuple[str, ...]
    """Those that it is the sign of: they apply to its whole trace."""


class _Candidates(NamedTuple):
    """What may concern spans of one name, kind and scope; each with its profile's index."""

    rules: tuple[tuple[int, Rule], ...]
    when: tuple[tuple[int, Conditions], ...]


class Mapper:
    """Applies rules of the user's own, then those of the profiles that fit a trace.

    Args:
        rules: they come before all others.
        profiles: in the order in which they are asked; None: the built-in ones.
    """

    def __init__(self, rules: Iterable[Rule] = (), profiles: Iterable[Profile] | None = None):
        known = built_in() if profiles is None else profiles
        self._profiles = (Profile("your own rules", tuple(rules)), *known)
        self._always = {at for at, profile in enumerate(self._profiles) if not profile.when}
        self._candidates = lru_cache(_KINDS_OF_SPANS)(self._look_up)

    def timing(self, entry: Span, spans: Sequence[Span]) -> Timing | Undecomposed:
        """Divide a request's entry span among the components.

        Args:
            entry: the request's first span in the server; one of the spans.
            spans: of the trace, each once.

        Returns:
            What `attribute` makes of the mapped spans; MALFORMED or EXCESS where a duration
            that a span tells is none, or where those together exceed it.
        """
        reduced: list[ServerSpan] = []
        for one in self.map(spans):
            component = one.component
            for at, stage in enumerate(one.stages):
                if stage.problem is not None:
                    return stage.problem
                if stage.component != SERVER_PROCESSING:
                    reduced.append(_as_child(stage, one.span, at))
                elif one.span is entry:
                    entry = entry._replace(start_ns=stage.start_ns, end_ns=stage.end_ns)
            reduced.append(_reduced(one.span, component))
        [whole] = [one for one in reduced if one.span_id == entry.span_id]
        return attribute(whole._replace(start_ns=entry.start_ns, end_ns=entry.end_ns), reduced)

    def map(self, spans: Sequence[Span]) -> Iterator[Mapped]:
        """Find the rules for each span of one trace."""
        found = [self._candidates(span.name, span.kind, span.scope) for span in spans]
        told = [
            {at for at, conditions in candidates.when if conditions.rest_fits(span)}
            for span, candidates in zip(spans, found, strict=True)
        ]
        applying = self._always.union(*told)
        rules = [
            [rule for at, rule in one.rules if at in applying and rule.conditions.rest_fits(span)]
            for span, one in zip(spans, found, strict=True)
        ]
        for mapped, indices in zip(_mapped(spans, rules), told, strict=True):
            names = tuple(self._profiles[at].name for at in sorted(indices))
            yield mapped._replace(profiles=names)

    def _look_up(self, name: str, kind: str, scope: str) -> _Candidates:
        profiles = list(enumerate(self._profiles))
        return _Candidates(
            tuple(
                (at, rule)
                for at, profile in profiles
                for rule in profile.rules
                if rule.conditions.name_fits(name, kind, scope)
            ),
            tuple(
                (at, conditions)
                for at, profile in profiles
                for conditions in profile.when
                if conditions.name_fits(name, kind, scope)
            ),
        )


def mapper_of(short: Iterable[str], path: str | None) -> Mapper:
    """The mapper that the options `--map` and `--mapping` ask for.

    Raises:
        UsageError: one of them is wrong.
    """
    profiles = built_in() if path is None else (read_file(path), *built_in())
    return Mapper(map(read_short, short), profiles)


def _mapped(spans: Sequence[Span], rules: Sequence[Sequence[Rule]]) -> Iterable[Mapped]:
    components = [_component(span, own) for span, own in zip(spans, rules, strict=True)]
    children: defaultdict[str, list[Span]] = defaultdict(list)
    below: defaultdict[str, set[str | None]] = defaultdict(set)
    for span, component in zip(spans, components, strict=True):
        children[span.parent_id].append(span)
        below[span.parent_id].add(component)
    for span, own, component in zip(spans, rules, components, strict=True):
        between = stretches(span, [rule for rule in own if rule.is_stretch], children)
        told = durations(span, [rule for rule in own if rule.duration], below[span.span_id])
        yield Mapped(span, component, (*between, *told), ())


def _component(span: Span, rules: Iterable[Rule]) -> str | None:
    named = (rule.component_of(span) for rule in rules if rule.is_whole)
    return next(filter(None, named), None)


def _reduced(span: Span, component: str | None) -> ServerSpan:
    """What the attribution needs of a span."""
    links = tuple(link.span_id for link in span.links)
    times_ns = (span.start_ns, span.end_ns)
    return ServerSpan(span.span_id, span.parent_id, span.name, *times_ns, component, links)


def _as_child(stage: Stage, span: Span, at: int) -> ServerSpan:
    """A stage as a span of its own, below the one that tells of it."""
    times_ns = (stage.start_ns, stage.end_ns)
    return ServerSpan(f"{span.span_id}/{at}", span.span_id, stage.name, *times_ns, stage.component)
