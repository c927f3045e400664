"""Callbacks that misbehave. What each side gets is compared with CPython's own _ssl."""

import contextlib
import gc
import socket
import ssl
import sys
import threading
import time
import warnings

import ground
from ground import Background, tls_pair, unconnected_pair


def with_sni(callback):
    """[what the server got, what the client got, what could not be raised]."""
    server = ground.server_context()
    server.sni_callback = callback
    one, other = unconnected_pair(server=server)
    with ground.unraisable() as unraisable:
        def serve():
            try:
                other.do_handshake()
            finally:
                if other.fileno() >= 0:
                    socket.socket.shutdown(other, socket.SHUT_WR)
        serving = Background(serve)
        client = ground.outcome(lambda: (one.do_handshake(), one.recv(1))[1])
        serving.done()
    ground.close(one, other)
    return [ground.described(serving.error) if serving.error else "done", client, unraisable]


def case_sni_raises():
    def callback(*_):
        raise ValueError("no")
    return with_sni(callback)


def case_sni_raises_system_exit():
    def callback(*_):
        raise SystemExit(3)
    return with_sni(callback)


def case_sni_gives_wrong_types():
    return [with_sni(lambda *_, answer=answer: answer) for answer in ("text", 1.5, b"", (), object)]


def case_sni_gives_numbers():
    return [with_sni(lambda *_, answer=answer: answer) for answer in (ssl.ALERT_DESCRIPTION_ACCESS_DENIED, 112)]


def case_sni_gives_numbers_that_are_no_alerts():
    """Any end will do, but an end."""
    for answer in (0, -1, 255, 256, 1 << 40, 1 << 70, True):
        told = with_sni(lambda *_, answer=answer: answer)
        assert told[0] != "done" or answer in (0, 256, 1 << 40), told
    return None


def case_sni_takes_too_many_arguments():
    return with_sni(lambda one, two, three, four: None)


def case_sni_sets_the_context_twice():
    first, second = ground.server_context(), ground.server_context()
    seen = []

    def callback(connection, name, context):
        for chosen in (first, second, first, second):
            connection.context = chosen
        seen.append(connection.context is second)
    return [with_sni(callback), seen]


def case_sni_sets_the_context_to_nonsense():
    def callback(connection, name, context):
        for value in (None, 5, "x", ssl.SSLContext):
            with contextlib.suppress(TypeError):
                connection._sslobj.context = value
                raise AssertionError(value)
    return with_sni(callback)


def case_sni_closes_the_socket():
    """Then the handshake can only fail; how depends on who is told first."""
    told = with_sni(lambda connection, *_: connection.close())
    assert told[0] != "done" and isinstance(told[1], list), told


def case_sni_reads_and_writes():
    """There is nothing to be read yet. However it is told: no hang, no endless recursion."""
    calls = []

    def callback(connection, *_):
        calls.append(1)
        assert len(calls) == 1, "asked again"
        for function in (lambda: connection.read(1), lambda: connection.write(b"x"), connection.do_handshake,
                         connection.unwrap):
            try:
                function()
            except ssl.SSLError as error:
                calls.append(str(error))
    assert with_sni(callback) == ["done", "", []]
    assert len(calls) == 5 and "waits for the callback" in calls[1], calls


def case_sni_asks():
    seen = []

    def callback(connection, name, context):
        seen.append([name, connection.server_side, connection.cipher(), connection.version(), connection.pending(),
                     connection.selected_alpn_protocol(), connection.session_reused, connection.context is context,
                     ground.outcome(connection.getpeercert)])
    return [with_sni(callback), seen]


def case_sni_drops_the_last_references():
    server = ground.server_context()
    near, far = ground.tcp_pair()
    connections = []

    def callback(connection, name, context):
        connections.clear()
        server.sni_callback = None
        gc.collect()
    server.sni_callback = callback
    connections.append(server.wrap_socket(far, server_side=True, do_handshake_on_connect=False))
    shaking = Background(connections[0]._sslobj.do_handshake)
    warnings.simplefilter("ignore", ResourceWarning)  # of the socket, which nobody closes
    one = ground.client_context().wrap_socket(near, server_hostname=ground.HOST, do_handshake_on_connect=False)
    client = Background(one.do_handshake)
    shaking.done()
    client.done()
    one.close()


