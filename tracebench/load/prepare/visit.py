"""A visit to an HTTP server before the run, by `requests`: documents that tell of a model."""

import json
import warnings
from contextlib import suppress
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import InsecureRequestWarning

from server_middleware.vocabulary import TRACEPARENT
from tracebench.load.engine.prepared import Prepared
from tracebench.load.measure import attempt
from tracebench.load.prepare import unix_adapter
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.wire.http1 import HttpRequest
from tracebench.model.errors import TargetError, excerpt
from tracebench.model.plan import Plan
from tracebench.system.redaction import redacted
from tracebench.tracing.roots.trace_ids import IdSource, traceparent


class Visit:
    """One session with one server, trusted as the plan says.

    Args:
        plan: what to send, and whom to trust.
        prepared: the target.
    """

    def __init__(self, plan: Plan, prepared: Prepared) -> None:
        self._session = session = requests.Session()
        session.trust_env = False  # no proxy, no ~/.netrc: the plan's headers say it all
        session.headers.update(
            {name: value for name, value in plan.headers if not name.lower().startswith("content-")}
        )
        session.verify = plan.cacert or True
        if plan.insecure:
            session.verify = False
        if plan.cert is not None:
            session.cert = (plan.cert, plan.key or plan.cert)
        unix_adapter.mount(session, prepared.endpoint.unix_path)
        self._plan, self._prepared = plan, prepared

    def __enter__(self) -> "Visit":
        return self

    def __exit__(self, *_error: object) -> None:
        self._session.close()

    def get(self, url: str) -> tuple[int, str, Any]:
        """Get a document; returns its status, the start of it, and what it is as JSON, or None.

        Raises:
            TargetError: there is no reply.
        """
        reply = self._reply(url)
        content = None
        with suppress(ValueError, RecursionError):
            content = json.loads(reply.content)
        said = self._prepared.secrets.hide_bytes(reply.content)
        return reply.status_code, excerpt(said) or "no text", content

    def _reply(self, url: str) -> requests.Response:
        context = {TRACEPARENT: traceparent(IdSource().draw())}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", InsecureRequestWarning)  # it was asked for
                return self._session.get(
                    url, headers=context, timeout=self._plan.timeout_s, allow_redirects=False
                )
        except requests.RequestException as error:
            why = self._cause(url) or excerpt(self._prepared.secrets.hide(str(error)))
            raise TargetError(f"{redacted(url)}: {why}") from None

    def _cause(self, url: str) -> str:
        """What the engine says of the same request: its words are the ones that are explained."""
        parts = urlsplit(url)
        head = f"GET {parts.path} HTTP/1.1\r\nHost: {parts.netloc}\r\ntraceparent: 00-"
        request = HttpRequest(head.encode(), b"-01\r\n\r\n", b"")
        exchange = attempt(replace(self._prepared, repeated=[request]), self._plan)
        if exchange.reply.status:
            return ""
        return diagnose(exchange.reason, self._prepared, self._plan)
