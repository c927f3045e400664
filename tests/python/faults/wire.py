"""Peers that say what they shouldn't, or in pieces that nobody would choose; sockets that never wait, or not for long."""

import contextlib
import os
import random
import select
import socket
import ssl
import sys
import threading
import time

import ground
from agents import eventually
from ground import Background, BioPair, Puppet, tls_pair, unconnected_pair

SHORT = 0.2
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


def with_puppet(version=None, step=None, server_side=True):
    """(our end, the puppet at the other), connected."""
    near, far = ground.tcp_pair()
    near.settimeout(ground.PATIENCE)
    far.settimeout(ground.PATIENCE)
    near_context = ground.client_context(version) if server_side else ground.server_context(version)
    far_context = ground.server_context(version) if server_side else ground.client_context(version)
    puppet = Puppet(far, far_context, server_side)
    shaking = Background(puppet.shake, step)
    one = near_context.wrap_socket(near, server_side=not server_side,
                                   server_hostname=ground.HOST if server_side else None)
    shaking.result()
    return one, puppet


# --- Timeouts --------------------------------------------------------------------------------------------------------

def case_timeouts_with_a_silent_peer():
    told = []
    near, far = ground.tcp_pair()
    near.settimeout(SHORT)
    one = ground.client_context().wrap_socket(near, server_hostname=ground.HOST, do_handshake_on_connect=False)
    told += [ground.outcome(one.do_handshake), ground.outcome(one.do_handshake)]
    ground.close(one, far)
    near, far = ground.tcp_pair()
    near.settimeout(SHORT)
    one = ground.server_context().wrap_socket(near, server_side=True, do_handshake_on_connect=False)
    told += [ground.outcome(one.do_handshake)]
    ground.close(one, far)
    one, other = tls_pair()
    one.settimeout(SHORT)
    told += [ground.outcome(one.recv, 10), ground.outcome(one.recv_into, bytearray(10)), ground.outcome(one.read)]
    ground.assert_works(one, other)
    told += [ground.outcome(one.sendall, bytes(64 << 20))]
    ground.close(one, other)
    one, other = tls_pair()
    one.settimeout(SHORT)
    told += [ground.outcome(one.unwrap), ground.outcome(one.unwrap)]
    ground.close(one, other)
    return told


def case_timeouts_lose_nothing():
    """A record that is there in part when the time is over."""
    one, puppet = with_puppet()
    one.settimeout(0.05)
    told = []
    for step in (1, 3, 5, 20):
        record = puppet.encrypt(b"in pieces")
        puppet.send(record[:step])
        told.append(ground.outcome(one.recv, 100))
        puppet.send(record[step:-1])
        told.append(ground.outcome(one.recv, 100))
        puppet.send(record[-1:])
        one.settimeout(ground.PATIENCE)
        told.append(ground.outcome(one.recv, 100))
        one.settimeout(0.05)
    ground.close(one, puppet.sock)
    return told


def case_closed_by_another_thread_and_its_number_taken():
    """What is begun may end as it likes, but what comes next knows; who has the number now is left alone."""
    one, other = tls_pair()
    one.settimeout(SHORT)
    number = one.fileno()
    reading = Background(one.recv, 100)
    time.sleep(0.05)
    one.close()
    near, far = socket.socketpair()
    taken = near if near.fileno() == number else far if far.fileno() == number else None
    assert isinstance(reading.done().error, OSError), reading.error
    assert taken is not None
    taken.settimeout(SHORT)
    for function in (lambda: one.recv(10), lambda: one.send(b"x"), one.do_handshake, one.unwrap):
        assert isinstance(ground.outcome(function), list)
    (far if taken is near else near).sendall(b"mine")
    assert taken.recv(10) == b"mine"
    ground.close(near, far, other)


# --- Bytes that are no TLS, or bad TLS -------------------------------------------------------------------------------

GARBAGE = {"text": b"GET / HTTP/1.0\r\n\r\n", "zeros": bytes(100), "ones": b"\xff" * 100, "one_byte": b"x",
           "too_long": b"\x16\x03\x01\xff\xff" + bytes(70000), "empty_record": b"\x16\x03\x01\x00\x00" * 40,
           "ssl2": b"\x80\x2e\x01\x03\x01" + bytes(50), "alert": b"\x15\x03\x03\x00\x02\x02\x28",
           "data": b"\x17\x03\x03\x00\x05hello", "half_a_hello": b"\x16\x03\x01\x01\x00\x01\x00\x00\xfc\x03\x03",
           "nothing": b""}


