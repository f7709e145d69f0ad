"""Findings about whether the components a server reports fit into its time and explain it."""

from operator import itemgetter
from typing import Final

from server_middleware.vocabulary import MOST_OWN_NAMES, SERVER_OTHER, SERVER_PROCESSING
from tracebench.analysis.advice import Advice, reports_parts, unless
from tracebench.analysis.closure.own_components import share_of
from tracebench.analysis.findings.finding import (
    INFO,
    WARNING,
    Evidence,
    FindingKind,
    part_of,
    state,
    weigh,
)
from tracebench.analysis.objectives.goodput import unknown_metrics
from tracebench.model.record.exchange import Undecomposed
from tracebench.model.results.result import Finding

_LEAST_SHARE: Final = 0.05
"""Share of the latency below which the server's time is not worth explaining."""


_NEGATIVE_NETWORK: Final = FindingKind(
    "negative_network",
    ((0.0, "info"), (0.01, "warning")),
    "for {value:%} of the replies the server reports more time than the client waited: "
    "they are not decomposed",
    (
        Advice(
            "check that it reports the right unit, and that its span ends before the reply is sent",
            short="check its unit",
        ),
    ),
    "{value:%} of the replies report more time than the client waited",
)


def _negative_network(run: Evidence) -> Finding | None:
    count = run.decomposition.undecomposed.get(Undecomposed.NEGATIVE_NETWORK, 0)
    return weigh(_NEGATIVE_NETWORK, part_of(count, run.requests.succeeded))


_UNEXPLAINED_SHARE: Final = FindingKind(
    "unexplained_share",
    ((0.25, "info"), (0.50, "warning")),
    "{value:%} of the server's time is in no component, neither a standard nor a custom one",
    (
        Advice(
            "wrap its other work in component(): reading, batching, writing",
            reports_parts,
            short="wrap it in component()",
        ),
        Advice(
            "wrap its steps in component(), or map its spans",
            unless(reports_parts),
            short="wrap its steps in component()",
        ),
        Advice(
            "components are lost if they run where the request's context does not reach: a thread "
            "that outlives the request, a greenlet, a process pool, a worker process",
            unless(reports_parts),
        ),
    ),
    "{value:%} of the server's time is in no component",
    explained_by=("components_outside_requests",),
)


def _unexplained_share(run: Evidence) -> Finding | None:
    if SERVER_PROCESSING not in run.components:
        return None
    if share_of(run.components, SERVER_OTHER) <= _LEAST_SHARE:
        return None
    own = run.decomposition.own
    other, *named = (share_of(run.components, n, SERVER_PROCESSING) for n in (SERVER_OTHER, *own))
    return weigh(_UNEXPLAINED_SHARE, other - sum(named))


_COMPONENTS_OUTSIDE_REQUESTS: Final = FindingKind(
    "components_outside_requests",
    ((0.0, "info"), (0.10, "warning")),
    "during {value:%} of the requests, components ran outside any request, where its context "
    "does not reach: their time is in server_other",
    (
        Advice(
            "run them in a copy of the request's context (contextvars.copy_context().run), or let "
            "them name the requests they work for: component(name, requests=[this_request()]); the "
            "server's log names one of them",
            short="docs/middleware.md",
        ),
    ),
    "components ran outside of {value:%} of the requests",
)


def _components_outside_requests(run: Evidence) -> Finding | None:
    """Report requests that may lack components, unless little of the time is unexplained."""
    share = part_of(run.decomposition.strays, run.decomposition.count)
    if share and share_of(run.components, SERVER_OTHER) <= _LEAST_SHARE:
        return state(_COMPONENTS_OUTSIDE_REQUESTS, "info", value=share)
    return weigh(_COMPONENTS_OUTSIDE_REQUESTS, share)


_NAMES_LEFT_OUT: Final = FindingKind(
    "names_left_out",
    INFO,
    "{value:#custom-named timing} left out, at least in some requests, for not "
    "fitting into the server's time next to the others: {names} (requests)",
    (
        Advice(
            "let the server report exclusive times, as component() does; timings that a proxy or "
            "CDN adds to the header may mean something else, and change nothing else here",
            short="report exclusive times",
        ),
    ),
    "{value:#custom-named timing} left out",
)
_NAMES: Final = 5
"""Most names to list in a sentence."""


def _names_left_out(run: Evidence) -> Finding | None:
    """Report components whose times cannot be exclusive times of the server."""
    left_out = sorted(run.decomposition.left_out.items(), key=itemgetter(1), reverse=True)
    shown = ", ".join(f"{name} ({count})" for name, count in left_out[:_NAMES])
    more = f" and {len(left_out) - _NAMES} more" if len(left_out) > _NAMES else ""
    return weigh(_NAMES_LEFT_OUT, len(left_out), names=shown + more)


_TOO_MANY_NAMES: Final = FindingKind(
    "too_many_names",
    INFO,
    "{value:#more custom-named component} left out: only the {most} that take the most "
    "time are shown",
    (
        Advice(
            "give component() names that do not depend on the request",
            short="use fewer names",
        ),
    ),
    "{value:#more custom-named component} left out",
)


def _too_many_names(run: Evidence) -> Finding | None:
    return weigh(_TOO_MANY_NAMES, run.decomposition.unlisted, most=MOST_OWN_NAMES)


_LIMIT_WITHOUT_VALUES: Final = FindingKind(
    "limit_without_values",
    WARNING,
    "--slo cannot be judged: no request tells of {names}",
    (
        Advice(
            "limit what these requests tell of: `latency`, a component in the table, or, where "
            "replies stream, what is told of streams",
            short="limit what the table has",
        ),
    ),
    "--slo: no request tells of {names}",
)


def _limit_without_values(run: Evidence) -> Finding | None:
    if run.judged is None:
        return None
    unknown = unknown_metrics(run.judged)
    return weigh(_LIMIT_WITHOUT_VALUES, len(unknown), names=", ".join(unknown))


KINDS: Final = (
    _NEGATIVE_NETWORK,
    _UNEXPLAINED_SHARE,
    _COMPONENTS_OUTSIDE_REQUESTS,
    _NAMES_LEFT_OUT,
    _TOO_MANY_NAMES,
    _LIMIT_WITHOUT_VALUES,
)
JUDGES: Final = (
    _negative_network,
    _unexplained_share,
    _components_outside_requests,
    _names_left_out,
    _too_many_names,
    _limit_without_values,
)
