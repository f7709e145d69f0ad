"""Where a run's spans are sent, where the server's are read from, and links to view them."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import ExitStack

from opentelemetry.sdk.trace.export import SpanExporter

from tracebench.analysis.closure.missing_spans import NOTHING, OtherSpans
from tracebench.analysis.findings.server.otlp_spans import (
    spans_lost,
    traces_missing,
    unusable_spans,
)
from tracebench.model.plan import MappingRules, SpanRoutes
from tracebench.model.record.requests import SCHEDULED, Requests
from tracebench.model.record.server_times import ServerTimes
from tracebench.model.record.span import Span
from tracebench.model.record.streams import Streams
from tracebench.model.results.result import Finding, TargetResult
from tracebench.system import why
from tracebench.system.redaction import NO_SECRETS, Secrets, cleared
from tracebench.tracing.jaeger import fetch, links
from tracebench.tracing.jaeger.fetch import NOT_EXPORTED, ReadBack, Waits, read_back
from tracebench.tracing.jaeger.query_api import QueryApi, base_url
from tracebench.tracing.join.exporter import JoiningExporter
from tracebench.tracing.mapping.mapper import mapper_of
from tracebench.tracing.otlp.destination import check_listening, exporter_for
from tracebench.tracing.otlp.json_lines import JsonLinesExporter
from tracebench.tracing.receiver.client import Received, Receiver
from tracebench.tracing.receiver.collect import check_receiver, collect, doubts
from tracebench.tracing.roots import export as spans
from tracebench.tracing.roots.generated import of_streams
from tracebench.tracing.roots.read_back import is_root
from tracebench.tracing.roots.target_attributes import TargetAttributes
from tracebench.tracing.slow_notice import once_long

_WAITS = Waits()
_NO_RULES = MappingRules()
_TOLD_EACH = 4096


class Traces:
    """The tracing part of a plan: checked when it is created, in use within `with`.

    Raises:
        UsageError: an endpoint, a URL or a mapping is invalid.
        TargetError: spans are to be read from Jaeger, and it is not there.
    """

    def __init__(
        self,
        routes: SpanRoutes,
        rules: MappingRules = _NO_RULES,
        waits: Waits = _WAITS,
        secrets: Secrets = NO_SECRETS,
    ) -> None:
        self._secrets = secrets
        self._exporters: list[SpanExporter] = []
        if routes.otlp_endpoint is not None:
            self._exporters.append(exporter_for(routes.otlp_endpoint))
        self._endpoint = routes.otlp_endpoint
        self._file = routes.output_traces
        self._archive: JsonLinesExporter | None = None
        self._jaeger: QueryApi | None = None
        self._ui: str | None = None
        if routes.jaeger is not None:
            self._jaeger = QueryApi(routes.jaeger)
            self._jaeger.check()
            self._ui = self._jaeger.url
        if routes.trace_ui is not None:
            self._ui = base_url("--trace-ui", routes.trace_ui)
        self._receive_at, self._forward_to = routes.receive_otlp, routes.forward_otlp
        check_receiver(routes)
        self._receiver: Receiver | None = None
        self._mapper = mapper_of(rules.maps, rules.mapping)
        self._waits = waits
        self._opened = ExitStack()

    def __enter__(self) -> "Traces":
        """Start listening, and open the file of spans.

        Raises:
            UsageError: the address is in use, or the file cannot be written.
            TargetError: nothing listens where spans are to be sent.
        """
        if self._endpoint is not None:
            check_listening(self._endpoint)
        with ExitStack() as opening:
            if self._receive_at is not None:
                receiver = Receiver(self._receive_at, self._forward_to)
                self._receiver = opening.enter_context(receiver)
            if self._file is not None:
                self._archive = JsonLinesExporter(self._file)
                self._exporters.append(self._archive)
            for exporter in self._exporters:
                opening.callback(exporter.shutdown)
            if self._jaeger is not None:
                opening.callback(self._jaeger.close)
            self._opened = opening.pop_all()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        """Close everything; a file written by a failed run does not replace an existing one."""
        if kind is not None and self._archive is not None:
            self._archive.abandon()
        self._opened.close()

    def joining(self) -> JoiningExporter:
        """The exporter that joins a target's requests with its server's spans."""
        return JoiningExporter(self._mapper)

    def unfit(self) -> list[str]:
        """The rules of `--map` that have matched nothing so far."""
        return self._mapper.unfit()

    def export(
        self,
        requests: Requests,
        times: ServerTimes,
        described: TargetAttributes,
        run: spans.Run,
        on_wait: Callable[[str], object] = lambda for_what: None,
        streams: Streams | None = None,
    ) -> list[Finding]:
        """Export a root span for each request; returns findings about losses.

        Args:
            requests: the requests.
            times: the mirror's timings of each.
            described: the target.
            run: the run.
            on_wait: called from time to time with how many spans have been exported.
            streams: the replies that streamed; None if none did.
        """
        if not self._exporters:
            return []
        tell = once_long(on_wait)

        def told(made: int) -> None:
            tell(f"exporting spans: {made:,} of {len(requests):,}")

        generated = of_streams(requests, streams)
        delivered = spans.export(requests, times, described, run, self._exporters, generated, told)
        return [spans_lost(one.failed, one.reason) for one in delivered if one.failed]

    def collect(
        self,
        of_targets: Sequence[Requests],
        on_wait: Callable[[str], object] = lambda for_what: None,
    ) -> Sequence[Received | None]:
        """Wait for the spans that servers send of all successes; None where nobody listens.

        Args:
            of_targets: the requests of each target since the last call: what came of others
                meanwhile is lost.
            on_wait: is told now and then what is waited for.
        """
        if self._receiver is None:
            return [None] * len(of_targets)
        return collect(self._receiver, of_targets, on_wait)

    def receive(
        self,
        received: Received | None,
        requests: Requests,
        times: ServerTimes,
        joining: JoiningExporter,
        on_wait: Callable[[str], object] = lambda for_what: None,
    ) -> list[Finding]:
        """Hand over the spans that servers have sent; returns what is to be said of them.

        Args:
            received: what was collected for the target.
            requests: its requests.
            times: what the mirror said of each.
            joining: takes their spans.
            on_wait: is told now and then how many were written.
        """
        if received is None:
            return []
        joining.take(received.spans)
        archived = self._archived(received.spans, on_wait)
        return [*doubts(received, requests, times), *archived]

    def _archived(
        self,
        found: Iterable[Span],
        on_wait: Callable[[str], object] = lambda for_what: None,
    ) -> list[Finding]:
        """Also write the server's spans to the file; returns a finding if that fails."""
        tell = once_long(on_wait)

        def own() -> Iterator[Span]:
            for written, span in enumerate(found):
                if written % _TOLD_EACH == 0:
                    tell(f"writing spans of the server: {written:,} so far")
                if not is_root(span):
                    yield cleared(span, self._secrets)

        try:
            if self._archive is not None:
                self._archive.add(own())
        except OSError as error:
            return [spans_lost(sum(1 for _ in found), why(error))]
        return []

    def read_back(
        self,
        requests: Requests,
        joining: JoiningExporter,
        run: spans.Run,
        on_wait: Callable[[str], object] = lambda for_what: None,
    ) -> list[Finding]:
        """Read the server's spans for all successes from Jaeger; returns findings about them.

        Args:
            requests: the requests.
            joining: takes the spans.
            run: the same as for `export`.
            on_wait: called from time to time with what is awaited.
        """
        if self._jaeger is None:
            return []
        roots = requests.successes()

        def tell(missing: int) -> None:
            on_wait(f"waiting for {missing:,} of {len(roots):,} traces in Jaeger")

        findings: list[Finding] = []

        def take(found: Iterable[Span]) -> None:
            of_trace = list(found)
            joining.take(of_trace, "backend")
            if not findings:  # one finding is enough if the disk is full
                findings.extend(self._archived(of_trace))

        reading = read_back(
            self._jaeger,
            roots,
            take,
            self._waits,
            starts_ns=NOT_EXPORTED if self._endpoint is None else _starts_ns(requests, roots, run),
            on_wait=tell,
        )
        instead = self._instead(self._jaeger, requests, run) if reading.missing else NOTHING
        return findings + _doubts(reading, self._jaeger.unusable, instead)

    def _instead(self, jaeger: QueryApi, requests: Requests, run: spans.Run) -> OtherSpans:
        """Traces that servers recorded during the run but that belong to none of its requests."""
        start_ns = requests.due_ns[0] + run.anchor.offset_ns
        ours = {trace_id for trace_id, _ in requests.ids_at(range(len(requests)))}
        return fetch.traces_of_servers(jaeger, ours, start_ns, start_ns + requests.duration_ns)

    def linked(
        self,
        result: TargetResult,
        requests: Requests,
        described: TargetAttributes,
        run: spans.Run,
    ) -> TargetResult:
        """The result with links to its traces, if there is a UI to link to."""
        if self._ui is None:
            return result
        result = links.with_traces(self._ui, result, requests)
        if self._endpoint is None:
            return result
        return links.with_search(self._ui, result, requests, described, run)


def _starts_ns(requests: Requests, successes: Iterable[str], run: spans.Run) -> dict[str, int]:
    """Trace id → start of the root span of each success, in ns since the epoch."""
    places = requests.places(lambda rows: rows.succeeded)
    starts_ns = requests.columns.whole(SCHEDULED)[places] + run.anchor.offset_ns
    return dict(zip(successes, starts_ns.tolist(), strict=True))


def _doubts(reading: ReadBack, unusable: Collection[str], instead: OtherSpans) -> list[Finding]:
    """Findings about traces that were not read back, and about unusable spans."""
    said = (
        traces_missing(reading.missing, reading.asked, reading.reason, instead),
        unusable_spans(len(unusable), reading.asked, next(iter(unusable), "")),
    )
    return [finding for finding in said if finding is not None]
