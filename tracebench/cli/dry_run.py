"""The output of `--dry-run`: one request, its reply, and the components of its time."""

from server_middleware.vocabulary import INFERENCE, SERVER_OTHER
from tracebench.analysis.numbers import counted
from tracebench.analysis.statistics.distribution import NS_PER_MS
from tracebench.benchmark import Trial
from tracebench.load.engine.endpoint import Sources
from tracebench.load.wire.prompt_request import PLACE, nonce
from tracebench.model.components import END_TO_END, LEAVES
from tracebench.model.record.exchange import Decomposition, Exchange
from tracebench.model.results.stream_result import StreamResult
from tracebench.report.tables.terminal import shortened
from tracebench.system.redaction import HIDDEN, is_secret


def render(target: str, trial: Trial) -> str:
    """One exchange as text."""
    prepared, exchange = trial.prepared, trial.exchange
    request = prepared.request.replace("<trace id>", exchange.trace_id)
    request = request.replace("<span id>", exchange.span_id)
    request = request.replace(PLACE.decode(), nonce(exchange.trace_id.encode()).decode())
    text = "\n".join(
        [
            f"{target} {prepared.address}{_sources(prepared.endpoint.sources)}",
            *(prepared.agreement.told() if prepared.agreement is not None else ()),
            "",
            *_quoted("> ", request),
            "",
            *_quoted("< ", _reply(exchange)),
            f"< {prepared.answer}",
            "",
            *_times(exchange, trial.decomposition),
            *_stream(trial.stream),
            "",
        ]
    )
    return prepared.secrets.hide(text)


def _sources(sources: Sources | None) -> str:
    return "" if sources is None else f" from {sources}"


def _stream(stream: StreamResult | None) -> list[str]:
    """Lines on when tokens arrived and how they were counted."""
    if stream is None:
        return []
    if stream.ttft_service is None or stream.generation is None:
        return ["a stream without tokens: name where an event has one with --token-path"]
    events, tokens = sum(stream.stamps.values()), stream.tokens
    return [
        f"a stream: the first token {stream.ttft_service.p50_ms:.3f} ms after the request left, "
        f"the last {stream.generation.p50_ms:.3f} ms later",
        f"{counted(tokens.output or 0, 'token')} by {tokens.source}, in {counted(events, 'event')}",
    ]


def _quoted(mark: str, text: str) -> list[str]:
    return [mark + line for line in text.splitlines()]


def _reply(exchange: Exchange) -> str:
    reply = exchange.reply
    lines = [reply.status or exchange.reason]
    return "\n".join(
        lines + [f"{name}: {_shown(name, value)}" for name, value in reply.headers.items()]
    )


def _shown(name: str, value: str) -> str:
    """A header of the reply; the value is hidden if it is a credential, such as a cookie."""
    return HIDDEN if is_secret(name) else value


def _times(exchange: Exchange, decomposition: Decomposition) -> list[str]:
    if exchange.reason:
        return [f"failed: {exchange.reason}"]
    if not decomposition.count:
        (why,) = decomposition.undecomposed
        total_ms = (exchange.done_ns - exchange.scheduled_ns) / NS_PER_MS
        return [f"{total_ms:.3f} ms, not decomposed: {why.value}"]
    within = {INFERENCE: decomposition.of_inference, SERVER_OTHER: decomposition.own}
    named: dict[str, str] = {}
    for leaf in LEAVES:
        named[leaf] = leaf
        named |= {f"  {shortened(name, 14)}": name for name in within.get(leaf, ())}
    named[END_TO_END] = END_TO_END
    parts = {label: int(decomposition.columns[name][0]) for label, name in named.items()}
    return [f"{label:<16}{ns / NS_PER_MS:>12.3f} ms" for label, ns in parts.items() if ns > 0]
