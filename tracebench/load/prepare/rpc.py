"""gRPC: `grpcio` asks the server about the method; the engine tries each call, and repeats it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from server_middleware.vocabulary import BENCHMARK_HEADER
from tracebench.load.engine.target import (
    MOST_TRIED,
    PreparedTarget,
    streaming,
    variants,
    with_unsampled,
    with_untraced,
)
from tracebench.load.measuring.once import attempt
from tracebench.load.prepare import expectations, grpc_descriptors, open_inference
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.prepare.grpc_methods import (
    INFER,
    PREDICT,
    STREAM_INFER,
    Method,
    find,
    split,
)
from tracebench.load.prepare.grpc_preflight import GrpcProbe, target
from tracebench.load.streams.messages import by_path, by_usage, infer_response, tells_usage
from tracebench.load.wire import grpc_reply
from tracebench.load.wire.grpc_pattern import pattern_of
from tracebench.load.wire.http2 import StreamingHttp2Codec
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.plan import Payload, Plan, Target
from tracebench.model.record.exchange import Exchange
from tracebench.protos.inference_pb2 import PredictRequest

_LONGEST_ANSWER: Final = 2_000
_ASKS: Final = (BENCHMARK_HEADER.lower(), "1")


def prepare(plan: Plan, called: Target | None = None) -> PreparedTarget:
    """Build the messages, look up the target, and check that it answers.

    Args:
        plan: what to send.
        called: one of the plan's targets; None: its first over gRPC.

    Raises:
        UsageError: the address, the method, a payload or a header is wrong.
        TargetError: the target cannot be reached, or does not answer as expected.
    """
    aim = target(plan, called or plan.targets.first("grpc"))
    expected = expectations.of(plan.expected, "grpc", plan.targets)
    with aim.secrets.guard(), GrpcProbe(aim) as visit:
        method = _method(plan, visit)
        messages = _messages(plan, method, visit)
        if method.streams:
            aim = replace(aim, deadline_s=plan.streamed.stream_timeout_s)
        ready = aim.repeated(method.name, messages)
        if method.streams:
            ready = _streaming(ready, plan, method)
        ready = replace(ready, read=expected.checked(ready.read, method.document))
        names = [one.name if len(messages) > 1 else "" for one in plan.payloads.all] or [""]
        answer = _tried(ready, method, names)
    read = method.timed(ready.read)
    ready = replace(
        ready,
        read=read,
        learn=None if expected.ask or method.streams else partial(pattern_of, read=read),
        answer=answer,
        variants=variants(plan.payloads.order, plan.load.seed, len(messages)),
    )
    if plan.influence.observer_effect:
        unasked = [method.untimed(message) for message in messages]
        twins = aim.requests(method.name, unasked, sampled=False)
        return with_untraced(ready, twins, plan.load.seed)
    if (share := plan.traces.trace_share) < 1:
        timed = replace(aim, metadata=(*aim.metadata, _ASKS))  # as nothing else may ask any more
        twins = timed.requests(method.name, messages, sampled=False)
        return with_unsampled(ready, twins, share, plan.load.seed)
    return ready


def offered(plan: Plan, called: Target) -> list[grpc_descriptors.Offered]:
    """The methods that one of the plan's targets offers by reflection.

    Raises:
        UsageError: the address or a header is wrong, or the server does not offer reflection.
        TargetError: the target cannot be reached, or its answer is invalid.
    """
    aim = target(plan, called)
    with aim.secrets.guard(), GrpcProbe(aim) as visit:
        return grpc_descriptors.methods_of_server(visit.call)


def _streaming(ready: PreparedTarget, plan: Plan, method: Method) -> PreparedTarget:
    how = streaming(plan.streamed)
    if method is STREAM_INFER and not how.path:
        how = how._replace(message=infer_response)
    elif how.path:
        how = how._replace(message=partial(by_path, method.parse, how.path))
    elif tells_usage(method.reply):
        how = how._replace(message=partial(by_usage, method.parse))
    return replace(
        ready,
        codec=StreamingHttp2Codec,
        read=grpc_reply.read_streamed,
        streams=True,
        streaming=how,
    )


def _method(plan: Plan, visit: GrpcProbe) -> Method:
    calls = plan.calls
    if calls.oip is not None:
        return STREAM_INFER if plan.streamed.stream else INFER
    if calls.grpc_method is None:
        return PREDICT
    service, _ = split(calls.grpc_method)
    if calls.descriptor is not None:
        pool = grpc_descriptors.from_descriptors(calls.descriptor)
    elif calls.proto is not None:
        pool = grpc_descriptors.from_proto(calls.proto, calls.proto_path)
    else:
        pool = grpc_descriptors.pool_of_server(visit.call, service)
    return find(pool, calls.grpc_method)


def _messages(plan: Plan, method: Method, visit: GrpcProbe) -> list[bytes]:
    payloads = plan.payloads.all
    if plan.calls.oip is not None:
        return open_inference.grpc_messages(visit, plan.calls.oip, payloads, plan.load.seed)
    return [_message(method, payload) for payload in payloads]


def _message(method: Method, payload: Payload) -> bytes:
    if payload.form == "json":
        return method.encode(payload)
    if method is PREDICT:
        return method.finish(PredictRequest(image_data=payload.content))
    raise UsageError(
        f"--{payload.form} {payload.name!r} is not a request for {method.name}: give --json"
    )


def _tried(ready: PreparedTarget, method: Method, names: Sequence[str]) -> str:
    """Check that the first messages are answered as expected; returns the first answer's start."""
    answers = []
    for place, name in islice(enumerate(names), MOST_TRIED):
        one = replace(ready, repeated=ready.repeated[place : place + 1])
        exchange = attempt(one).exchange
        said = ready.secrets.hide(method.show(exchange.reply))
        if exchange.reason:
            fault = _fault(exchange, one, method)
            parts = [ready.address, name, fault, excerpt(said) if exchange.reply.body else ""]
            raise TargetError(": ".join(filter(None, parts)))
        answers.append(excerpt(said, _LONGEST_ANSWER))
    return answers[0]


def _fault(exchange: Exchange, prepared: PreparedTarget, method: Method) -> str:
    reason, status = exchange.reason, exchange.reply.status
    if status == "UNIMPLEMENTED":
        return (
            f"the server has no method {method.name} ({reason}): "
            "choose one with --grpc-method PACKAGE.SERVICE/METHOD"
        )
    if status == "DEADLINE_EXCEEDED":
        return diagnose("no reply within the time-out", prepared)
    if not status:
        return diagnose(reason, prepared)
    return f"the call ended with {reason}" if reason.startswith(status) else reason
