"""A request tried before the run, by the engine itself: what it takes here, it takes there."""

import json
import re
import zlib
from contextlib import suppress
from functools import lru_cache
from http import HTTPStatus
from typing import Final

from tracebench.load.engine.prepared import Prepared
from tracebench.load.measure import attempt
from tracebench.load.prepare import kept_json
from tracebench.load.prepare.diagnosis import diagnose
from tracebench.load.prepare.expectations import Content
from tracebench.model.errors import TargetError, excerpt
from tracebench.model.exchange import Exchange, Reply
from tracebench.model.plan import Plan
from tracebench.system.redaction import redacted

_ANY_ZLIB: Final = 47  # zlib's name for "find out whether it is gzip or deflate"
_MOST_UNPACKED_BYTES: Final = 2**20
_REDIRECTS: Final = frozenset({"301", "302", "303", "307", "308"})


def try_http(prepared: Prepared, plan: Plan, name: str = "") -> str:
    """See the one request of a target answered as expected; returns the start of the answer.

    Args:
        prepared: the target.
        plan: how long to wait, and what to expect.
        name: of the payload, where there are several.

    Raises:
        TargetError: it is not.
    """
    exchange = attempt(prepared, plan)
    said = excerpt(prepared.secrets.hide_bytes(_content(exchange.reply)))
    if not exchange.reason:
        return said
    where = ": ".join(filter(None, (prepared.address, name)))
    raise TargetError(f"{where}: {_fault(exchange, prepared, plan, said)}")


def _fault(exchange: Exchange, prepared: Prepared, plan: Plan, said: str) -> str:
    reply = exchange.reply
    if not reply.status:
        return diagnose(exchange.reason, prepared, plan)
    location = reply.headers.get("location")
    if reply.status in _REDIRECTS and location and not plan.expect_status:
        return f"it redirects to {excerpt(redacted(location))}: give that URL"
    reason = re.sub(r"^HTTP (\d{3})\b", _with_phrase, exchange.reason)
    return f"{reason}: {said or 'no text'}"


def _with_phrase(found: re.Match[str]) -> str:
    with suppress(ValueError):
        return f"{found[0]} {HTTPStatus(int(found[1])).phrase}"
    return found[0]


def document(reply: Reply) -> Content:
    """A reply's body as JSON, as far as it was kept.

    Raises:
        ValueError: it is no JSON.
    """
    whole = reply.headers.get("content-length") == str(len(reply.body))
    return _document(reply.body, reply.headers.get("content-encoding", ""), whole=whole)


@lru_cache(maxsize=256)
def _document(kept: bytes, encoding: str, *, whole: bool) -> Content:
    text = _unpacked(kept, encoding)
    try:
        return Content(json.loads(text))
    except ValueError:
        with suppress(ValueError):
            if not whole:
                return Content(kept_json.load(text), len(kept))
        raise ValueError("the reply is no JSON") from None


def _content(reply: Reply) -> bytes:
    return _unpacked(reply.body, reply.headers.get("content-encoding", ""))


def _unpacked(kept: bytes, encoding: str) -> bytes:
    """A body without its compression, as far as it was kept and can be unpacked."""
    with suppress(zlib.error):
        if encoding in ("gzip", "x-gzip", "deflate"):
            return zlib.decompressobj(_ANY_ZLIB).decompress(kept, _MOST_UNPACKED_BYTES)
    return kept
