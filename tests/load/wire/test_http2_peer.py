"""The HTTP/2 codec against `h2`, an independent implementation, without sockets."""

import h2.config
import h2.connection
import h2.events
import pytest
from h2.errors import ErrorCodes
from h2.settings import SettingCodes, Settings
from hypothesis import given
from hypothesis import strategies as st

from tests.load.http2_samples import IDS, call, message, new_slot
from tracebench.load.wire import grpc_reply
from tracebench.load.wire.codec import Slot
from tracebench.load.wire.grpc_request import GrpcRequest
from tracebench.load.wire.http2 import Http2Codec

INITIAL = [(":status", "200"), ("content-type", "application/grpc")]
TRAILING = [("grpc-status", "0"), ("server-timing", "inference;dur=4.2")]
SMALL_WINDOW = {SettingCodes.INITIAL_WINDOW_SIZE: 1}
ONE_STREAM = {SettingCodes.MAX_CONCURRENT_STREAMS: 1}


class Peer:
    """A server that collects what its client sends, and the codec of that client."""

    def __init__(self, request: GrpcRequest, settings: dict[SettingCodes, int] | None = None):
        config = h2.config.H2Configuration(client_side=False, header_encoding=None)
        self.h2 = h2.connection.H2Connection(config)
        self.h2.local_settings = Settings(client=False, initial_values=settings)
        self.h2.initiate_connection()
        self.codec = Http2Codec(request)
        self.bodies: dict[int, bytes] = {}
        self.events: list[h2.events.Event] = []
        self.touched: list[Slot] = []
        self.generous = True
        """Give the window back that a body has used, at once."""
        self.carry([self.codec.preface()])

    def open(self) -> Slot:
        slot = new_slot()
        self.carry(self.codec.request(slot, IDS))
        return slot

    def carry(self, sent: list[bytes] | None = None) -> None:
        """Carry bytes to the server and back, until neither side has more to say."""
        sent = sent or []
        while True:
            for part in sent:  # one by one: h2 takes new limits into account between them
                for event in self.h2.receive_data(part):
                    self._handle(event)
            received = self.h2.data_to_send()
            if not received:
                return
            self.touched += self.codec.receive(received)
            sent = self.codec.outgoing()

    def _handle(self, event: h2.events.Event) -> None:
        self.events.append(event)
        if isinstance(event, h2.events.DataReceived):
            stream_id, size = event.stream_id, event.flow_controlled_length
            self.bodies[stream_id] = self.bodies.get(stream_id, b"") + event.data
            if self.generous:
                self.h2.acknowledge_received_data(size, stream_id)

    def seen(self, kind: type[h2.events.Event]) -> list[h2.events.Event]:
        return [event for event in self.events if isinstance(event, kind)]

    def ended(self) -> list[int | None]:
        return [e.stream_id for e in self.events if isinstance(e, h2.events.StreamEnded)]

    def answer(self, stream_id: int, content: bytes = b"world", padding: int | None = None) -> None:
        body = message(content)
        self.h2.send_headers(stream_id, INITIAL)
        for at in range(0, len(body), 16_000):
            self.h2.send_data(stream_id, body[at : at + 16_000], pad_length=padding)
        self.h2.send_headers(stream_id, TRAILING, end_stream=True)
        self.carry()


def read(slot: Slot) -> tuple[str, bytes, str]:
    assert slot.reply is not None
    reply, reason = grpc_reply.read_reply(slot.reply)
    return reply.status, reply.body, reason


OK = ("OK", b"world", "")


def test_a_call_as_the_server_sees_it() -> None:
    peer = Peer(call(b"hello", metadata=((b"x-key", b"1"),)))
    assert peer.codec.established
    slot = peer.open()
    (received,) = (e for e in peer.events if isinstance(e, h2.events.RequestReceived))
    headers = dict(received.headers)
    assert headers[b":path"] == b"/test.Echo/Say"
    assert headers[b"x-key"] == b"1"
    assert headers[b"traceparent"] == b"00-" + IDS + b"-01"
    assert (peer.bodies, peer.ended()) == ({1: message(b"hello")}, [1])
    assert len(peer.seen(h2.events.SettingsAcknowledged)) == 1
    peer.answer(1)
    assert read(slot) == OK


@pytest.mark.parametrize("settings", [{}, {SettingCodes.INITIAL_WINDOW_SIZE: 1_000}])
def test_bodies_beyond_the_windows(settings: dict[SettingCodes, int]) -> None:
    content = bytes(n % 251 for n in range(1_000_000))
    peer = Peer(call(content), settings)
    slots = [peer.open(), peer.open()]
    assert peer.bodies == {1: message(content), 3: message(content)}
    assert peer.ended() == [1, 3]
    peer.answer(3, content)
    peer.answer(1)
    assert read(slots[0]) == OK
    assert slots[1].reply is not None
    assert slots[1].reply[3] == b"1000005"


def test_windows_of_one_byte() -> None:
    peer = Peer(call(b"hello"), SMALL_WINDOW)
    slots = [peer.open() for _ in range(3)]
    assert peer.bodies == {1: message(b"hello"), 3: message(b"hello"), 5: message(b"hello")}
    assert len(peer.seen(h2.events.DataReceived)) == 30
    for stream_id in (1, 3, 5):
        peer.answer(stream_id)
    assert [read(slot) for slot in slots] == [OK, OK, OK]


