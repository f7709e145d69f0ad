"""`requests`: a session for each thread, as its documentation advises."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from typing import Final

import requests
from urllib3.exceptions import InsecureRequestWarning

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.peers import workers
from tracebench.load.peers.clients import Job, Sample, http_calls
from tracebench.load.prepare import unix_sockets

TARGET: Final = "rest"


def send(job: Job) -> list[Sample]:
    """Send a block."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", InsecureRequestWarning)  # the user asked for it
        return workers.run_threads(job, _opened)


@contextmanager
def _opened(job: Job) -> Iterator[workers.BlockingCall]:
    trust = job.prepared.trust
    verify: bool | str = not trust.insecure and (trust.cacert or True)
    calls = cycle(http_calls(job.prepared))
    with requests.Session() as session:
        unix_sockets.mount(session, job.prepared.endpoint.unix_path)
        session.trust_env = False  # no proxy; ~/.netrc would override the given headers
        if trust.cert is not None:
            session.cert = (trust.cert, trust.key or trust.cert)

        def call(context: str) -> str:
            one = next(calls)
            try:
                reply = session.request(
                    one.method,
                    one.url,
                    data=one.body or None,
                    headers={**one.headers, TRACEPARENT: context},
                    timeout=job.prepared.timeout_s,
                    verify=verify,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                return type(error).__name__
            return "" if 200 <= reply.status_code < 300 else f"HTTP {reply.status_code}"

        yield call
