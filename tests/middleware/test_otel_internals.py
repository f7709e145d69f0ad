"""Where a release of OpenTelemetry has changed inside, the middleware does without."""

import ast
import re
import runpy
import sys
from typing import Any

import pytest
from opentelemetry import context as otel
from opentelemetry import trace
from opentelemetry.propagators.composite import CompositePropagator
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider

from server_middleware import otel_internals, spans
from server_middleware.otel_internals import can_be_lean, enabled, propagators_in
from server_middleware.spans.api_tracer import Tracer
from server_middleware.spans.configured_tracer import tracer_of
from tools.house import MODULES, tree

OF_OTHERS = {"_get_current_object", "_run_response_middleware"}
"""Private, but Werkzeug's and Sanic's."""
SPAN = trace.NonRecordingSpan(trace.SpanContext(1, 2, is_remote=False))
IDS = (1, 2, True, trace.TraceFlags(1), trace.TraceState(), True)


def read_again() -> dict[str, Any]:
    """The module's names, as they are with OpenTelemetry as it is now."""
    return runpy.run_path(otel_internals.__file__)


def test_private_names_are_listed() -> None:
    used = {
        node.attr
        for module in MODULES
        if module.startswith("server_middleware")
        for node in ast.walk(tree(module))
        if isinstance(node, ast.Attribute) and node.attr.startswith("_")
        if not node.attr.endswith("__") and not _is_self(node.value)
    }
    listed = set(re.findall(r"\b_\w+", otel_internals.__doc__ or ""))
    assert used - OF_OTHERS <= listed


def _is_self(node: ast.expr) -> bool:
    if isinstance(node, ast.Attribute):
        return _is_self(node.value)
    return isinstance(node, ast.Name) and node.id == "self"


def test_without_the_variable_the_apis_functions_are_called(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delattr(otel, "_RUNTIME_CONTEXT")
    found = read_again()
    assert (found["attach"], found["get_context"]) == (otel.attach, otel.get_current)


def test_contexts_of_more_than_one_key_are_made_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    def set_both(span: trace.Span, context: otel.Context) -> otel.Context:
        return otel.Context({**context, "span": span, "its trace": 1})

    monkeypatch.setattr(trace, "set_span_in_context", set_both)
    found, around = read_again(), otel.Context({"own": 1})
    assert found["with_span"](SPAN, around) == {"own": 1, "span": SPAN, "its trace": 1}
    assert found["without_span"](around)["span"] is trace.INVALID_SPAN


class Ids:
    """What `SpanContext` could be as well."""

    def __init__(self, *ids: Any) -> None:
        self.ids = ids


def test_ids_that_are_no_tuple_are_made_by_the_api(monkeypatch: pytest.MonkeyPatch) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("any")
    assert otel_internals.span_context(IDS) == trace.SpanContext(*IDS[:5])
    monkeypatch.setattr(trace, "SpanContext", Ids)
    found = read_again()
    assert found["span_context"](IDS).ids == IDS[:5]
    assert not found["can_be_lean"](tracer, ReadableSpan)


def test_what_does_not_tell_is_unusual_or_switched_on() -> None:
    silent = CompositePropagator.__new__(CompositePropagator)
    assert propagators_in(silent) == ()
    assert enabled(object())() is True


@pytest.mark.parametrize(
    "name", ["_span_limits", "id_generator", "resource", "sampler", "span_processor"]
)
def test_a_tracer_that_has_less_makes_its_own_spans(name: str) -> None:
    tracer = TracerProvider(shutdown_on_exit=False).get_tracer("any")
    assert can_be_lean(tracer, ReadableSpan)
    delattr(tracer, name)
    assert not can_be_lean(tracer, ReadableSpan)


def test_an_sdk_whose_spans_have_more_makes_its_own() -> None:
    class More(ReadableSpan):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self._more = 1

    assert not can_be_lean(TracerProvider(shutdown_on_exit=False).get_tracer("any"), More)


def test_what_cannot_be_imported_leaves_the_sdks_spans(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "server_middleware.spans.lean_tracer", None)
    monkeypatch.delattr(spans, "lean_tracer", raising=False)
    assert type(tracer_of(TracerProvider(shutdown_on_exit=False))) is Tracer
    assert "preparing lean spans failed" in caplog.text
