"""What the null server needs of a protocol: bytes in, the bytes to answer with out; no socket."""

from typing import Protocol


class Answers(Protocol):
    """One connection's replies."""

    greeting: bytes
    """What is sent as soon as the connection stands; empty for HTTP/1.1."""

    def receive(self, data: bytes) -> bytes:
        """Take bytes of requests; returns the replies to those that they complete.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """
