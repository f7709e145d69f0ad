"""HTTP/1.1 without a server: each request is read to its end and answered 200."""

import re
from typing import Final

from tracebench.load.peers.null_server.answers import Answers
from tracebench.load.wire.codec import ProtocolError

REPLY: Final = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
_END: Final = b"\r\n\r\n"
_LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)", re.IGNORECASE)


class RestAnswers(Answers):
    """One connection, one request at a time; a body has a Content-Length, or there is none."""

    greeting = b""

    def __init__(self) -> None:
        self._head = b""
        self._missing = 0
        """Bytes of the body that are still to come."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of a request; see `Answers.receive`."""
        if self._missing:
            self._missing -= len(data)
        else:
            head = self._head + data
            if (end := head.find(_END)) < 0:
                self._head = head
                return b""
            self._head = b""
            length = _LENGTH.search(head, 0, end)
            self._missing = end + len(_END) + (int(length[1]) if length else 0) - len(head)
        if self._missing < 0:
            raise ProtocolError("there is more than one request at a time")
        return b"" if self._missing else REPLY
