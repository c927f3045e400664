"""Signals, with handlers that raise and such that don't, in the middle of whatever waits."""

import contextlib
import os
import random
import signal
import socket
import ssl
import sys
import threading
import time

import ground
from ground import Background, tls_pair, unconnected_pair


class Interrupted(Exception):
    pass


def raise_interrupted(*_):
    raise Interrupted


def interrupt(function, seconds=0.1):
    """A handler raises while the function waits."""
    signal.signal(signal.SIGALRM, raise_interrupted)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        function()
    except Interrupted:
        return
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
    raise AssertionError(f"{function} wasn't interrupted")


@contextlib.contextmanager
def storm():
    """A signal each millisecond, and a handler that does nothing."""
    hits = []
    signal.signal(signal.SIGALRM, lambda *_: hits.append(1))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)
    try:
        yield hits
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def timeouts():
    return None, ground.PATIENCE


def case_handlers_that_raise_in_a_handshake():
    for timeout in timeouts():
        for server_side in (False, True):
            one, other = unconnected_pair()
            if server_side:
                one, other = other, one
            one.settimeout(timeout)
            interrupt(one.do_handshake)
            shaking = Background(other.do_handshake)
            one.do_handshake()  # goes on from where it was
            shaking.result()
            ground.assert_works(one, other)
            ground.close(one, other)


def case_handlers_that_raise_in_a_read():
    for timeout in timeouts():
        one, other = tls_pair()
        one.settimeout(timeout)
        interrupt(lambda: one.recv(100))
        interrupt(lambda: one.recv_into(bytearray(100)))
        ground.assert_works(one, other)
        ground.close(one, other)


def case_handlers_that_raise_in_a_write():
    """What was begun must be gone on with: the same data, from where sendall() was."""
    for timeout in timeouts():
        one, other = tls_pair()
        one.settimeout(timeout)
        data = os.urandom(32 << 20)
        interrupt(lambda: one.send(data))
        reading = Background(ground.read_exactly, other, len(data))
        assert one.send(data) == len(data)
        assert reading.result() == data
        ground.assert_works(one, other)
        ground.close(one, other)


def case_handlers_that_raise_in_unwrap():
    for timeout in timeouts():
        one, other = tls_pair()
        one.settimeout(timeout)
        interrupt(one.unwrap)
        ending = Background(other.unwrap)
        near, far = one.unwrap(), ending.result()
        near.sendall(b"clear")
        assert far.recv(10) == b"clear"
        ground.close(one, other, near, far)


def case_handlers_that_raise_beside_a_reader():
    """Who waits for another thread's read is interrupted as well."""
    one, other = tls_pair()
    reading = Background(one.recv, 100)
    time.sleep(0.05)
    interrupt(one.unwrap)
    interrupt(lambda: one.recv(100))
    socket.socket.shutdown(one, socket.SHUT_RDWR)
    reading.done()
    ground.close(one, other)


def case_a_storm():
    """Data are intact, both ways, with signals all the time."""
    size = (20 << 20) if ground.LONG else (10 << 20)
    data = random.Random(1).randbytes(size)
    one, other = tls_pair()
    for timeout in timeouts():
        one.settimeout(timeout)
        with storm() as hits:
            reading = Background(ground.read_exactly, other, size)
            one.sendall(data)
            assert reading.result() == data
            writing = Background(other.sendall, data)
            assert ground.read_exactly(one, size) == data
            writing.result()
        assert len(hits) > 3
    ground.close(one, other)


def case_a_storm_of_handshakes():
    context, server = ground.client_context(), ground.server_context()
    with storm() as hits:
        for _ in range(300 if ground.LONG else 30):
            one, other = tls_pair(context, server)
            ground.assert_works(one, other)
            ending = Background(other.unwrap)
            one.unwrap()
            ending.result()
            ground.close(one, other)
            ground.server_context()
    assert hits


def case_keyboard_interrupt_in_sendall_and_close():
    one, other = tls_pair()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    main = threading.get_ident()
    killer = threading.Timer(0.1, signal.pthread_kill, (main, signal.SIGINT))
    killer.start()
    try:
        one.sendall(bytes(64 << 20))
        raise AssertionError("not interrupted")
    except KeyboardInterrupt:
        pass
    one.close()
    killer.join()
    with contextlib.suppress(OSError):
        while other.recv(1 << 20):
            pass
    other.close()
    ground.close(*tls_pair())


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
