"""What the engine asks of a protocol: bytes in, finished slots out; no socket, no clock.

A codec serves one connection. It is handed slots, knows them only as tokens, and marks a slot as
finished by setting its `reply` (or its `error`, and `unanswered` where a second attempt may be
right). It keeps replies as bytes; they are read after the
run, because parsing them inside the window would be the client's lag.
"""

from collections.abc import Sequence
from typing import Protocol

from tracebench.load.wire.slot import Slot


class ProtocolError(Exception):
    """The peer broke the protocol: every exchange on the connection fails with this reason."""


class Codec(Protocol):
    """One connection's protocol state."""

    multiplexed: bool
    """Several exchanges may be open at once, and a reply may end before its request does."""
    established: bool
    """The connection may carry requests (HTTP/2: the peer's SETTINGS have arrived)."""
    reusable: bool
    """It may carry one more request after those under way."""
    served: bool
    """It has carried a whole reply: the requests that follow are on a kept connection."""

    def busy(self) -> bool:
        """Whether any exchange is open."""

    @property
    def room(self) -> int:
        """How many more exchanges may be opened now."""

    def preface(self) -> bytes:
        """What to send when the connection is made; empty for HTTP/1.1."""

    def request(self, slot: Slot, ids: bytes) -> list[bytes]:
        """Open an exchange; returns what may be sent at once, in order.

        Args:
            slot: its `reply` is None and its `error` empty.
            ids: 49 bytes, `<trace id>-<span id>` in lower-case hex.
        """

    def receive(self, data: bytes) -> Sequence[Slot]:
        """Take bytes from the peer; returns the slots they belonged to, the last one last.

        Each slot that got any byte of its reply is returned once; where its reply is now complete
        (or refused), its `reply` (or `error`) is set and the codec has forgotten it.

        Raises:
            ProtocolError: the connection cannot be used any more.
        """

    def outgoing(self) -> list[bytes]:
        """Drain what the codec itself has to say: acknowledgements, and bodies now let through."""

    def cancel(self, slot: Slot) -> list[bytes] | None:
        """Give a slot's exchange up; returns what to send, or None: close the connection."""

    def end_of_file(self) -> Sequence[Slot]:
        """The peer has closed its side: finish every slot still open, with a reply or an error."""
