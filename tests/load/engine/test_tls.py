"""TLS: verified by default, other certificates by name, and the same stamps under it."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme

from tests.plans import plan_of
from tests.servers import HOST, answering, reply, serving
from tests.tls import ca_file, context, under_tls
from tracebench.load.measuring.measure import measure
from tracebench.load.prepare import rest
from tracebench.load.progress import Watcher
from tracebench.model.errors import TargetError
from tracebench.model.plan import Payload, Plan
from tracebench.model.record.exchange import Outcome, Stamp


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def plan(port: int, content: bytes = b"x" * 100_000) -> Callable[..., Plan]:
    payload = Payload(content, "image/png", "x.png", "data")

    def made(**more: object) -> Plan:
        return plan_of(payload, rest_url=f"https://{HOST}:{port}", requests=40, **more)

    return made


def test_a_trusted_server_is_measured(authority: trustme.CA, tmp_path: Path) -> None:
    answer = reply(b"y" * 200_000)
    with serving(under_tls(context(authority), answering(answer))) as port:
        planned = plan(port)(cacert=ca_file(authority, tmp_path), concurrency=2)
        load = measure(rest.prepare(planned), planned.load, Watcher())
    assert [one.outcome for one in list(load.requests)] == [Outcome.SUCCEEDED] * 40
    assert sum(one.stamp is Stamp.KERNEL for one in list(load.requests)) >= 36
    assert load.tcp is not None
    assert load.tcp.connections == 2


def test_each_closed_session_is_made_anew(authority: trustme.CA, tmp_path: Path) -> None:
    closing = answering(reply(b"ok", "200 OK", "Connection: close"), close_after=1)
    with serving(under_tls(context(authority), closing)) as port:
        planned = plan(port)(cacert=ca_file(authority, tmp_path))
        load = measure(rest.prepare(planned), planned.load, Watcher())
    assert {one.outcome for one in list(load.requests)} == {Outcome.SUCCEEDED}
    assert all(one.connect_ns > 0 for one in list(load.requests)[1:])


def test_an_unknown_server_is_refused_unless_told_otherwise(authority: trustme.CA) -> None:
    with serving(under_tls(context(authority), answering(reply()))) as port:
        with pytest.raises(TargetError, match="--insecure"):
            rest.prepare(plan(port)())
        planned = plan(port)(insecure=True)
        load = measure(rest.prepare(planned), planned.load, Watcher())
    assert {one.outcome for one in list(load.requests)} == {Outcome.SUCCEEDED}
