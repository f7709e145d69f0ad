"""What the engine asks of a protocol: bytes in, finished slots out; no socket, no clock.

A codec serves one connection. It is handed slots, knows them only as tokens, and marks a slot as
finished by setting its `reply` (or its `error`). It keeps replies as bytes; they are read after the
run, because parsing them inside the window would be the client's lag.
"""

from collections.abc import Sequence
from typing import Protocol

RawReply = tuple[bytes, ...]
"""HTTP/1.1: (head and the first part of the body,).
gRPC: (initial header block, length-prefixed message, trailing header block)."""


class ProtocolError(Exception):
    """The peer broke the protocol: every exchange on the connection fails with this reason."""


class Token(Protocol):
    """What a codec sees of a slot."""

    reply: RawReply | None
    error: str


class Codec(Protocol):
    """One connection's protocol state."""

    established: bool
    """The connection may carry requests (HTTP/2: the peer's SETTINGS have arrived)."""
    reusable: bool
    """It may carry one more request after those under way."""

    def room(self) -> int:
        """How many more exchanges may be opened now."""

    def preface(self) -> bytes:
        """What to send when the connection is made; empty for HTTP/1.1."""

    def request(self, slot: Token, ids: bytes) -> list[bytes]:
        """Open an exchange; returns what may be sent at once, in order.

        Args:
            slot: the token; its `reply` is None and its `error` empty.
            ids: 49 bytes, `<trace id>-<span id>` in lower-case hex.
        """

    def receive(self, data: bytes) -> Sequence[Token]:
        """Take bytes from the peer; returns the slots they belonged to, the last one last.

        Each slot that got any byte of its reply is returned once; where its reply is now complete
        (or refused), its `reply` (or `error`) is set and the codec has forgotten it.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """

    def outgoing(self) -> list[bytes]:
        """Drain what the codec itself has to say: acknowledgements, and bodies now let through."""

    def cancel(self, slot: Token) -> list[bytes] | None:
        """Give a slot's exchange up; returns what to send, or None: close the connection."""

    def end_of_file(self) -> Sequence[Token]:
        """The peer has closed its side: finish every slot still open, with a reply or an error."""
