"""The daemon is killed in every state of a connection: an OSError that names its socket, at once, and quiet afterwards."""

import contextlib
import gc
import os
import select
import socket
import sys
import threading
import time

from agents import Agent

agent = Agent()
if sys.argv[1] != "before_import":
    agent.start()
else:
    try:
        import _ssl
    except ImportError as error:
        assert agent.path in str(error), error
    else:
        raise AssertionError("imported without a daemon")
    agent.start()

import ssl

import ground
from ground import Background, BioPair, Puppet, tls_pair, unconnected_pair


def assert_names_daemon(function, *args, **kwargs):
    """It fails with an OSError of no TLS, whose text names the daemon's socket."""
    try:
        value = function(*args, **kwargs)
    except OSError as error:
        assert not isinstance(error, (ssl.SSLError, TimeoutError)), repr(error)
        assert agent.path in str(error), repr(error)
        return error
    raise AssertionError(f"{function} gave {value!r}")


def assert_new_ones_work():
    """In this same process, with a new daemon at the same place."""
    agent.start()
    one, other = tls_pair()
    ground.assert_works(one, other)
    ground.close(one, other)
    BioPair().shake()
    gc.collect()


def ends(*objects):
    """Dropping them is quiet, and then a new daemon works."""
    ground.close(*(one for one in objects if isinstance(one, socket.socket)))
    del objects
    gc.collect()
    assert_new_ones_work()
    agent.kill()


def case_before_import():
    """It failed, above."""
    ends()


def case_after_import():
    agent.kill()
    assert_names_daemon(ssl.RAND_bytes, 4)
    assert_names_daemon(ssl.create_default_context)
    assert_names_daemon(ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain, ground.CHAIN, ground.KEY)
    assert_names_daemon(ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).get_ciphers)
    assert_names_daemon(ssl._ssl.txt2obj, "1.2.3.4.5.6", name=False)
    ends()


def case_context_made():
    client, server = ground.client_context(), ground.server_context()
    agent.kill()
    for function in (client.get_ca_certs, client.cert_store_stats, client.session_stats, server.get_ciphers,
                     lambda: server.load_cert_chain(ground.CHAIN, ground.KEY),
                     lambda: client.load_verify_locations(ground.CA), client.load_default_certs):
        assert_names_daemon(function)
    near, far = ground.tcp_pair()
    assert_names_daemon(client.wrap_socket, near, server_hostname=ground.HOST)
    ends(near, far)
    agent.start()
    for context in (client, server):  # what was in the daemon that went away is gone
        error = assert_names_daemon(context.cert_store_stats)
        assert "make it anew" in str(error), error
    near, far = ground.tcp_pair()
    assert_names_daemon(client.wrap_socket, near, server_hostname=ground.HOST)
    ends(near, far)


def case_wrapped_and_not_opened():
    one, other = unconnected_pair()
    bios = BioPair()
    agent.kill()
    assert one.cipher() is None and one.version() is None and one.session is None
    assert_names_daemon(one.do_handshake)
    assert_names_daemon(bios.client.do_handshake)
    other.context.verify_mode = ssl.CERT_NONE
    one.close()
    with contextlib.suppress(OSError):  # the client said nothing and is gone: nobody asked the daemon
        other.do_handshake()
    ends(one, other)


def case_setting_after_wrapping():
    one, other = unconnected_pair()
    agent.kill()
    one.context.verify_flags = ssl.VERIFY_X509_STRICT  # the hello is made now
    assert_names_daemon(one.do_handshake)
    ends(one, other)


def mid_handshake(server_side, prepare):
    """A handshake of which one flight is through, with the socket as `prepare` makes it."""
    near, far = ground.tcp_pair()
    context = ground.server_context() if server_side else ground.client_context()
    prepare(near)
    one = context.wrap_socket(near, server_side=server_side, server_hostname=None if server_side else ground.HOST,
                              do_handshake_on_connect=False)
    puppet = Puppet(far, server_side=not server_side)
    if server_side:
        with contextlib.suppress(ssl.SSLWantReadError):
            puppet.tls.do_handshake()
        puppet.send(puppet.take())
    shaking = Background(one.do_handshake)
    far.settimeout(ground.PATIENCE)
    flight = far.recv(65536)
    assert flight
    if not server_side:
        puppet.incoming.write(flight)
        with contextlib.suppress(ssl.SSLWantReadError):
            puppet.tls.do_handshake()
        flight = puppet.take()
    else:
        flight = b"\x16\x03\x03\x00\x04\x14\x00\x00\x00"
    return one, far, flight, shaking


