"""gRPC: `grpcio` tries the calls once; the engine repeats the same messages and metadata."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import islice
from typing import Final

from protos.inference_pb2 import PredictRequest
from tracebench.errors import TargetError, UsageError
from tracebench.load.http2_stream import KEPT_BYTES
from tracebench.load.prepare import expectations, oip, reflection, schemas
from tracebench.load.prepare.expectations import Expectations
from tracebench.load.prepare.grpc_visit import GrpcVisit, target
from tracebench.load.prepare.methods import INFER, PREDICT, Method, find, split
from tracebench.load.prepare.twins import with_twins
from tracebench.load.prepared import MOST_TRIED, Prepared, excerpt, variants
from tracebench.model.plan import Payload, Plan

_LONGEST_ANSWER: Final = 2_000


def prepare(plan: Plan) -> Prepared:
    """Build the messages, look the target up, and see it answer.

    Raises:
        UsageError: the address, the method, a payload or a header is wrong.
        TargetError: the target cannot be reached, or does not answer as expected.
    """
    expected = expectations.of(plan, "grpc")
    with GrpcVisit(target(plan), plan) as visit:
        method = _method(plan, visit)
        if plan.oip is None:
            messages = [_message(method, payload) for payload in plan.payloads]
        else:
            messages = oip.grpc_messages(plan, visit)
        names = [one.name if len(messages) > 1 else "" for one in plan.payloads] or [""]
        answer = _try_out(visit, method, messages, names, expected)
    prepared = visit.target.repeated(method.name, messages)
    read = method.timed(expected.checked(prepared.read, method.document))
    ready = replace(prepared, read=read, answer=answer, variants=variants(plan, len(messages)))
    if not plan.observer_effect:
        return ready
    unasked = [method.untimed(message) for message in messages]
    return with_twins(ready, visit.target.requests(method.name, unasked, sampled=False), plan.seed)


def _method(plan: Plan, visit: GrpcVisit) -> Method:
    if plan.oip is not None:
        return INFER
    if plan.grpc_method is None:
        return PREDICT
    service, _ = split(plan.grpc_method)
    if plan.descriptor is not None:
        pool = schemas.from_descriptors(plan.descriptor)
    elif plan.proto is not None:
        pool = schemas.from_proto(plan.proto, plan.proto_path)
    else:
        pool = reflection.pool(visit.call, service)
    return find(pool, plan.grpc_method)


def _message(method: Method, payload: Payload) -> bytes:
    if payload.form == "json":
        return method.encode(payload)
    if method is PREDICT:
        return method.finish(PredictRequest(image_data=payload.content))
    raise UsageError(
        f"--{payload.form} {payload.name!r} is no request of {method.name}: give --json"
    )


def _try_out(
    visit: GrpcVisit,
    method: Method,
    messages: Sequence[bytes],
    names: Sequence[str],
    expected: Expectations,
) -> str:
    """See the first messages answered as expected; returns the start of the first answer."""
    answers = []
    for message, name in islice(zip(messages, names, strict=True), MOST_TRIED):
        reply, reason = visit.call(method.name, message)
        fault = expected.fault(reply, reason, method.document)
        if not fault and len(reply.body) > KEPT_BYTES:  # in the run only its start will be kept
            kept = reply._replace(body=reply.body[:KEPT_BYTES])
            fault = expected.fault(kept, reason, method.document)
        if fault:
            parts = [visit.target.authority, name, fault, excerpt(method.show(reply))]
            raise TargetError(": ".join(filter(None, parts)))
        answers.append(excerpt(method.show(reply), _LONGEST_ANSWER))
    return answers[0]