def test_windows_and_frames_change_while_a_body_is_under_way() -> None:
    content = bytes(n % 251 for n in range(200_000))
    peer = Peer(call(content))
    peer.generous = False
    slot = peer.open()
    assert len(peer.bodies[1]) == 65_535
    peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1})
    peer.carry()
    peer.h2.increment_flow_control_window(1_000_000)
    peer.carry()
    assert len(peer.bodies[1]) == 65_535
    peer.h2.update_settings(
        {SettingCodes.INITIAL_WINDOW_SIZE: 100_000, SettingCodes.MAX_FRAME_SIZE: 30_000}
    )
    peer.carry()
    assert len(peer.bodies[1]) == 100_000
    peer.h2.increment_flow_control_window(200_000, 1)
    peer.carry()
    assert peer.bodies[1] == message(content)
    sizes = [len(e.data) for e in peer.events if isinstance(e, h2.events.DataReceived)]
    assert max(sizes) == 30_000
    peer.answer(1)
    assert read(slot) == OK


@given(
    st.integers(0, 3_000),
    st.integers(1, 4),
    st.lists(st.sampled_from(["open", "stream", "connection", "shrink", "grow"]), max_size=30),
)
def test_whatever_the_windows_do_the_peer_is_never_overrun(
    size: int, first_window: int, acts: list[str]
) -> None:
    content = bytes(n % 251 for n in range(size))
    peer = Peer(call(content), {SettingCodes.INITIAL_WINDOW_SIZE: first_window * 100})
    peer.generous = False  # h2 refuses what exceeds a window
    opened = [peer.open()]
    for act in acts:
        if act == "open":
            opened.append(peer.open())
        elif act == "stream" and 1 not in peer.ended():
            peer.h2.increment_flow_control_window(777, 1)
        elif act == "connection":
            peer.h2.increment_flow_control_window(999)
        elif act == "shrink":
            peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 0})
        elif act == "grow":
            peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 500})
        peer.carry()
    peer.h2.increment_flow_control_window(1_000_000)
    peer.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 1_000_000})
    peer.carry()
    assert peer.bodies == {2 * n + 1: message(content) for n in range(len(opened))}
    assert sorted(map(str, peer.ended())) == sorted(str(2 * n + 1) for n in range(len(opened)))


def test_one_stream_at_a_time() -> None:
    peer = Peer(call(), ONE_STREAM)
    for stream_id in (1, 3, 5):
        assert peer.codec.room == 1
        slot = peer.open()
        assert peer.codec.room == 0
        peer.answer(stream_id)
        assert read(slot) == OK


def test_padding() -> None:
    peer = Peer(call())
    slot = peer.open()
    peer.answer(1, b"x" * 50_000, padding=255)
    assert read(slot) == ("OK", b"x" * 50_000, "")


def test_headers_and_trailers_of_many_frames() -> None:
    peer = Peer(call(metadata=((b"large", b"v" * 30_000),)))
    slot = peer.open()
    peer.h2.send_headers(1, [*INITIAL, ("large", "~" * 16_000)])  # ~ takes 13 bits of Huffman
    peer.h2.send_data(1, message(b"world"))
    peer.h2.send_headers(1, [*TRAILING, ("larger", "~" * 20_000)], end_stream=True)
    peer.carry()
    assert slot.reply is not None
    assert [len(part) > 16_384 for part in (slot.reply[0], slot.reply[2])] == [True, True]
    reply, reason = grpc_reply.read_reply(slot.reply)
    assert (len(reply.headers["large"]), len(reply.headers["larger"])) == (16_000, 20_000)
    assert reason == ""


def test_interim_replies() -> None:
    peer = Peer(call())
    slot = peer.open()
    peer.h2.send_headers(1, [(":status", "103"), ("link", "</x>")])
    peer.carry()
    assert (peer.touched, slot.reply) == ([slot], None)
    peer.answer(1)
    assert read(slot) == OK


def test_pings_are_answered() -> None:
    peer = Peer(call())
    peer.h2.ping(b"12345678")
    peer.carry()
    (pong,) = (e for e in peer.events if isinstance(e, h2.events.PingAckReceived))
    assert pong.ping_data == b"12345678"


def test_a_reset_by_the_server() -> None:
    peer = Peer(call())
    first, second = peer.open(), peer.open()
    peer.h2.reset_stream(1, ErrorCodes.REFUSED_STREAM)
    peer.carry()
    assert first.error == "the server reset the stream: REFUSED_STREAM"
    peer.answer(3)
    assert read(second) == OK


def test_a_request_given_up() -> None:
    peer = Peer(call(bytes(100_000)))
    peer.generous = False
    first = peer.open()
    peer.h2.send_headers(1, INITIAL)
    peer.h2.send_data(1, b"late")  # on its way while the client gives up
    farewell = peer.codec.cancel(first)
    assert farewell is not None
    peer.carry(farewell)
    (reset,) = (e for e in peer.events if isinstance(e, h2.events.StreamReset))
    assert (reset.stream_id, reset.error_code) == (1, ErrorCodes.CANCEL)
    peer.h2.increment_flow_control_window(1_000_000)
    peer.carry()
    peer.generous = True
    second = peer.open()
    peer.answer(3)
    assert (first.reply, read(second)) == (None, OK)


def test_a_reply_before_the_end_of_its_request() -> None:
    peer = Peer(call(bytes(100_000)))
    peer.generous = False
    slot = peer.open()
    assert peer.ended() == []
    peer.answer(1)
    assert read(slot) == OK
    assert len(peer.seen(h2.events.StreamReset)) == 1


def test_a_farewell() -> None:
    peer = Peer(call())
    first, second = peer.open(), peer.open()
    peer.h2.close_connection(ErrorCodes.ENHANCE_YOUR_CALM, b"calm down", last_stream_id=1)
    received = peer.h2.data_to_send()
    assert peer.codec.receive(received) == (second,)
    assert "GOAWAY ENHANCE_YOUR_CALM calm down" in second.error
    assert (first.error, peer.codec.reusable) == ("", False)