def case_garbage_instead_of_a_handshake():
    told = {}
    for server_side in (False, True):
        for name, garbage in GARBAGE.items():
            near, far = ground.tcp_pair()
            near.settimeout(ground.PATIENCE)
            context = ground.server_context() if server_side else ground.client_context()
            far.sendall(garbage)
            far.shutdown(socket.SHUT_WR)
            told[f"{name} {server_side}"] = ground.outcome(
                context.wrap_socket, near, server_side=server_side, server_hostname=None if server_side else ground.HOST)
            ground.close(near, far)
    return told


BAD_RECORDS = {"too_long": b"\x17\x03\x03\x48\x01" + bytes(18433), "too_long_for_1_3": b"\x17\x03\x03\x45\x00" + bytes(17664),
               "noise": b"\x17\x03\x03\x00\x40" + bytes(64), "no_type": b"\x63\x03\x03\x00\x01x",
               "no_version": b"\x17\x09\x03\x00\x01x", "text": b"550 no TLS here\r\n" * 5, "empty": b"\x17\x03\x03\x00\x00",
               "half": b"\x17\x03\x03\x00\x40" + bytes(10), "header_only": b"\x17\x03\x03"}


def case_bad_records_after_the_handshake():
    told = {}
    for version in VERSIONS:
        for name, record in BAD_RECORDS.items():
            one, puppet = with_puppet(version)
            puppet.send(puppet.encrypt(b"good") + record)
            puppet.sock.shutdown(socket.SHUT_WR)
            first = ground.outcome(one.recv, 100)
            told[f"{name} {version.name}"] = [first, ground.outcome(one.recv, 100)]
            ground.close(one, puppet.sock)
    return told


def case_flipped_bytes():
    told = []
    for at in (0, 1, 2, 3, 4, 5, 10, -1):
        one, puppet = with_puppet(ssl.TLSVersion.TLSv1_2)
        record = bytearray(puppet.encrypt(b"data"))
        record[at] ^= 0x41
        puppet.send(record)
        puppet.sock.shutdown(socket.SHUT_WR)
        told.append(ground.outcome(one.recv, 100))
        ground.close(one, puppet.sock)
    return told


# --- Pieces ----------------------------------------------------------------------------------------------------------

def case_byte_by_byte():
    for server_side in (True, False):
        for version in VERSIONS:
            one, puppet = with_puppet(version, 1, server_side)
            puppet.send(puppet.encrypt(b"slowly does it"), 1)
            assert ground.read_exactly(one, 14) == b"slowly does it"
            ending = Background(one.unwrap)
            puppet.run(puppet.tls.unwrap, step=1)
            ending.result().sendall(b"clear")
            assert puppet.sock.recv(10) == b"clear"
            ground.close(one, puppet.sock)


def case_records_split_at_every_class_of_offset():
    """A socket that never waits: nothing is read but whole records, and what is there in part is not lost."""
    one, puppet = with_puppet()
    one.setblocking(False)
    with contextlib.suppress(ssl.SSLWantReadError):
        one.recv(1)
    data = os.urandom(16384)
    size = 16384 + 22  # of TLS 1.3: header, type and tag
    for at in (1, 2, 3, 4, 5, 6, 7, 100, 4095, 4096, 4097, 8192, 16383, 16384, 16385, size - 17, size - 16, size - 1):
        record = puppet.encrypt(data)
        puppet.send(record[:at])
        select.select([one], [], [], ground.PATIENCE)
        try:
            one.recv(20000)
            raise AssertionError("there was no whole record")
        except ssl.SSLWantReadError:
            pass
        puppet.send(record[at:])
        got = b""
        while len(got) < len(data):
            select.select([one], [], [], ground.PATIENCE)
            with contextlib.suppress(ssl.SSLWantReadError):
                got += one.recv(20000)
        assert got == data
    ground.close(one, puppet.sock)


def case_many_records_in_odd_pieces():
    one, puppet = with_puppet()
    source = random.Random(7)
    data = source.randbytes(3_000_000)

    def send():
        at = 0
        stream = bytearray()
        while at < len(data):
            step = source.choice((1, 10, 1000, 16384))
            stream += puppet.encrypt(data[at:at + step])
            at += step
        at = 0
        while at < len(stream):
            step = source.choice((1, 4, 5, 1000, 20000, 100_000))
            puppet.sock.sendall(stream[at:at + step])
            at += step
    sending = Background(send)
    got = bytearray()
    while len(got) < len(data):
        got += one.recv(source.choice((1, 100, 16384, 50_000, 300_000)))
    sending.result()
    assert got == data
    ground.close(one, puppet.sock)


# --- Ends ------------------------------------------------------------------------------------------------------------

