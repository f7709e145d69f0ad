"""Apply the rules: which component each span of a trace is, and which stretches are others."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

from server_middleware.vocabulary import (
    COMPONENT_ATTRIBUTE,
    PART_NS,
    SERVER_OTHER,
    SERVER_PROCESSING,
)
from tracebench.analysis.closure.attribution import attribute, with_own
from tracebench.model.record.exchange import (
    ServerSpan,
    Timing,
    Undecomposed,
)
from tracebench.model.record.span import Span
from tracebench.tracing.mapping.precedence import Trust, least
from tracebench.tracing.mapping.rule_files import built_in, read_file, read_short
from tracebench.tracing.mapping.rules import (
    FIRST_TOKEN,
    FROM_ATTRIBUTE,
    Conditions,
    Profile,
    Rule,
    one_fits,
)
from tracebench.tracing.mapping.server_clocks import on_one_clock
from tracebench.tracing.mapping.stages import Stage, durations, may_begin, stretches
from tracebench.tracing.mapping.stream_marks import of_stream

_SpanKind: TypeAlias = tuple[str, str, str]
"""Name, kind and scope."""
_NOTHING_KNOWN: Final[Mapping[str, Trust]] = MappingProxyType({})
_MIDDLEWARE: Final = "server_middleware"
"""The scope of the spans that `component()` makes."""
_KINDS_OF_SPANS: Final = 4096
"""How many kinds of spans are cached; some servers put an id into the name of a span."""


class Mapped(NamedTuple):
    """The result of the rules for one span."""

    span: Span
    component: str | None
    """The component of the span's own time; None: no rule applies."""
    stages: tuple[Stage, ...]
    profiles: tuple[str, ...]
    """Names of the profiles that this span identifies; they apply to its whole trace."""


class Asked(NamedTuple):
    """What rules read from spans, besides names, kinds and scopes."""

    values: frozenset[str]
    """Names of attributes."""
    durations: frozenset[str]
    """Names of attributes that hold durations."""
    events: frozenset[str]


class Outline(NamedTuple):
    """The mapping of a trace, independent of its times."""

    components: Sequence[str | None]
    last: tuple[int, ...]
    """Indices of children; if there are any, the server's time ends with the last of them."""
    last_if_outlived: tuple[int, ...]
    """The same, but only if the entry span continues after the client has the reply."""


class _Sorted(NamedTuple):
    """The rules that may apply to a span, by what they refer to."""

    whole: tuple[Rule, ...]
    stretches: tuple[Rule, ...]
    durations: tuple[Rule, ...]


