"""TLS: a connection that encrypts in memory, so that we keep the socket and its stamps."""

import ssl
from collections.abc import Sequence

from tracebench.load.engine.connection import READ_SIZE, Connection, Owner
from tracebench.load.engine.dispatch import Ledger
from tracebench.load.engine.endpoint import Endpoint
from tracebench.load.engine.loop import READABLE, Loop
from tracebench.load.wire.codec import Codec, ProtocolError, Slot


class TlsConnection(Connection):
    """A TLS connection; `sent` is stamped after encryption."""

    def __init__(
        self,
        loop: Loop,
        endpoint: Endpoint,
        context: ssl.SSLContext,
        codec: Codec,
        owner: Owner,
        ledger: Ledger,
    ) -> None:
        super().__init__(loop, endpoint, codec, owner, ledger)
        self._receive = self._receive_encrypted
        self._read_in_part = False
        """The last bytes received belong to an incomplete record."""
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(
            self._incoming, self._outgoing, server_hostname=endpoint.host
        )

    def _established(self) -> None:
        self._loop.change(self._descriptor, self._handshaking, READABLE)
        self._handshake()

    def _handshaking(self, _events: int) -> None:
        try:
            data = self._socket.recv(READ_SIZE)
        except OSError as error:
            why = (error.strerror or str(error)).lower()
            return self.close(f"{why} during the TLS handshake")
        if not data:
            return self.close("the server closed the connection during the TLS handshake")
        self._incoming.write(data)
        self._handshake()

    def _handshake(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            return super()._send(None, [self._outgoing.read()])
        except ssl.SSLError as error:
            return self.close(_reason(error))
        super()._send(None, [self._outgoing.read()])
        super()._established()
        if self._incoming.pending:  # records that came with the handshake
            self._receive(b"")
            self._after_reading()

    def _send(self, slot: Slot | None, buffers: list[bytes]) -> None:
        for buffer in buffers:
            if buffer:
                self._session.write(buffer)
        super()._send(slot, [self._outgoing.read()])

    def _receive_encrypted(self, data: bytes) -> Sequence[Slot]:
        self._incoming.write(data)
        plain, ended = self._decrypted()
        touched = self.codec.receive(plain) if plain else ()
        if not ended:
            self._read_in_part = not plain
            return touched
        self._peer_closed()
        last = self.codec.end_of_file()
        return [*(slot for slot in touched if slot not in last), *last]

    def _peer_closed(self) -> None:
        """Note the close, unless part of a record had come before it."""
        if not self._read_in_part:
            super()._peer_closed()

    def _decrypted(self) -> tuple[bytes, bool]:
        """The plaintext of all complete records so far, and whether the peer closed the session."""
        plain = []
        try:
            while part := self._session.read(READ_SIZE):
                plain.append(part)
        except ssl.SSLWantReadError:
            return b"".join(plain), False
        except ssl.SSLZeroReturnError:
            pass
        except ssl.SSLError as error:
            raise ProtocolError(_reason(error)) from None
        return b"".join(plain), True


def _reason(error: ssl.SSLError) -> str:
    """Why TLS failed, in OpenSSL's words; for a bad certificate, the reason it was rejected."""
    return f"TLS: {getattr(error, 'verify_message', '') or error.reason or error}"
