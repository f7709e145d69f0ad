"""A forked child forgets the requests of its parent.

A pool that is made while a request is served forks with that request current, and its workers keep
it as long as they live: whatever they did later would be exported into its trace. The child's copy
of a request is nobody's, so components, spans and locks are let go where the fork happens.
"""

import os

from opentelemetry import trace

from server_middleware.context.outside_requests import set_passing, strays
from server_middleware.context.scope import get_current, inherited, set_current
from server_middleware.otel_internals import attach, get_context, without_span
from server_middleware.recorder import this_process
from server_middleware.spans.configured_tracer import tracer_of


def forget_when_forked() -> None:
    """From now on children forget; those of `spawn`, `forkserver` and `exec` know nothing anyway.

    What is current is that of the thread that forked, the only one that a child has. A span that
    others made stays current, for code that traces by hand; components stay out of it.
    """
    if hasattr(os, "register_at_fork"):  # not on Windows, where nothing forks
        os.register_at_fork(after_in_child=_forget)


def _forget() -> None:
    scope, context = get_current(), get_context()
    span = trace.get_current_span(context)
    if span.get_span_context().is_valid:
        inherited.add(span)
    while scope is not None:
        if scope.span is not None:
            inherited.add(scope.span)
            if scope.span is span:
                attach(without_span(context))
        scope = scope.let_go()
    set_current(None)
    set_passing(None)
    strays.forget()
    this_process[0] = object()
    tracer_of.cache_clear()  # another thread may hold a lock of the parent's