class Mapper:
    """Applies the user's rules first, then those of the profiles that match a trace.

    Args:
        rules: rules in the short form, which take precedence over all others.
        profiles: in order of precedence; None: the built-in ones.
    """

    def __init__(self, rules: Iterable[Rule] = (), profiles: Iterable[Profile] | None = None):
        known = built_in() if profiles is None else profiles
        self._profiles = (Profile("your own rules", tuple(rules)), *known)
        self._always = frozenset(
            at for at, profile in enumerate(self._profiles) if not profile.when
        )
        self._users = frozenset(
            at
            for at, profile in enumerate(self._profiles)
            if profile.rules and not profile.is_built_in
        )
        self._fitted: set[Rule] = set()
        self._signs = lru_cache(_KINDS_OF_SPANS)(self._find_signs)
        self._rules = lru_cache(_KINDS_OF_SPANS)(self._find_rules)
        self._name_of = lru_cache(_KINDS_OF_SPANS)(self._find_name)

    def timing(
        self,
        entry: Span,
        spans: Sequence[Span],
        longest_ns: int | None = None,
        trust: Mapping[str, Trust] = _NOTHING_KNOWN,
    ) -> Timing | Undecomposed:
        """Divide a request's entry span among the components.

        Args:
            entry: the request's first span in the server; one of `spans`.
            spans: of the trace, each once.
            longest_ns: how long the client waited; a server's time that exceeds it continues after
                the reply. None: unknown.
            trust: server → trust in profiles, as far as known.

        Returns:
            The result of `attribute` for the mapped spans; MALFORMED if a duration in a span is
            invalid, EXCESS if such durations together exceed their span.
        """
        reduced: list[ServerSpan] = []
        totals, tokens = list[Stage](), list[Stage]()
        for one in self.map(on_one_clock(spans), trust):
            for at, stage in enumerate(one.stages):
                if stage.problem is not None:
                    return stage.problem
                if stage.component == FIRST_TOKEN:
                    tokens.append(stage)
                elif stage.component != SERVER_PROCESSING:
                    reduced.append(_as_child(stage, one.span, at))
                elif one.span.span_id == entry.span_id:
                    totals.append(stage)
            reduced.append(_reduced(one.span, one.component))
        [whole] = [one for one in reduced if one.span_id == entry.span_id]
        whole = _ended(whole, totals, longest_ns)
        timing = attribute(whole, reduced)
        if isinstance(timing, Undecomposed):
            return timing
        timing = timing._replace(stream=of_stream(entry, tokens, whole.start_ns))
        return with_own(timing, self._as_mapped(_told(entry)))

    def outline(
        self, entry: int, spans: Sequence[Span], trust: Mapping[str, Trust] = _NOTHING_KNOWN
    ) -> Outline | None:
        """Map the spans of one trace, independent of their times.

        Args:
            entry: index of the entry span.
            spans: of the trace.
            trust: as for `timing`.

        Returns:
            None if rules may apply to parts of these spans, which depends on the times.
        """
        rules = self._applying(spans, trust)
        children: defaultdict[str, list[Span]] = defaultdict(list)
        for span in spans:
            children[span.parent_id].append(span)
        ends: dict[bool, tuple[int, ...]] = {}
        for span, own in zip(spans, rules, strict=True):
            if any(one.duration in span.attributes for one in _fitting(span, own.durations)):
                return None
            is_entry = span is spans[entry]
            for rule in _fitting(span, own.stretches):
                below = children[span.span_id]
                ignored = rule.component == SERVER_PROCESSING and not is_entry
                if ignored or not may_begin(span, rule, below):
                    continue
                if not rule.ends_with_children or rule.outlived in ends:
                    return None
                fitting = (one for one in below if one_fits(rule.last, one.name))
                ends[rule.outlived] = tuple(map(spans.index, fitting))
        components = [_component(span, own.whole) for span, own in zip(spans, rules, strict=True)]
        return Outline(components, ends.get(False, ()), ends.get(True, ()))

    def asked(self) -> Asked:
        """What the rules read from a span, besides its name, kind and scope."""
        rules = [rule for profile in self._profiles for rule in profile.rules]
        conditions = [rule.conditions for rule in rules]
        conditions += [one for profile in self._profiles for one in profile.when]
        values = {name for one in conditions for name, _ in one.attributes}
        values |= {rule.component.removeprefix(FROM_ATTRIBUTE) for rule in rules}
        return Asked(
            frozenset(values | {COMPONENT_ATTRIBUTE}),
            frozenset(rule.duration for rule in rules if rule.duration),
            frozenset(name for rule in rules for name in (*rule.starts, *rule.ends)),
        )

    def name_of(self, name: str) -> str:
        """The name that the user's rules give to a part that a server reported by this name."""
        return self._name_of(name) if self._users else name

    def unfit(self) -> list[str]:
        """The rules of `--map`, as written, that have matched no span and no part so far."""
        unfit = (rule for rule in self._profiles[0].rules if rule not in self._fitted)
        return [f"{rule.component}={rule.conditions.span[0].text}" for rule in unfit]

    def _as_mapped(self, parts_ns: Mapping[str, int]) -> Mapping[str, int]:
        if not self._users:
            return parts_ns
        mapped_ns: Counter[str] = Counter()
        for name, part_ns in parts_ns.items():
            mapped_ns[self._name_of(name)] += part_ns
        mapped_ns.pop(SERVER_OTHER, None)
        return dict(mapped_ns)

    def _find_name(self, name: str) -> str:
        """The component of a part by the user's rules, as if `component()` had recorded it."""
        kind: _SpanKind = (name, "INTERNAL", _MIDDLEWARE)
        span = Span("", "", "", name, "INTERNAL", 0, 0, {COMPONENT_ATTRIBUTE: name})
        told = [at for at, sign in self._signs(*kind) if sign.rest_fits(span)]
        rules = self._rules(*kind, self._users & self._always.union(told), Trust.FULL)
        return _component(span, rules.whole) or name

    def map(
        self, spans: Sequence[Span], trust: Mapping[str, Trust] = _NOTHING_KNOWN
    ) -> Iterator[Mapped]:
        """Find the rules for each span of one trace."""
        told = [self._told(span) for span in spans]
        rules = self._applying(spans, trust, told)
        for mapped, indices in zip(_mapped(spans, rules), told, strict=True):
            names = tuple(self._profiles[at].name for at in dict.fromkeys(indices))
            yield mapped._replace(profiles=names) if names else mapped

    def _told(self, span: Span) -> list[int]:
        """Indices of the profiles that a span identifies."""
        signs = self._signs(span.name, span.kind, span.scope)
        return [at for at, sign in signs if sign.rest_fits(span)]

    def _applying(
        self,
        spans: Sequence[Span],
        trust: Mapping[str, Trust],
        told: Sequence[Sequence[int]] | None = None,
    ) -> list[_Sorted]:
        """The rules that may apply to each span of one trace."""
        kinds = [(span.name, span.kind, span.scope) for span in spans]
        applying = self._always.union(*(map(self._told, spans) if told is None else told))
        believed = least(spans, trust)
        if believed is Trust.FULL and self._user_names_some(spans, kinds, applying):
            believed = Trust.NO_GUESSES
        return [self._rules(*kind, applying, believed) for kind in kinds]

    def _user_names_some(
        self, spans: Sequence[Span], kinds: Sequence[_SpanKind], applying: frozenset[int]
    ) -> bool:
        """Whether the user's own rules name any component of this trace."""
        users = applying & self._users
        if not users:
            return False
        return any(
            rule.is_part and rule.conditions.rest_fits(span)
            for span, kind in zip(spans, kinds, strict=True)
            for rules in self._rules(*kind, users, Trust.FULL)
            for rule in rules
        )

    def _find_signs(self, name: str, kind: str, scope: str) -> tuple[tuple[int, Conditions], ...]:
        """Conditions that such a span may meet, with the index of the profile that has them."""
        return tuple(
            (at, conditions)
            for at, profile in enumerate(self._profiles)
            for conditions in profile.when
            if conditions.name_fits(name, kind, scope)
        )

    def _find_rules(
        self, name: str, kind: str, scope: str, applying: frozenset[int], trust: Trust
    ) -> _Sorted:
        rules = [
            rule
            for at in sorted(applying)
            for rule in self._profiles[at].rules
            if rule.conditions.name_fits(name, kind, scope)
            and _counts(rule, self._profiles[at], trust)
        ]
        self._fitted.update(rules)
        return _Sorted(
            tuple(rule for rule in rules if rule.is_whole),
            tuple(rule for rule in rules if rule.is_stretch),
            tuple(rule for rule in rules if rule.duration),
        )


