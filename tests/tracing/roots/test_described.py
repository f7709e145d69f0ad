"""Targets in the words of the semantic conventions."""

import pytest

from tracebench.tracing.roots.target_attributes import TargetAttributes, grpc, rest


@pytest.mark.parametrize(
    ("url", "name", "full", "address", "port"),
    [
        ("http://h:5000/predict", "POST /predict", "http://h:5000/predict", "h", 5000),
        ("http://h/predict?a=b", "POST /predict", "http://h/predict?a=b", "h", 80),
        ("https://h", "POST /", "https://h", "h", 443),
        ("https://[::1]:8443/v1", "POST /v1", "https://[::1]:8443/v1", "::1", 8443),
        (
            "http://me:secret@h:81/x",
            "POST /x",
            "http://REDACTED:REDACTED@h:81/x",
            "h",
            81,
        ),
    ],
)
def test_rest(url: str, name: str, full: str, address: str, port: int) -> None:
    assert rest("POST", url) == TargetAttributes(
        "rest",
        name,
        {
            "http.request.method": "POST",
            "url.full": full,
            "server.address": address,
            "server.port": port,
            "network.protocol.version": "1.1",
        },
    )


def test_grpc() -> None:
    assert grpc("::1", 50051, "inference.InferenceService/Predict") == TargetAttributes(
        "grpc",
        "inference.InferenceService/Predict",
        {
            "rpc.system.name": "grpc",
            "rpc.method": "inference.InferenceService/Predict",
            "server.address": "::1",
            "server.port": 50051,
        },
    )
