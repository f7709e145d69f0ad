"""gRPC: `grpcio` asks what can be called; the engine tries each call once, and repeats it."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import Final

from tracebench.load.engine.target import MOST_TRIED, Prepared, variants, with_untraced
from tracebench.load.measure import attempt
from tracebench.load.prepare import expectations, grpc_descriptors, open_inference
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.prepare.grpc_methods import INFER, PREDICT, Method, find, split
from tracebench.load.prepare.grpc_preflight import GrpcProbe, GrpcTarget, target
from tracebench.load.wire.grpc_pattern import pattern_of
from tracebench.model.errors import TargetError, UsageError, excerpt
from tracebench.model.exchange import Exchange
from tracebench.model.plan import Payload, Plan
from tracebench.protos.inference_pb2 import PredictRequest

_LONGEST_ANSWER: Final = 2_000


def prepare(plan: Plan) -> Prepared:
    """Build the messages, look the target up, and see it answer.

    Raises:
        UsageError: the address, the method, a payload or a header is wrong.
        TargetError: the target cannot be reached, or does not answer as expected.
    """
    aim = target(plan)
    with aim.secrets.guard(), GrpcProbe(aim, plan) as visit:
        method = _method(plan, visit)
        if plan.oip is None:
            messages = [_message(method, payload) for payload in plan.payloads]
        else:
            messages = open_inference.grpc_messages(plan, visit)
        names = [one.name if len(messages) > 1 else "" for one in plan.payloads] or [""]
        ready = _prepared(aim, plan, method, messages)
        answer = _tried(ready, plan, method, names)
    read, which = method.timed(ready.read), variants(plan, len(messages))
    learn = None if expectations.of(plan, "grpc").ask else partial(pattern_of, read=read)
    ready = replace(ready, read=read, learn=learn, answer=answer, variants=which)
    if not plan.observer_effect:
        return ready
    unasked = [method.untimed(message) for message in messages]
    return with_untraced(ready, aim.requests(method.name, unasked, sampled=False), plan.seed)


def _prepared(aim: GrpcTarget, plan: Plan, method: Method, messages: Sequence[bytes]) -> Prepared:
    prepared = aim.repeated(method.name, messages)
    expected = expectations.of(plan, "grpc")
    return replace(prepared, read=expected.checked(prepared.read, method.document))


def _method(plan: Plan, visit: GrpcProbe) -> Method:
    if plan.oip is not None:
        return INFER
    if plan.grpc_method is None:
        return PREDICT
    service, _ = split(plan.grpc_method)
    if plan.descriptor is not None:
        pool = grpc_descriptors.from_descriptors(plan.descriptor)
    elif plan.proto is not None:
        pool = grpc_descriptors.from_proto(plan.proto, plan.proto_path)
    else:
        pool = grpc_descriptors.pool_of_server(visit.call, service)
    return find(pool, plan.grpc_method)


def _message(method: Method, payload: Payload) -> bytes:
    if payload.form == "json":
        return method.encode(payload)
    if method is PREDICT:
        return method.finish(PredictRequest(image_data=payload.content))
    raise UsageError(
        f"--{payload.form} {payload.name!r} is not a request for {method.name}: give --json"
    )


def _tried(ready: Prepared, plan: Plan, method: Method, names: Sequence[str]) -> str:
    """See the first messages answered as expected; returns the start of the first answer."""
    answers = []
    for place, name in islice(enumerate(names), MOST_TRIED):
        one = replace(ready, repeated=ready.repeated[place : place + 1])
        exchange = attempt(one, plan)
        said = ready.secrets.hide(method.show(exchange.reply))
        if exchange.reason:
            fault = _fault(exchange, one, plan, method)
            parts = [ready.address, name, fault, excerpt(said) if exchange.reply.body else ""]
            raise TargetError(": ".join(filter(None, parts)))
        answers.append(excerpt(said, _LONGEST_ANSWER))
    return answers[0]


def _fault(exchange: Exchange, prepared: Prepared, plan: Plan, method: Method) -> str:
    reason, status = exchange.reason, exchange.reply.status
    if status == "UNIMPLEMENTED":
        return (
            f"the server has no method {method.name} ({reason}): "
            "choose one with --grpc-method PACKAGE.SERVICE/METHOD"
        )
    if status == "DEADLINE_EXCEEDED":
        return diagnose("no reply within the time-out", prepared, plan)
    if not status:
        return diagnose(reason, prepared, plan)
    return f"the call ended with {reason}" if reason.startswith(status) else reason
