"""A forked child forgets the requests of its parent.

A pool created while a request is served forks with that request current, and its workers keep it
for life: everything they did later would be exported into its trace. So the child's copies of
requests, components, spans and locks are dropped at the fork.
"""

import os

from opentelemetry import trace

from server_middleware.context.outside_requests import set_passing, strays
from server_middleware.context.scope import get_current, inherited, set_current
from server_middleware.otel_internals import attach, get_context, without_span
from server_middleware.recording.recorder import this_process
from server_middleware.spans.configured_tracer import tracer_of


def forget_when_forked() -> None:
    """Make forked children forget; `spawn`, `forkserver` and `exec` children inherit nothing.

    Only the forking thread exists in the child, so only its current values must be reset. A span
    made by others stays current, for code that traces manually, but components ignore it.
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
    tracer_of.cache_clear()  # a parent's thread may hold a lock in it
