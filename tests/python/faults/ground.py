"""What the programs beside it stand on: which _ssl they have, contexts, connected pairs, threads whose errors count.

Each program is a table of cases, functions named case_*; it runs the one that it is told, and prints what that returns
as JSON. It ends badly when an assertion fails, when it hangs, and when it has the wrong _ssl.
"""

import contextlib
import faulthandler
import gc
import json
import os
import re
import socket
import ssl
import sys
import threading

import _ssl
from agents import PATIENCE, eventually

STOCK = "TLSAGENT_FAULTS_STOCK" in os.environ  # what is defined by CPython's own _ssl runs on that too
LONG = "TLSAGENT_FAULTS_LONG" in os.environ
HANG_SECONDS = 600 if LONG else 50

CHAIN, KEY, CA = (os.environ.get("TLSAGENT_FAULTS_" + name) for name in ("CHAIN", "KEY", "CA"))
HOST = "localhost"


# --- Contexts and connections ----------------------------------------------------------------------------------------

def server_context(version=None):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CHAIN, KEY)
    return only(context, version)


def client_context(version=None):
    context = ssl.create_default_context(cafile=CA)
    return only(context, version)


def only(context, version):
    if version is not None:
        context.minimum_version = context.maximum_version = version
    return context


def tcp_pair():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far = listener.accept()[0]
    for end in (near, far):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return near, far


class Background(threading.Thread):
    """A thread whose result, or error, is asked for."""

    def __init__(self, function, *args):
        super().__init__(daemon=True)
        self.function, self.args = function, args
        self.value = self.error = None
        self.start()

    def run(self):
        try:
            self.value = self.function(*self.args)
        except BaseException as error:
            self.error = error

    def done(self):
        self.join(PATIENCE)
        assert not self.is_alive(), f"{self.function} hangs"
        return self

    def result(self):
        if self.done().error is not None:
            raise self.error
        return self.value


def tls_pair(client=None, server=None, sockets=None, name=HOST):
    """(client, server), connected."""
    client, server = client or client_context(), server or server_context()
    near, far = sockets or tcp_pair()
    other = Background(lambda: server.wrap_socket(far, server_side=True))
    one = client.wrap_socket(near, server_hostname=name)
    return one, other.result()


def unconnected_pair(client=None, server=None):
    """The same before the handshake."""
    near, far = tcp_pair()
    return ((client or client_context()).wrap_socket(near, server_hostname=HOST, do_handshake_on_connect=False),
            (server or server_context()).wrap_socket(far, server_side=True, do_handshake_on_connect=False))


class BioPair:
    """A client and a server over MemoryBIOs."""

    def __init__(self, client=None, server=None):
        self.to_client, self.to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.client = (client or client_context()).wrap_bio(self.to_client, self.to_server, server_hostname=HOST)
        self.server = (server or server_context()).wrap_bio(self.to_server, self.to_client, server_side=True)

    def shake(self):
        for _ in range(3):
            for end in (self.client, self.server):
                with contextlib.suppress(ssl.SSLWantReadError):
                    end.do_handshake()
        with contextlib.suppress(ssl.SSLWantReadError):
            self.client.read(1)  # the tickets
        return self


class Puppet:
    """The far end of a TCP connection, whose TLS is done in memory: what goes out, and in which pieces, is up to us."""

    def __init__(self, sock, context=None, server_side=True):
        self.sock = sock
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        context = context or (server_context() if server_side else client_context())
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side,
                                    server_hostname=None if server_side else HOST)

    def take(self):
        return self.outgoing.read()

    def send(self, data, step=None):
        for at in range(0, len(data), step or max(1, len(data))):
            self.sock.sendall(data[at:at + (step or len(data))])

    def run(self, function, *args, step=None):
        """A function of the TLS object, with input and output moved as it wants."""
        while True:
            try:
                result = function(*args)
                self.send(self.take(), step)
                return result
            except ssl.SSLWantReadError:
                self.send(self.take(), step)
                data = self.sock.recv(65536)
                if data:
                    self.incoming.write(data)
                else:
                    self.incoming.write_eof()

    def shake(self, step=None):
        self.run(self.tls.do_handshake, step=step)
        return self

    def encrypt(self, data):
        self.tls.write(data)
        return self.take()

    def close_notify(self):
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self.take()


def read_exactly(sock, size):
    data = bytearray()
    while len(data) < size:
        part = sock.recv(min(size - len(data), 1 << 18))
        assert part, f"the stream ended after {len(data)} of {size} bytes"
        data += part
    return bytes(data)


def assert_works(one, other, data=b"to and fro"):
    one.sendall(data)
    assert read_exactly(other, len(data)) == data
    other.sendall(data[::-1])
    assert read_exactly(one, len(data)) == data[::-1]


def close(*ends):
    for end in ends:
        end.close()


# --- Outcomes --------------------------------------------------------------------------------------------------------

def described(error):
    """An error as a list that is the same wherever it comes from, but for the line number in CPython's source."""
    text = re.sub(r"_ssl\.c:\d+", "_ssl.c", str(error))
    return [type(error).__name__, getattr(error, "errno", None), text]


def outcome(function, *args, **kwargs):
    """What it raised, described; or what it returned."""
    try:
        value = function(*args, **kwargs)
    except Exception as error:
        return described(error)
    return value.decode("latin-1") if isinstance(value, bytes) else value


@contextlib.contextmanager
def unraisable():
    """A list of what can't be raised meanwhile, described."""
    caught, hook = [], sys.unraisablehook
    sys.unraisablehook = lambda info: caught.append(described(info.exc_value))
    try:
        yield caught
    finally:
        sys.unraisablehook = hook


# --- Programs --------------------------------------------------------------------------------------------------------

def check():
    where = os.path.realpath(_ssl.__file__)
    if STOCK == (os.path.basename(where) == "_ssl.abi3.so"):
        sys.exit(f"_ssl is {where}")


def main(module):
    """Runs the case that the command line names."""
    faulthandler.enable()
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    check()
    value = vars(module)["case_" + sys.argv[1]]()
    gc.collect()
    print(json.dumps(value))