def case_clear_text_in_one_segment_with_close_notify():
    for version in VERSIONS:
        for server_side in (True, False):
            one, puppet = with_puppet(version, server_side=server_side)
            with contextlib.suppress(ssl.SSLWantReadError):
                one.setblocking(False)
                one.recv(1)  # the tickets
            one.settimeout(ground.PATIENCE)
            puppet.send(puppet.close_notify() + b"clear in the same breath")
            raw = one.unwrap()
            assert raw.recv(100) == b"clear in the same breath"
            ground.close(one, raw, puppet.sock)


def case_clear_text_after_a_read_to_the_end():
    one, puppet = with_puppet()
    puppet.send(puppet.encrypt(b"data") + puppet.close_notify() + b"clear")
    assert one.recv(100) == b"data"
    assert one.recv(100) == b""
    raw = one.unwrap()
    assert raw.recv(100) == b"clear"
    ground.close(one, raw, puppet.sock)


def case_data_and_close_notify_in_one_segment_with_select():
    """select() before each read tells of what is still to come."""
    for non_blocking in (True, False):
        one, puppet = with_puppet()
        one.setblocking(not non_blocking)
        puppet.send(puppet.encrypt(b"first") + puppet.encrypt(b"second") + puppet.close_notify())
        got = []
        while not got or got[-1]:
            assert one.pending() or select.select([one], [], [], ground.PATIENCE)[0], "the rest is nowhere to be seen"
            with contextlib.suppress(ssl.SSLWantReadError):
                got.append(one.recv(100))
        assert got == [b"first", b"second", b""], got
        ground.close(one, puppet.sock)


def case_data_when_unwrap_is_called():
    one, puppet = with_puppet()
    puppet.send(puppet.encrypt(b"unread") + puppet.close_notify())
    told = ground.outcome(one.unwrap)
    ground.close(one, puppet.sock)
    return told


def case_a_half_closed_peer():
    told = []
    for version in VERSIONS:
        one, puppet = with_puppet(version)
        puppet.send(puppet.encrypt(b"last words"))
        puppet.sock.shutdown(socket.SHUT_WR)
        told += [ground.outcome(one.recv, 100), ground.outcome(one.recv, 100), ground.outcome(one.recv, 100)]
        told += [ground.outcome(lambda: one.unwrap() and "clear")]
        ground.close(one, puppet.sock)
    return told


def case_writing_after_the_peer_closed():
    one, puppet = with_puppet()
    puppet.send(puppet.close_notify())
    told = [ground.outcome(one.recv, 10), ground.outcome(one.send, b"still"), ground.outcome(one.recv, 10)]
    puppet.incoming.write(puppet.sock.recv(1000))
    ground.close(one, puppet.sock)
    return told


def case_a_peer_that_resets():
    for function in (lambda one: one.recv(10), lambda one: [one.sendall(bytes(1 << 20)) for _ in range(9)],
                     lambda one: one.unwrap()):
        one, puppet = with_puppet()
        puppet.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        puppet.sock.close()
        told = ground.outcome(function, one)  # CPython called it the end of the stream until 3.11.9 and 3.12.3
        assert told == "" or told[0] in ("ConnectionResetError", "BrokenPipeError", "SSLEOFError"), told
        one.close()


def case_up_and_down_and_up_again():
    near, far = ground.tcp_pair()
    context, server = ground.client_context(), ground.server_context()
    for _ in range(5):
        near.sendall(b"STARTTLS\r\n")
        assert far.recv(100) == b"STARTTLS\r\n"
        one, other = tls_pair(context, server, (near, far))
        ground.assert_works(one, other)
        ending = Background(one.unwrap)
        far = other.unwrap()
        near = ending.result()
        far.sendall(b"clear")
        assert near.recv(100) == b"clear"
    ground.close(near, far)


# --- Sockets that never wait -----------------------------------------------------------------------------------------

def small_buffers():
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        near = socket.socket()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
        near.connect(listener.getsockname())
        far = listener.accept()[0]
        far.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    return near, far


class Mover:
    """One end of an exchange: sends its data and collects as much."""

    def __init__(self, sock, data, chunk):
        self.sock, self.data, self.chunk = sock, memoryview(data), chunk
        self.got = bytearray()
        self.reads, self.writes = True, True

    def step(self):
        self.read_wants = self.write_wants = None
        if len(self.got) < self.wanted:
            try:
                part = self.sock.recv(30_000)
                assert part
                self.got += part
                self.read_wants = "again"
            except ssl.SSLWantReadError:
                self.read_wants = "read"
            except ssl.SSLWantWriteError:
                self.read_wants = "write"
        if self.data:
            try:
                self.data = self.data[self.sock.send(self.data[:self.chunk]):]
                self.write_wants = "again"
            except ssl.SSLWantReadError:
                self.write_wants = "read"
            except ssl.SSLWantWriteError:
                self.write_wants = "write"
        return {self.read_wants, self.write_wants}