def case_sni_is_never_answered_and_the_client_gives_up():
    """Meanwhile everybody else is served."""
    server = ground.server_context()
    answer = threading.Event()
    server.sni_callback = lambda *_: None if answer.wait(ground.PATIENCE) else None
    one, other = unconnected_pair(server=server)
    one.settimeout(0.3)
    serving = Background(other.do_handshake)
    client = ground.outcome(one.do_handshake)
    one.close()
    ground.close(*tls_pair())
    assert serving.is_alive()
    answer.set()
    assert isinstance(serving.done().error, OSError), serving.error
    other.close()
    return client


def case_sni_of_many_at_a_time():
    server = ground.server_context()
    contexts = [ground.server_context() for _ in range(4)]
    barrier = threading.Barrier(20)

    def callback(connection, *_):
        barrier.wait(ground.PATIENCE)
        connection.context = contexts[connection.fileno() % 4]
    server.sni_callback = callback
    client = ground.client_context()
    for thread in [Background(lambda: ground.close(*tls_pair(client, server))) for _ in range(20)]:
        thread.result()


def case_messages_that_raise_and_talk():
    context = ground.client_context()
    calls = []

    def callback(connection, direction, *_):
        calls.append(direction)
        if len(calls) < 3:
            connection.cipher(), connection.version(), connection.pending()
        raise ValueError("no")
    context._msg_callback = callback
    one, other = unconnected_pair(context)
    shaking = Background(other.do_handshake)
    told = ground.outcome(one.do_handshake)
    ground.close(one)
    shaking.done()
    other.close()
    assert calls
    return told


# --- Pre-shared keys ---

def with_psk(client_callback, server_callback, hint=None):
    told = []
    for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
        client, server = (ground.only(ssl.SSLContext(kind), version)
                          for kind in (ssl.PROTOCOL_TLS_CLIENT, ssl.PROTOCOL_TLS_SERVER))
        client.check_hostname = False
        client.verify_mode = ssl.CERT_NONE
        for context in (client, server):
            context.set_ciphers("PSK")
        client.set_psk_client_callback(client_callback)
        server.set_psk_server_callback(server_callback, hint)
        one, other = unconnected_pair(client, server)
        with ground.unraisable() as unraisable:
            serving = Background(ground.outcome, other.do_handshake)
            client_told = Background(ground.outcome, one.do_handshake)
            time.sleep(0)
            ground.eventually(lambda: not (serving.is_alive() and client_told.is_alive()), "one ends")
            for thread, end in ((serving, one), (client_told, other)):
                thread.join(0.3)
                if thread.is_alive():
                    socket.socket.shutdown(end, socket.SHUT_RDWR)
                thread.done()
        ground.close(one, other)
        told.append([client_told.value, serving.value, unraisable])
    return told


KEY = bytes(range(32))


def good_client(hint):
    return "somebody", KEY


def good_server(identity):
    return KEY


def case_psk_that_is_good():
    return with_psk(good_client, good_server, "hint")


def case_psk_that_raises():
    def bad(*_):
        raise ValueError("no")
    return [with_psk(bad, good_server), with_psk(good_client, bad)]


def case_psk_that_is_too_long():
    return [with_psk(lambda hint: ("x" * 1000, KEY), good_server), with_psk(lambda hint: ("x", bytes(5000)), good_server),
            with_psk(good_client, lambda identity: bytes(5000))]


def case_psk_that_is_wrong_or_none():
    return [with_psk(lambda hint: ("", b""), good_server), with_psk(good_client, lambda identity: b""),
            with_psk(lambda hint: (None, KEY), good_server)]


def case_psk_of_wrong_types():
    return [with_psk(lambda hint: ("x", "text"), good_server), with_psk(lambda hint: (b"x", KEY), good_server),
            with_psk(lambda hint: ("x",), good_server), with_psk(lambda hint: ("a\0b", KEY), good_server),
            with_psk(good_client, lambda identity: "text"), with_psk(good_client, lambda identity: None)]


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
