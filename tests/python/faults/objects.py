"""Thousands of objects, made and dropped: this process doesn't grow, nor does the daemon."""

import gc
import os
import ssl
import sys

import _ssl
import ground
from ground import BioPair, tls_pair

COUNT = 10_000 if ground.LONG else 1_000


def rss():
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def num_fds():
    return len(os.listdir("/proc/self/fd"))


def grows(make, count=COUNT, allowed=3 << 20):
    """Makes count of them, after as many as it takes to warm up. A sanitizer keeps what was freed."""
    for _ in range(max(20, count // 4)):
        make()
    gc.collect()
    before, fds, objects = rss(), num_fds(), len(gc.get_objects())
    for _ in range(count):
        make()
    gc.collect()
    assert num_fds() <= fds, f"{num_fds() - fds} more descriptors"
    assert len(gc.get_objects()) < objects + 50, f"{len(gc.get_objects()) - objects} more objects"
    assert "LD_PRELOAD" in os.environ or rss() < before + allowed, f"{(rss() - before) >> 10} KiB more for {count}"


class Cycle:
    def __init__(self, *things):
        self.me = self
        self.things = things


def case_contexts():
    grows(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))
    grows(lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).get_ciphers(), COUNT // 4)
    grows(ground.server_context, COUNT // 4)
    grows(lambda: ssl.create_default_context(cafile=ground.CA), COUNT // 4)


def case_contexts_in_cycles():
    made = [0]

    def make():
        context = ground.server_context() if made[0] % 10 == 0 else ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.sni_callback = lambda *_: context
        context.set_alpn_protocols(["a", "b"])
        context.cycle = Cycle(context)
        made[0] += 1
        if made[0] % 50 == 0:
            gc.collect()
    grows(make)


def case_memory_bios():
    def make():
        bio = ssl.MemoryBIO()
        bio.write(bytes(10_000))
        bio.read(5)
        Cycle(bio)
    grows(make, 10_000)


def case_unused_objects_over_bios():
    context = ground.client_context()

    def make():
        pair = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=ground.HOST)
        Cycle(pair)
    grows(make, 10_000)


def case_connections_over_bios():
    context, server = ground.client_context(), ground.server_context()

    def make():
        pair = BioPair(context, server).shake()
        pair.client.write(b"data")
        assert pair.server.read(10) == b"data"
        Cycle(pair)
        assert pair.client.getpeercert() and pair.client.session.id
    grows(make, COUNT // 2)


def case_half_done_connections():
    context = ground.client_context()

    def make():
        one = context.wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname=ground.HOST)
        try:
            one.do_handshake()
        except ssl.SSLWantReadError:
            pass
    grows(make)


def case_failed_connections():
    context = ground.client_context()

    def make():
        incoming = ssl.MemoryBIO()
        one = context.wrap_bio(incoming, ssl.MemoryBIO(), server_hostname=ground.HOST)
        incoming.write(b"no TLS at all, but long enough to be looked at")
        for _ in range(2):
            try:
                one.do_handshake()
            except ssl.SSLWantReadError:
                raise AssertionError("it waits for more") from None
            except ssl.SSLError:
                continue
            raise AssertionError
    grows(make)


def case_connections_over_sockets():
    context, server = ground.client_context(), ground.server_context()

    def make():
        one, other = tls_pair(context, server)
        one.sendall(b"x")
        other.recv(1)
        ground.close(one, other)
    grows(make, COUNT // 10)


def case_sessions_and_certificates():
    pair = BioPair().shake()

    def make():
        session = pair.client.session
        chain = pair.client._sslobj.get_unverified_chain()
        assert session.id and session == session and chain[0].get_info() and chain[0].public_bytes()
        Cycle(session, chain)
        pair.client.getpeercert(True), pair.client.context.get_ca_certs()
    grows(make)


def case_errors_and_functions():
    def make():
        for function in (lambda: ssl.SSLContext(99), lambda: _ssl.txt2obj("no such"), lambda: _ssl.nid2obj(-1),
                         lambda: ssl.MemoryBIO().write("text"),
                         lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cadata="nonsense"),
                         lambda: ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).set_ciphers("nonsense")):
            try:
                function()
            except (ValueError, TypeError, ssl.SSLError):
                continue
            raise AssertionError(function)
        ssl.RAND_bytes(16)
        _ssl.txt2obj("1.3.6.1.5.5.7.3.1")
        _ssl.nid2obj(129)
    grows(make, COUNT // 4)


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