def case_echo_with_tiny_buffers():
    one, other = tls_pair(sockets=small_buffers())
    size = (5 << 20) if ground.LONG else (1 << 20)
    data = [random.Random(seed).randbytes(size) for seed in (1, 2)]
    movers = [Mover(one, data[0], 60_000), Mover(other, data[1], 1_000_000)]
    for mover, theirs in zip(movers, reversed(data)):
        mover.sock.setblocking(False)
        mover.wanted = len(theirs)
    while any(mover.data or len(mover.got) < mover.wanted for mover in movers):
        wants = [mover.step() for mover in movers]
        if any("again" in want for want in wants):
            continue
        readers = [mover.sock for mover, want in zip(movers, wants) if "read" in want]
        writers = [mover.sock for mover, want in zip(movers, wants) if "write" in want]
        assert any(select.select(readers, writers, [], ground.PATIENCE)[:2]), "nothing moves"
    assert movers[0].got == data[1] and movers[1].got == data[0]
    ground.close(one, other)


def case_retries_of_writes():
    one, other = tls_pair()
    one.setblocking(False)
    data = bytes(64 << 20)
    told = [ground.outcome(one.send, data)]
    assert ground.outcome(one.send, data[:100])[0] == "SSLError"  # in words of its own
    assert isinstance(ground.outcome(one.send, data), list)
    ground.close(one, other)
    return told


def case_nothing_and_views():
    one, other = tls_pair()
    told = [one.send(b""), one.recv(0).decode(), one.sendall(b""), one.recv_into(bytearray()),
            ground.outcome(one.read, -1), ground.outcome(one.write, "text"), ground.outcome(one.recv_into, b"fixed"),
            ground.outcome(one.read, 10, memoryview(b"fixed"))]
    view = memoryview(bytearray(range(200)))
    one.sendall(view[10:60])
    one.sendall(memoryview(b"abcd").cast("H"))
    told.append(ground.read_exactly(other, 54).hex())
    told.append(ground.outcome(one.send, view[::2]))
    into = bytearray(100)
    other.sendall(b"0123456789" * 5)
    told += [one.recv_into(memoryview(into)[5:15]), one.read(7, memoryview(into)[50:]), into.hex(), one.pending()]
    told.append(ground.outcome(one.recv_into, memoryview(into)[::2]))
    one.setblocking(False)
    told += [one.recv(1000).decode(), ground.outcome(one.recv, 1000), one.send(b"")]
    ground.close(one, other)
    return told


def case_a_large_send():
    size = (64 << 20) if ground.LONG else (24 << 20)
    one, other = tls_pair()
    data = random.Random(3).randbytes(1 << 20) * (size >> 20)
    sending = Background(one.send, data)
    assert ground.read_exactly(other, size) == data
    assert sending.result() == size
    ground.close(one, other)


def case_a_large_write_to_a_bio():
    pair = BioPair().shake()
    data = os.urandom(5_000_000)
    assert pair.client.write(data) == len(data)
    got = bytearray()
    while len(got) < len(data):
        got += pair.server.read(100_000)
    assert got == data


def case_handshake_that_never_waits():
    one, other = unconnected_pair()
    wants = []
    for end in (one, other):
        end.setblocking(False)
    left = [one, other]
    while left:
        for end in list(left):
            try:
                end.do_handshake()
                left.remove(end)
            except ssl.SSLWantReadError:
                wants.append("read")
                time.sleep(0.001)
    ground.close(one, other)


# --- What comes after what was read ----------------------------------------------------------------------------------

def case_small_reads_leave_the_next_record_to_select():
    """A record that nobody asked for stays in the socket, where select() shows it."""
    told = []
    for version in VERSIONS:
        one, puppet = with_puppet(version)
        puppet.send(b"".join(puppet.encrypt(bytes([number]) * 100) for number in range(3)))
        eventually(lambda: readable(one), "the records to arrive")
        for _ in range(3):
            told.append((readable(one), ground.outcome(one.recv, 100), one.pending()))
        told.append(readable(one))
        ground.close(one, puppet.sock)
    return told


def readable(one):
    return bool(select.select([one], [], [], SHORT)[0])


def case_data_before_a_bad_record_is_read_and_the_error_told():
    told = []
    for size in (1000, 16384, 256 << 10):
        one, puppet = with_puppet()
        data = [puppet.encrypt(bytes(16384)) for _ in range(8)]
        bad = bytearray(puppet.encrypt(bytes(16384)))
        bad[-1] ^= 1
        sending = Background(puppet.send, b"".join(data) + bytes(bad))
        got = 0
        try:
            while True:
                got += len(one.recv(size))
        except ssl.SSLError as error:
            told.append((got, error.reason))
        sending.result()
        ground.close(one, puppet.sock)
    return told


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