def _counts(rule: Rule, profile: Profile, trust: Trust) -> bool:
    """Whether a rule counts; those for a request's end and for tokens always do."""
    if not profile.is_built_in or not profile.when or not rule.is_part:
        return True
    return trust is Trust.FULL or (trust is Trust.NO_GUESSES and not rule.guess)


def mapper_of(short: Iterable[str], path: str | None) -> Mapper:
    """The mapper for the options `--map` and `--mapping`.

    Raises:
        UsageError: one of them is invalid.
    """
    profiles = built_in() if path is None else (read_file(path), *built_in())
    return Mapper(map(read_short, short), profiles)


def _mapped(spans: Sequence[Span], rules: Sequence[_Sorted]) -> Iterator[Mapped]:
    components = [_component(span, own.whole) for span, own in zip(spans, rules, strict=True)]
    children: defaultdict[str, list[Span]] = defaultdict(list)
    below: defaultdict[str, set[str | None]] = defaultdict(set)
    if any(own.stretches or own.durations for own in rules):
        for span, component in zip(spans, components, strict=True):
            children[span.parent_id].append(span)
            below[span.parent_id].add(component)
    for span, own, component in zip(spans, rules, components, strict=True):
        stages: list[Stage] = []
        if own.stretches:
            stages += stretches(span, _fitting(span, own.stretches), children)
        if own.durations:
            stages += durations(span, _fitting(span, own.durations), below[span.span_id])
        yield Mapped(span, component, tuple(stages), ())


def _told(entry: Span) -> dict[str, int]:
    """Parts of a request's time that the server span reports only as durations."""
    return {
        name.removeprefix(PART_NS): told_ns
        for name, told_ns in entry.attributes.items()
        if name.startswith(PART_NS) and type(told_ns) is int and told_ns >= 0
    }


def _fitting(span: Span, rules: Iterable[Rule]) -> list[Rule]:
    return [rule for rule in rules if rule.conditions.rest_fits(span)]


def _component(span: Span, rules: Iterable[Rule]) -> str | None:
    for rule in rules:
        if rule.conditions.rest_fits(span) and (component := rule.component_of(span)):
            return component
    return None


def _ended(whole: ServerSpan, totals: Iterable[Stage], longest_ns: int | None) -> ServerSpan:
    """The entry span, limited to the server's part of the request."""
    for stage in sorted(totals, key=lambda stage: stage.outlived):
        goes_on = longest_ns is not None and whole.end_ns - whole.start_ns > longest_ns
        if goes_on or not stage.outlived:
            whole = whole._replace(start_ns=stage.start_ns, end_ns=stage.end_ns)
    return whole


def _reduced(span: Span, component: str | None) -> ServerSpan:
    """The fields of a span that the attribution needs."""
    links = tuple(link.span_id for link in span.links)
    times_ns = (span.start_ns, span.end_ns)
    return ServerSpan(span.span_id, span.parent_id, span.name, *times_ns, component, links)


def _as_child(stage: Stage, span: Span, at: int) -> ServerSpan:
    """A stage as a separate span, below the span that describes it."""
    times_ns = (stage.start_ns, stage.end_ns)
    return ServerSpan(f"{span.span_id}/{at}", span.span_id, stage.name, *times_ns, stage.component)
