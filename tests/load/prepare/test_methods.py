"""Any unary method of a real server, its messages known by reflection or from a file."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import grpc
import pytest
import trustme
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from tests.load.zoo import CLASSIFY, PROTO, classify, zoo
from tests.plans import plan_of
from tests.tls import ca_file, grpc_pair
from tracebench.benchmark import run, try_once
from tracebench.load.prepare import grpc_descriptors
from tracebench.model.errors import TargetError, TracebenchError, UsageError
from tracebench.model.plan import Calls, Payload, Payloads, Plan, Targets
from tracebench.model.record.exchange import Reply

QUESTION = {
    "name": "cat",
    "kind": "FISH",
    "weights": [1, "NaN"],
    "picture": "AAEC",
    "seenAt": "2026-01-01T00:00:00Z",
}


def asking(question: Any = QUESTION, **more: Any) -> Plan:
    content = question if isinstance(question, bytes) else json.dumps(question).encode()
    payload = Payload(content, "application/json", "question.json", "json")
    options: dict[str, Any] = {"grpc_method": CLASSIFY, "requests": 20, **more}
    return plan_of(payload, **options)


@pytest.fixture(scope="module")
def descriptor(tmp_path_factory: pytest.TempPathFactory) -> str:
    """As `protoc --include_imports` writes it."""
    out = tmp_path_factory.mktemp("zoo") / "zoo.pb"
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{PROTO.parent}", str(PROTO)]
    subprocess.run([*command, "--include_imports", f"--descriptor_set_out={out}"], check=True)
    return str(out)


@pytest.mark.parametrize("version", ["v1", "v1alpha"])
def test_reflection(version: Any) -> None:
    with zoo(version) as (address, asked):
        found = run(asking(grpc_server=address, concurrency=2)).targets["grpc"]
    assert found.requests.succeeded == 20
    assert asked == {"cat": 21}  # one before the run


@pytest.mark.parametrize("trusts", [{"insecure": True}, {"cacert": "ca.pem"}])
def test_reflection_over_tls(
    trusts: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = trustme.CA()
    ca_file(authority, tmp_path)
    monkeypatch.chdir(tmp_path)
    credentials = grpc.ssl_server_credentials([grpc_pair(authority)])
    with zoo("v1alpha", credentials) as (address, asked):
        found = run(asking(grpc_server=address, **trusts)).targets["grpc"]
    assert found.requests.succeeded == 20
    assert asked == {"cat": 21}


def test_a_proto_file_and_a_descriptor_need_no_reflection(descriptor: str) -> None:
    with zoo("no") as (address, asked):
        for described in ({"proto": str(PROTO)}, {"descriptor": descriptor}):
            run(asking(grpc_server=address, **described))
        with pytest.raises(UsageError, match=r"offers no reflection.*--proto"):
            run(asking(grpc_server=address))
    assert asked == {"cat": 42}


def test_the_message_says_what_the_json_says(descriptor: str) -> None:
    with zoo() as (address, _):
        (trial,) = try_once(asking(grpc_server=address)).values()
    shown = json.loads(trial.prepared.answer)
    assert shown["label"] == "CAT"
    assert shown["legs"] == "4"  # as protobuf's JSON mapping has 64-bit numbers
    assert shown["question"]["kind"] == "FISH"
    assert shown["question"]["picture"] == "AAEC"
    assert shown["question"]["enable_timing"] is True
    assert shown["question"]["seen_at"] == "2026-01-01T00:00:00Z"


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ({"nam": "cat"}, 'no field named "nam"'),
        ({"kind": "DOG"}, "kind"),
        ({"weights": [1, "x"]}, "weights"),
        ({"picture": 5}, "picture"),
        (b"[1", "question.json"),
        (b"null", "question.json"),
        (b"\xff", "question.json"),
        (b"[" * 3_000, "question.json"),
    ],
)
def test_wrong_json_names_the_field(question: Any, said: str) -> None:
    payload = asking(question).payloads.all[0]
    with pytest.raises(UsageError, match=r"not a zoo\.v1\.Question") as caught:
        classify().encode(payload)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"grpc_method": f"{CLASSIFY}/x"}, "is not a valid gRPC method"),
        ({"grpc_method": "zoo.v1.Animals.Classify"}, "is not a valid gRPC method"),
        ({"grpc_method": "zoo.v2.Animals/Classify"}, "it has zoo.v1.Animals"),
        ({"grpc_method": "zoo.v1.Animals/Feed"}, "are Classify, Watch, Count"),
        ({"grpc_method": "zoo.v1.Animals/Count"}, "takes a stream of messages and answers once"),
        ({"grpc_method": None, "proto": "x.proto"}, "give --grpc-method too"),
        ({"proto": "x.proto"}, "cannot read --proto 'x.proto'"),
        ({"proto": __file__}, "cannot be compiled"),
        ({"descriptor": "x.pb"}, "cannot read --descriptor 'x.pb'"),
        ({"descriptor": __file__}, "is not a FileDescriptorSet"),
        ({"proto": "x.proto", "descriptor": "x.pb"}, "exclude each other"),
        (
            {"grpc_method": "zoo.v2.Animals/Classify", "proto": str(PROTO)},
            "service zoo.v2.Animals is not defined",
        ),
    ],
)
def test_what_cannot_be_called(more: dict[str, Any], said: str) -> None:
    with zoo() as (address, _), pytest.raises(UsageError) as caught:
        run(asking(grpc_server=address, **more))
    assert said in str(caught.value)


def test_a_proto_file_without_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "grpc_tools", None)  # as where it is not installed
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UsageError, match=r"pip install grpcio-tools, or give --descriptor"):
        grpc_descriptors.from_proto(str(PROTO), ())


@pytest.mark.parametrize("allowed", [0, 1])
def test_reflection_that_is_refused(allowed: int) -> None:
    answers = iter([(Reply("OK", {}, b""), "")] * allowed)

    def call(_method: str, _message: bytes) -> tuple[Reply, str]:
        denied = (
            Reply("PERMISSION_DENIED", {}, b""),
            "the call ended with PERMISSION_DENIED: no key",
        )
        return next(answers, denied)

    with pytest.raises(TargetError, match=r"server reflection failed: .*: no key"):
        grpc_descriptors.pool_of_server(call, "zoo.v1.Animals")


def test_descriptors_that_lack_an_import(descriptor: str, tmp_path: Path) -> None:
    files = FileDescriptorSet.FromString(Path(descriptor).read_bytes())
    partial = FileDescriptorSet(file=[one for one in files.file if one.name == "zoo.proto"])
    file = tmp_path / "partial.pb"
    file.write_bytes(partial.SerializeToString())
    with zoo("no") as (address, _), pytest.raises(UsageError, match=r"shared/kinds\.proto"):
        run(asking(grpc_server=address, descriptor=str(file)))


def test_expectations_of_a_known_message() -> None:
    with zoo() as (address, _):
        held = asking(grpc_server=address, expect_json=("label=CAT", "legs=4", "scores[1]=0.25"))
        assert run(held).targets["grpc"].requests.succeeded == 20
        with pytest.raises(TargetError, match="'label=DOG' does not hold"):
            run(asking(grpc_server=address, expect_json=("label=DOG",)))
        missing = asking({"name": "dragon"}, grpc_server=address, expect_status=("NOT_FOUND",))
        assert run(missing).targets["grpc"].requests.succeeded == 20


def test_a_reply_that_is_too_large_to_be_kept_cannot_be_judged() -> None:
    large = QUESTION | {"picture": "AAAA" * 30_000}
    with zoo() as (address, _):
        assert run(asking(large, grpc_server=address)).targets["grpc"].requests.succeeded == 20
        with pytest.raises(
            TargetError, match=r"655\d\d bytes .* were kept are not a whole zoo\.v1"
        ):
            run(asking(large, grpc_server=address, expect_json=("label=CAT",)))


def test_timings_under_a_number_of_the_servers_own() -> None:
    with zoo() as (address, _):
        found = run(asking(grpc_server=address, expect_json=("label=CAT",))).targets["grpc"]
    assert found.decomposed == found.requests.succeeded == 20
    assert found.components["inference"].p50_ms == pytest.approx(0.002)


def test_a_call_that_fails_before_the_run() -> None:
    with zoo() as (address, _), pytest.raises(TracebenchError, match="NOT_FOUND: no such animal"):
        run(asking({"name": "dragon"}, grpc_server=address))


def test_only_json_makes_a_message() -> None:
    image = Payload(b"\x89PNG", "image/png", "x.png", "image")
    with zoo() as (address, _), pytest.raises(UsageError, match="give --json"):
        run(Plan(Payloads(image), Targets(grpc_server=address), calls=Calls(grpc_method=CLASSIFY)))
