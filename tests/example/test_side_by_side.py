"""Many at once, over both protocols: each gets its own answer."""

import json
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import grpc
import requests

from tests.example.pictures import COFFEE, plain
from tracebench.example.pictures.classifier import Classifier
from tracebench.example.serve import Addresses
from tracebench.protos.inference_pb2 import PredictRequest
from tracebench.protos.inference_pb2_grpc import InferenceServiceStub

THREADS, ROUNDS = 8, 4
PICTURES = (COFFEE, plain(300, 200), plain(200, 300, (10, 200, 30)), plain(64, 64, (0, 0, 0)))


def expected(classifier: Classifier, content: bytes) -> Any:
    return classifier.postprocess(classifier.infer(classifier.preprocess(content)))


def over_rest(servers: Addresses, number: int) -> list[Any]:
    with requests.Session() as session:
        return [
            session.post(f"{servers.rest_url}/predict", data=content).json()["predictions"]
            for content in turned(number)
        ]


def over_grpc(servers: Addresses, number: int) -> list[Any]:
    with grpc.insecure_channel(servers.grpc_server) as channel:
        stub = InferenceServiceStub(channel)  # type: ignore[no-untyped-call] # generated
        responses = [stub.Predict(PredictRequest(image_data=one)) for one in turned(number)]
    return [json.loads(response.result)["predictions"] for response in responses]


def turned(number: int) -> list[bytes]:
    return [PICTURES[(number + turn) % len(PICTURES)] for turn in range(ROUNDS)]


def test_each_gets_its_own_answer(servers: Addresses) -> None:
    classifier = Classifier()
    answers = {content: expected(classifier, content) for content in PICTURES}
    assert len({json.dumps(answer) for answer in answers.values()}) == len(PICTURES)
    with ThreadPoolExecutor(2 * THREADS) as pool:
        rest = pool.map(partial(over_rest, servers), range(THREADS))
        rpc = pool.map(partial(over_grpc, servers), range(THREADS))
        found = [*rest, *rpc]
    wanted = [[answers[content] for content in turned(number)] for number in range(THREADS)]
    assert found == wanted + wanted