def handshake_blocking(server_side, prepare):
    one, far, flight, shaking = mid_handshake(server_side, prepare)
    agent.kill()
    far.sendall(flight)
    shaking.done()
    assert_names_daemon(shaking.result)
    assert_names_daemon(one.do_handshake)
    assert_names_daemon(one.write, b"x")
    assert_names_daemon(one.read, 1)
    assert one.version() is None
    ends(one, far)


def case_client_handshake_blocking():
    handshake_blocking(False, lambda sock: None)


def case_server_handshake_blocking():
    handshake_blocking(True, lambda sock: None)


def case_client_handshake_with_timeout():
    handshake_blocking(False, lambda sock: sock.settimeout(ground.PATIENCE))


def case_server_handshake_with_timeout():
    handshake_blocking(True, lambda sock: sock.settimeout(ground.PATIENCE))


def handshake_non_blocking(server_side):
    one, far, flight, shaking = mid_handshake(server_side, lambda sock: sock.setblocking(False))
    try:
        shaking.result()
    except ssl.SSLWantReadError:
        pass
    agent.kill()
    far.sendall(flight)
    assert select.select([one], [], [], ground.PATIENCE)[0]
    assert_names_daemon(one.do_handshake)
    ends(one, far)


def case_client_handshake_non_blocking():
    handshake_non_blocking(False)


def case_server_handshake_non_blocking():
    handshake_non_blocking(True)


def case_bio_handshake():
    pair = BioPair()
    with contextlib.suppress(ssl.SSLWantReadError):
        pair.client.do_handshake()
    agent.kill()
    assert_names_daemon(pair.server.do_handshake)
    assert pair.to_server.pending > 0, "what came from the peer is still there"
    pair.to_client.write(b"\x16\x03\x03")
    assert_names_daemon(pair.client.do_handshake)
    ends()


def case_established_idle():
    one, other = tls_pair()
    bios = BioPair().shake()
    known = one.cipher(), one.version(), one.getpeercert(), one.getpeercert(True)
    agent.kill()
    assert known == (one.cipher(), one.version(), one.getpeercert(), one.getpeercert(True))
    assert one.pending() == 0
    assert_names_daemon(one.send, b"data")
    assert_names_daemon(other.sendall, bytes(1 << 20))
    assert_names_daemon(one.unwrap)
    assert_names_daemon(lambda: one.session)
    assert_names_daemon(one.get_channel_binding, "tls-unique")
    assert_names_daemon(other.shared_ciphers)
    assert_names_daemon(one._sslobj.get_unverified_chain)
    assert_names_daemon(bios.client.write, b"data")
    assert_names_daemon(bios.server.unwrap)
    ends(one, other)


def case_old_ones_with_a_new_daemon():
    one, other = tls_pair()
    session = one.session
    agent.kill()
    agent.start()
    for end in (one, other):
        error = assert_names_daemon(end.send, b"data")
    error = assert_names_daemon(one.send, b"data")
    assert "TLS connection" in str(error) and "make it anew" in str(error), error
    near, far = ground.tcp_pair()
    assert_names_daemon(one.context.wrap_socket, near, server_hostname=ground.HOST, session=session)
    agent.kill()
    ends(one, other, near, far)


def case_read_in_another_thread():
    one, other = tls_pair()
    reading = Background(one.recv, 100)
    reading_with_timeout = Background(lambda: (other.settimeout(ground.PATIENCE), other.recv(100)))
    time.sleep(0.1)
    agent.kill()
    for thread in (reading, reading_with_timeout):
        thread.done()
        assert_names_daemon(thread.result)
    ends(one, other)


def case_large_write():
    one, other = tls_pair()
    writing = Background(one.sendall, bytes(64 << 20))
    ground.read_exactly(other, 1 << 20)
    agent.kill()

    def drain():
        socket.socket.settimeout(other, 0.2)
        with contextlib.suppress(OSError):
            while socket.socket.recv(other, 1 << 20):
                pass
    while writing.is_alive():
        drain()
    assert_names_daemon(writing.result)
    ends(one, other)


