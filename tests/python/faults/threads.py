"""Many threads: each with its own connections, with one context, with one connection."""

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
from ground import Background, BioPair, tls_pair, unconnected_pair

THREADS = 50
TIMES = 20 if ground.LONG else 3


def run_all(function, number=THREADS):
    for thread in [Background(function, one) for one in range(number)]:
        thread.result()


def talk(number, context=None, server=None):
    for _ in range(TIMES):
        one, other = tls_pair(context, server)
        data = random.Random(number).randbytes(70_000)
        sending = Background(one.sendall, data)
        assert ground.read_exactly(other, len(data)) == data
        sending.result()
        ground.assert_works(one, other, b"%d" % number)
        assert one.getpeercert()["subject"] and one.cipher() == other.cipher()
        ending = Background(one.unwrap)
        near, far = other.unwrap(), ending.result()
        near.sendall(b"clear")
        assert far.recv(10) == b"clear"
        ground.close(one, other, near, far)


def case_contexts_of_their_own():
    run_all(talk, 20)  # a user has 128 of them at a time


def case_one_context():
    context, server = ground.client_context(), ground.server_context()
    run_all(lambda number: talk(number, context, server))


def case_one_context_that_is_changed_meanwhile():
    context, server = ground.client_context(), ground.server_context()
    stop = threading.Event()

    def change():
        while not stop.is_set():
            server.load_cert_chain(ground.CHAIN, ground.KEY)
            server.num_tickets = random.randrange(4)
            context.verify_flags = random.choice([ssl.VERIFY_X509_TRUSTED_FIRST,
                                                  ssl.VERIFY_X509_TRUSTED_FIRST | ssl.VERIFY_X509_PARTIAL_CHAIN])
            context.load_verify_locations(ground.CA)
            time.sleep(0.02)
    changing = Background(change)
    try:
        run_all(lambda number: talk(number, context, server), 20)
    finally:
        stop.set()
    changing.result()


def case_bios_and_questions():
    context, server = ground.client_context(), ground.server_context()

    def work(number):
        for _ in range(TIMES):
            pair = BioPair(context, server).shake()
            pair.client.write(b"%d" % number)
            assert pair.server.read(100) == b"%d" % number
            assert len(ssl.RAND_bytes(9)) == 9
            assert pair.client.getpeercert() and context.get_ca_certs() and server.get_ciphers()
            assert pair.client.session.id and server.session_stats()
    run_all(work)


def case_one_reads_while_another_writes():
    one, other = tls_pair()
    size = (64 << 20) if ground.LONG else (8 << 20)
    data = [random.Random(seed).randbytes(size) for seed in (1, 2)]
    threads = [Background(one.sendall, data[0]), Background(other.sendall, data[1]),
               Background(ground.read_exactly, one, size), Background(ground.read_exactly, other, size)]
    for thread in threads:
        thread.join()
    assert threads[2].result() == data[1] and threads[3].result() == data[0]
    ground.close(one, other)


def case_many_write_to_one_connection():
    """What each writes arrives in one piece; that is more than anybody promised."""
    one, other = tls_pair()
    blocks = 10

    def write(number):
        for _ in range(blocks):
            one.sendall(bytes([number]) * (1000 + 9000 * number))
    threads = [Background(write, number) for number in range(THREADS)]
    size = sum(blocks * (1000 + 9000 * number) for number in range(THREADS))
    data = ground.read_exactly(other, size)
    for thread in threads:
        thread.result()
    at = 0
    while at < size:
        end = at + 1000 + 9000 * data[at]
        assert data[at:end] == bytes([data[at]]) * (end - at), f"torn at {at}"
        at = end
    ground.close(one, other)


def case_many_ask_for_the_certificate_at_once():
    """Decoded with the handshake or asked for, it is made once, by one of them."""
    context, server = ground.client_context(), ground.server_context()
    for _ in range(20 * TIMES):
        pair = BioPair(context, server).shake()
        asking = [Background(pair.client.getpeercert) for _ in range(5)]
        assert all(thread.result() == asking[0].value for thread in asking)
        assert asking[0].value["subject"]


