"""Recipes: a prepared target made again in another process does what the first would have done."""

import pickle
import sys
from pathlib import Path

import pytest
import trustme

from tests.load.predicting import predicting
from tests.plans import plan_of
from tests.servers import HOST, answering, reply, serving
from tests.tls import ca_file, context, under_tls
from tracebench.load.engine.target import PreparedTarget
from tracebench.load.fleet.orders import Order, Recipe
from tracebench.load.language.conversation import Conversations, Script, Talking
from tracebench.load.language.interface import Interface
from tracebench.load.measuring.once import once
from tracebench.load.prepare.grpc_methods import PREDICT, Method
from tracebench.load.prepare.targets import prepare
from tracebench.load.streams.hanging_up import HangingUp
from tracebench.load.streams.reading import NO_STREAMS
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.http1 import HttpRequest
from tracebench.model.plan import HangUp, Payload, Plan, Spread
from tracebench.model.record.exchange import Outcome
from tracebench.model.shards import WHOLE, Shard
from tracebench.protos.inference_pb2 import PredictRequest, PredictResponse, TimingInfo

PAYLOAD = Payload(b"x", "text/plain", "x", "data")


def remade(plan: Plan) -> PreparedTarget:
    (prepared,) = prepare(plan).values()
    sent = pickle.dumps(Recipe.of(prepared, b"k" * 16))
    made: Recipe = pickle.loads(sent)
    return made.made(WHOLE)


def test_rest_with_expectations() -> None:
    script = answering(reply(b'{"label": "cat"}', "200 OK", 'X-Timing-Info: {"inference": 0.001}'))
    with serving(script) as port:
        url = f"http://{HOST}:{port}"
        good = plan_of(PAYLOAD, rest_url=url, expect_json=("label=cat",))
        assert once(remade(good)).exchange.outcome is Outcome.SUCCEEDED
        assert "X-Benchmark: 1" in remade(good).request


def test_tls_is_made_from_the_plan(tmp_path: Path) -> None:
    authority = trustme.CA()
    with serving(under_tls(context(authority), answering(reply()))) as port:
        trusted = ca_file(authority, tmp_path)
        plan = plan_of(PAYLOAD, rest_url=f"https://{HOST}:{port}", cacert=trusted)
        assert once(remade(plan)).exchange.outcome is Outcome.SUCCEEDED


def test_grpc_predict() -> None:
    said = PredictResponse(result="cat", timing_info=[TimingInfo(component="x", duration_ms=1)])
    with predicting(lambda _message, _context: said.SerializeToString()) as port:
        made = remade(plan_of(PAYLOAD, grpc_server=f"{HOST}:{port}", expect_json=("result=cat",)))
        assert once(made).exchange.outcome is Outcome.SUCCEEDED


def test_methods_are_found_again_by_their_descriptors() -> None:
    assert pickle.loads(pickle.dumps(PREDICT)) is PREDICT
    other = Method("inference.InferenceService/Other", PredictRequest, PredictResponse)
    again: Method = pickle.loads(pickle.dumps(other))
    assert (again.name, again.streams) == (other.name, other.streams)
    message = PredictResponse(result="dog").SerializeToString()
    assert getattr(again.parse(message), "result") == "dog"  # noqa: B009 - a made-up class
    assert again.request.DESCRIPTOR.full_name == "inference.PredictRequest"


def test_what_schedulers_log_has_no_secrets() -> None:
    with serving(answering(reply())) as port:
        headers = (("Authorization", "Bearer s3cret-token-value"),)
        plan = plan_of(PAYLOAD, rest_url=f"http://{HOST}:{port}/?key=s3cret", headers=headers)
        (prepared,) = prepare(plan).values()
    order = Order("connect", ({"rest": Recipe.of(prepared, b"k" * 16)}, plan.load, WHOLE))
    assert "s3cret" not in f"{order!r} {order}"
    assert "127.0.0.1" in f"{order!r}"


@pytest.mark.parametrize("of", [2, 3])
def test_conversations_are_dealt_by_slot(of: int) -> None:
    scripts = [Script([("user", f"script {at}")], ["more"]) for at in range(10)]
    interface = Interface("m", chat=True, stream=True, extra={})
    template = HttpRequest(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n", b"\r\n\r\n", b"{}")
    outputs = list(range(1, 13))  # 2 turns of 6 slots
    whole = Conversations(Talking(template, interface, scripts, outputs, 6, Spread(1.0, 0.5), 7))
    assert pickle.loads(pickle.dumps(whole)).requests()[7].body == whole.requests()[7].body
    bodies, variants = [b""] * 6, [-1] * 6
    for number in range(of):
        part = pickle.loads(pickle.dumps(whole)).dealt(Shard(number, of))
        for at, talk in enumerate(part.of_slots):
            slot = number + at * of
            bodies[slot], variants[slot] = talk.body, talk.variant
            assert part.requests()[talk.variant] is talk
        assert len(part.requests()) == len(outputs)
    assert bodies == [talk.body for talk in whole.of_slots]
    assert variants == list(range(6))


@pytest.mark.parametrize("of", [2, 3, 7])
def test_who_hangs_up_is_dealt_like_the_requests(of: int) -> None:
    asked = HangUp(after_s=1.0, share=0.5)

    def gives_up(hanging_up: HangingUp, draw: int) -> bool:
        slot = Slot(lambda _slot: None)
        slot.sent_ns, slot.draw = 1, draw
        return hanging_up.due_ns(slot) != sys.maxsize

    whole = HangingUp(asked, 5, NO_STREAMS)
    parts = [HangingUp(asked, 5, NO_STREAMS, Shard(number, of)) for number in range(of)]
    choices = [gives_up(whole, draw) for draw in range(2_000)]
    assert [gives_up(parts[draw % of], draw // of) for draw in range(2_000)] == choices
    assert 900 < sum(choices) < 1_100


@pytest.mark.parametrize("payloads", [1, 3])
def test_each_shard_samples_its_own_requests(payloads: int) -> None:
    several = tuple(Payload(b"%d" % at, "text/plain", f"{at}", "data") for at in range(payloads))
    with serving(answering(reply())) as port:
        url = f"http://{HOST}:{port}"
        (prepared,) = prepare(plan_of(several, rest_url=url, trace_share=0.25)).values()
    made: Recipe = pickle.loads(pickle.dumps(Recipe.of(prepared, b"k" * 16)))
    drawn = []
    for number in (0, 1):
        variants = made.made(Shard(number, 2)).variants
        assert variants is not None
        drawn.append([variants.next() for _ in range(4_000)])
    for number, some in enumerate(drawn):
        sampled = [variant < payloads for variant in some]
        assert 0.22 < sum(sampled) / len(sampled) < 0.28
        assert {variant % payloads for variant in some} == set(range(payloads))
        turns = [(number + 2 * at) % payloads for at in range(4_000)]
        assert [variant % payloads for variant in some] == turns
    assert [one < payloads for one in drawn[0]] != [one < payloads for one in drawn[1]]