def case_unwrap():
    one, other = tls_pair()
    unwrapping = Background(one.unwrap)
    ground.eventually(lambda: select.select([other], [], [], 0)[0], "close_notify comes")
    agent.kill()
    assert_names_daemon(other.unwrap)
    socket.socket.sendall(other, b"\x17\x03\x03\x00\x20" + bytes(32))
    assert_names_daemon(unwrapping.result)
    ends(one, other)


def case_sni_callback():
    server = ground.server_context()
    called = []

    def choose(connection, name, context):
        agent.kill()
        called.append(name)
        assert_names_daemon(ground.server_context)
        assert_names_daemon(setattr, connection, "context", only_made)
    only_made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.sni_callback = choose
    near, far = ground.tcp_pair()
    with ground.unraisable() as unraisable:
        serving = Background(lambda: server.wrap_socket(far, server_side=True))
        client = ground.client_context().wrap_socket(near, server_hostname=ground.HOST, do_handshake_on_connect=False)
        shaking = Background(client.do_handshake)
        assert_names_daemon(serving.result)
        near.close(), far.close()
        assert isinstance(shaking.done().error, OSError), shaking.error
    assert called == [ground.HOST] and not unraisable, (called, unraisable)
    ends(near, far, client)


def case_during_getpeercert():
    server = ground.server_context()
    server.post_handshake_auth = True
    server.load_verify_locations(ground.CA)
    server.verify_mode = ssl.CERT_REQUIRED
    context = ground.client_context()
    context.load_cert_chain(ground.CHAIN, ground.KEY)
    context.post_handshake_auth = True
    server.verify_flags  # the chain is a server's: it is only asked for, never shown
    one, other = tls_pair(context, server)
    killer = threading.Timer(0.05, agent.kill)
    killer.start()

    def ask():
        while True:
            other.getpeercert()
            one._sslobj.get_unverified_chain()
    assert_names_daemon(ask)
    killer.join()
    ends(one, other)


def case_many_threads():
    """All in the middle of something: each is told, and one new daemon serves all of them."""
    context, server = ground.client_context(), ground.server_context()
    pairs = [tls_pair(context, server) for _ in range(12)]

    def echo(one, other):
        while True:
            ground.assert_works(one, other, bytes(5000))
    threads = [Background(echo, *pair) for pair in pairs]
    time.sleep(0.1)
    agent.kill()
    for thread in threads:
        assert_names_daemon(thread.result)
    agent.start()
    for thread in [Background(lambda: ground.close(*tls_pair())) for _ in range(12)]:
        thread.result()
    ends(*(end for pair in pairs for end in pair))


def case_a_daemon_that_comes_and_goes():
    """Whatever is under way while it does: an OSError, or success, and nothing that hangs."""
    stop = threading.Event()
    failures, successes = [], []

    def client():
        while not stop.is_set():
            try:
                one = ground.BioPair().shake()
                one.client.write(b"x")
                assert one.server.read(1) == b"x"
                successes.append(1)
            except OSError as error:
                assert agent.path in str(error), repr(error)
                failures.append(error)
                time.sleep(0.01)
    threads = [Background(client) for _ in range(6)]
    for _ in range(20 if ground.LONG else 4):
        seen = len(successes)
        ground.eventually(lambda: len(successes) > seen + 5, "connections work")
        agent.kill()
        agent.start()
    stop.set()
    for thread in threads:
        thread.result()
    ends()


def case_a_daemon_that_stands_still():
    """Stopped, not killed: calls wait, objects are dropped without waiting, and all goes on afterwards."""
    import signal
    one, other = tls_pair()
    pairs = [tls_pair() for _ in range(3)]
    agent.process.send_signal(signal.SIGSTOP)
    ground.close(*(end for pair in pairs for end in pair))
    del pairs
    gc.collect()
    for _ in range(1000):
        ssl.MemoryBIO().write(b"x")
    agent.process.send_signal(signal.SIGCONT)
    ground.assert_works(one, other)
    ends(one, other)


if __name__ == "__main__":
    try:
        ground.main(sys.modules[__name__])
    finally:
        agent.kill()