def case_many_read_from_one_connection():
    one, other = tls_pair()
    got = []

    def read(_):
        while data := one.recv(1000):
            got.append(data)
    threads = [Background(read, number) for number in range(THREADS)]
    other.sendall(b"abc" * 1_000_000)
    closing = Background(other.unwrap)
    for thread in threads:
        thread.result()
    assert sum(map(len, got)) == 3_000_000, sum(map(len, got))
    one.unwrap()
    closing.result()
    ground.close(one, other)


def case_everything_at_once_on_one_connection():
    """Whatever comes of it, nobody hangs and nothing dies."""
    one, other = tls_pair()
    for end in (one, other):
        end.settimeout(1)
    stop = threading.Event()

    def work(number):
        random_one = random.Random(number)
        while not stop.is_set():
            end = random_one.choice((one, other))
            action = random_one.choice((
                lambda: end.send(bytes(random_one.randrange(300_000))), lambda: end.recv(random_one.randrange(1, 70_000)),
                end.pending, end.getpeercert, end.cipher, lambda: end.session, end.do_handshake,
                lambda: end.settimeout(random_one.choice((0, 0.01, 1))), lambda: end.read(0),
                lambda: end.recv_into(bytearray(100)), end.shared_ciphers))
            with contextlib.suppress(OSError, ValueError):
                action()
    threads = [Background(work, number) for number in range(THREADS)]
    time.sleep(20 if ground.LONG else 1.5)
    stop.set()
    for thread in threads:
        thread.result()
    with contextlib.suppress(OSError):
        one.unwrap()
    ground.close(one, other)


def case_a_setting_changes_while_a_client_says_nothing():
    """A server waits for a hello, in a thread; its certificate can be loaded anew meanwhile."""
    one, other = unconnected_pair()
    shaking = Background(other.do_handshake)
    time.sleep(0.1)
    Background(other.context.load_cert_chain, ground.CHAIN, ground.KEY).result()
    Background(setattr, other.context, "num_tickets", 1).result()
    one.do_handshake()
    shaking.result()
    ground.assert_works(one, other)
    ground.close(one, other)


def case_a_setting_changes_while_a_server_says_nothing():
    one, other = unconnected_pair()
    shaking = Background(one.do_handshake)
    Background(setattr, one.context, "verify_flags", ssl.VERIFY_X509_PARTIAL_CHAIN).result()
    other.do_handshake()
    shaking.result()
    ground.assert_works(one, other)
    ground.close(one, other)


def case_a_setting_changes_while_sockets_are_dropped():
    context = ground.client_context()
    stop = threading.Event()

    def make(_):
        while not stop.is_set():
            pairs = [context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=ground.HOST) for _ in range(3)]
            del pairs
    threads = [Background(make, number) for number in range(3)]
    for _ in range(1000 if ground.LONG else 20):
        context.verify_flags ^= ssl.VERIFY_X509_PARTIAL_CHAIN
    stop.set()
    for thread in threads:
        thread.result()


def case_a_hello_that_fails_as_a_setting_changes():
    """What wrap_socket() has is kept: bounds that cross fail in the handshake, then and later."""
    context = ground.client_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    near, far = ground.tcp_pair()
    one = context.wrap_socket(near, server_hostname=ground.HOST, do_handshake_on_connect=False)
    context.maximum_version = ssl.TLSVersion.TLSv1_3
    told = ground.outcome(one.do_handshake)
    assert isinstance(ground.outcome(one.do_handshake), list), "it fails again"
    ground.close(one, far)
    return told


def unwrap_beside_a_reader(timeout):
    one, other = tls_pair()
    reading = Background(one.recv, 100)
    time.sleep(0.1)
    one.settimeout(timeout)
    unwrapping = Background(one.unwrap)
    told = ground.described(unwrapping.done().error)
    socket.socket.shutdown(one, socket.SHUT_RDWR)
    reading.done()
    ground.close(one, other)
    return told


def case_unwrap_with_a_timeout_beside_a_reader():
    return unwrap_beside_a_reader(0.2)


def case_unwrap_that_never_waits_beside_a_reader():
    return unwrap_beside_a_reader(0)


def case_second_reader_with_a_timeout():
    one, other = tls_pair()
    reading = Background(one.recv, 100)
    time.sleep(0.1)
    one.settimeout(0.2)
    told = ground.described(Background(one.recv, 100).done().error)
    socket.socket.shutdown(one, socket.SHUT_RDWR)
    reading.done()
    ground.close(one, other)
    return told


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
