"""What the preflight takes, the run takes: whatever a server says, both agree on it."""

import gzip

import pytest

from tests.servers import HOST, answering, reply, serving
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare import rest
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.plan import Payload, Payloads, Plan, Targets, Workload

PAYLOAD = Payload(b"{}", "application/json", "x.json", "json")
GOOD = reply(b'{"ok":1}')


def verdict(answer: bytes, *, closes: bool) -> str:
    """Why the preflight refuses the reply; empty where it takes it, and the run takes it, too."""
    with serving(answering(answer, close_after=int(closes))) as port:
        plan = Plan(
            Payloads(PAYLOAD),
            Targets(rest_url=f"http://{HOST}:{port}/p"),
            load=Workload(requests=4, timeout_s=1),
        )
        try:
            prepared = rest.prepare(plan)
        except TargetError as error:
            return str(error)
        load = measure(prepared, plan.load, Watcher())
    assert [one.reason for one in load.requests] == [""] * 4
    return ""


def head(*lines: str, status: str = "HTTP/1.1 200 OK", ending: str = "\r\n") -> bytes:
    return ending.join([status, *lines, "", ""]).encode("latin-1")


TWO = "Content-Length: 2"
CHUNKED = "Transfer-Encoding: chunked"
CASES: dict[str, tuple[bytes, bool]] = {
    "100 before": (b"HTTP/1.1 100 Continue\r\n\r\n" + GOOD, False),
    "102 before": (b"HTTP/1.1 102 Processing\r\n\r\n" + GOOD, False),
    "103 before": (head("Link: </a>", status="HTTP/1.1 103 Early Hints") + GOOD, False),
    "103 twice": (head(status="HTTP/1.1 103 Early Hints") * 2 + GOOD, False),
    "no phrase": (head(TWO, status="HTTP/1.1 200") + b"{}", False),
    "empty phrase": (head(TWO, status="HTTP/1.1 200 ") + b"{}", False),
    "latin phrase": (head(TWO, status="HTTP/1.1 200 Schön") + b"{}", False),
    "lower case": (head(TWO, status="http/1.1 200 ok") + b"{}", False),
    "bare LF": (head(TWO, ending="\n") + b"{}", False),
    "folded header": (head("X: a", " b", TWO) + b"{}", False),
    "same length twice": (head(TWO, TWO) + b"{}", False),
    "lengths differ": (head(TWO, "Content-Length: 3") + b"{}", False),
    "list of lengths": (head("Content-Length: 2, 2") + b"{}", False),
    "length and chunks": (head(TWO, CHUNKED) + b"2\r\n{}\r\n0\r\n\r\n", False),
    "length +2": (head("Content-Length: +2") + b"{}", False),
    "negative length": (head("Content-Length: -2") + b"{}", False),
    "chunk extension": (head(CHUNKED) + b"2;a=b\r\n{}\r\n0\r\n\r\n", False),
    "trailers": (head(CHUNKED, "Trailer: X") + b"2\r\n{}\r\n0\r\nX: 1\r\n\r\n", False),
    "broken chunk": (head(CHUNKED) + b"zz\r\n{}\r\n0\r\n\r\n", False),
    "chunks cut": (head(CHUNKED) + b"2\r\n{}\r\n", True),
    "1.0 no length": (head(status="HTTP/1.0 200 OK") + b"{}", True),
    "1.0 length": (head(TWO, status="HTTP/1.0 200 OK") + b"{}", True),
    "1.1 no length": (head() + b"{}", True),
    "length cut": (head("Content-Length: 9") + b"{}", True),
    "nothing": (b"", True),
    "half a head": (b"HTTP/1.1 200 OK\r\nContent-Le", True),
    "204": (head(status="HTTP/1.1 204 No Content"), False),
    "204 with a body": (head(TWO, status="HTTP/1.1 204 No Content") + b"{}", False),
    "101": (head("Upgrade: x", status="HTTP/1.1 101 Switching Protocols"), False),
    "101 to a protocol": (
        head("Upgrade: x", "Connection: Upgrade", status="HTTP/1.1 101 Switching Protocols"),
        False,
    ),
    "bytes in a header": (head("X: é\xff", TWO) + b"{}", False),
    "no space": (head("X:a", "Content-Length:2") + b"{}", False),
    "space before a colon": (head("Content-Length : 2") + b"{}", False),
    "no name": (head(": x", TWO) + b"{}", False),
    "no colon": (head("nonsense", TWO) + b"{}", False),
    "header of 60 KB": (head("X: " + "a" * 60_000, TWO) + b"{}", False),
    "300 headers": (head(*(f"X-{n}: a" for n in range(300)), TWO) + b"{}", False),
    "gzip": (reply(gzip.compress(b'{"ok":1}'), "200 OK", "Content-Encoding: gzip"), False),
    "gzip that is none": (reply(b"plain", "200 OK", "Content-Encoding: gzip"), False),
    "brotli": (reply(b"\x0b\x02\x80{}\x03", "200 OK", "Content-Encoding: br"), False),
    "two replies": (GOOD + GOOD, False),
    "more than said": (head(TWO) + b"{} and more", False),
    "status 99": (head(TWO, status="HTTP/1.1 99 X") + b"{}", False),
    "status 999": (head(TWO, status="HTTP/1.1 999 X") + b"{}", False),
    "HTTP/2.0": (head(TWO, status="HTTP/2.0 200 OK") + b"{}", False),
    "HTTP/0.9": (b"hello", True),
    "a blank line before": (b"\r\n" + GOOD, False),
}
EXCESSIVE = {"204 with a body", "two replies", "more than said"}
TAKEN = {
    *("100 before", "102 before", "103 before", "103 twice", "no phrase", "empty phrase"),
    *("latin phrase", "chunk extension", "trailers", "1.0 no length", "1.0 length"),
    *("1.1 no length", "204", "bytes in a header", "no space", "header of 60 KB", "300 headers"),
    *("gzip", "gzip that is none", "brotli", "HTTP/2.0", "a blank line before"),
}


@pytest.mark.parametrize("name", CASES)
def test_both_agree(name: str) -> None:
    answer, closes = CASES[name]
    said = verdict(answer, closes=closes)
    assert "\n" not in said
    assert "gRPC" not in said or name in {"lower case", "HTTP/0.9"}
    assert ("HTTP 101" in said) == name.startswith("101")
    assert ("more than one reply" in said) == (name in EXCESSIVE)
    assert "(b'" not in said
    assert (said == "") == (name in TAKEN)
