"""Interpreters that end, with connections and threads alive; more than one of them; modules that are imported anew."""

import atexit
import contextlib
import gc
import importlib
import socket
import ssl
import sys
import threading
import time
import warnings

import ground
from ground import Background, BioPair, tls_pair, unconnected_pair

kept = []
TIMES = 50 if ground.LONG else 10


def keep(*things):
    """Alive when the interpreter ends; nobody is to be told of sockets that are open."""
    warnings.simplefilter("ignore", ResourceWarning)
    kept.extend(things)


def case_with_live_connections():
    keep(tls_pair(), unconnected_pair(), BioPair(), BioPair().shake(), ground.client_context())


def case_with_connections_in_cycles():
    for _ in range(20):
        pair = BioPair().shake()
        pair.me = pair
        pair.server.context.sni_callback = lambda *_, pair=pair: pair
    keep(pair)
    del pair


def case_with_threads_that_wait():
    one, other = tls_pair()
    near, far = unconnected_pair()
    slow, _ = tls_pair()
    keep(one, other, near, far, slow, _, Background(one.recv, 10), Background(far.do_handshake),
         Background(slow.sendall, bytes(64 << 20)), Background(other.unwrap))
    time.sleep(0.1)


def case_with_threads_that_work():
    context, server = ground.client_context(), ground.server_context()

    def work():
        while True:
            pair = BioPair(context, server).shake()
            pair.client.write(b"x")
            context.get_ca_certs()
    keep(*(Background(work) for _ in range(8)))
    time.sleep(0.1)


def case_with_a_callback_under_way():
    server = ground.server_context()
    server.sni_callback = lambda *_: time.sleep(1000)
    one, other = unconnected_pair(server=server)
    keep(one, other, Background(other.do_handshake), Background(one.do_handshake))
    time.sleep(0.1)


def case_with_a_handler_of_the_end():
    one, other = tls_pair()
    pair = BioPair().shake()

    def last():
        ground.assert_works(one, other)
        pair.client.write(b"last words")
        assert pair.server.read(100) == b"last words"
        ground.close(one, other)
    atexit.register(last)


def case_with_finalizers_that_use_tls():
    class Last:
        def __init__(self):
            self.pair = BioPair().shake()

        def __del__(self):
            with contextlib.suppress(OSError):
                self.pair.client.write(b"x")
                self.pair.client.getpeercert()
    keep(Last())
    looped = Last()
    looped.me = looped
    del looped
    gc.collect()


def case_imported_anew():
    """What is of an old module goes on to work, beside the new."""
    old = []
    for _ in range(TIMES):
        old.append((BioPair().shake(), ssl.MemoryBIO()))
        for name in ("_ssl", "ssl"):
            del sys.modules[name]
        importlib.import_module("ssl")
        importlib.reload(ground)
        with contextlib.suppress(TypeError):
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)._wrap_bio(old[-1][1], old[-1][1], False)
    for pair, bio in old:
        pair.client.write(b"still")
        assert pair.server.read(10) == b"still"
        bio.write(b"x")
    del old, pair, bio
    gc.collect()


def case_subinterpreters():
    name = "_interpreters" if sys.version_info >= (3, 13) else "_xxsubinterpreters"
    interpreters = importlib.import_module(name)
    code = f"""if True:
        import sys
        sys.path[:0] = {sys.path!r}
        import ssl
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain({ground.CHAIN!r}, {ground.KEY!r})
        client = ssl.create_default_context(cafile={ground.CA!r})
        to_client, to_server = ssl.MemoryBIO(), ssl.MemoryBIO()
        one = client.wrap_bio(to_client, to_server, server_hostname="localhost")
        other = context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(3):
            for end in (one, other):
                try:
                    end.do_handshake()
                except ssl.SSLWantReadError:
                    pass
        one.write(b"in here")
        assert other.read(10) == b"in here"
        try:
            one.read(1)
        except ssl.SSLWantReadError as error:
            assert isinstance(error, ssl.SSLError)
        """
    pair = BioPair().shake()
    for _ in range(TIMES):
        one = interpreters.create()
        interpreters.run_string(one, code)
        interpreters.destroy(one)
    pair.client.write(b"out here")
    assert pair.server.read(10) == b"out here"
    ground.close(*tls_pair())


def case_ended_by_exceptions():
    keep(tls_pair())
    with contextlib.suppress(ssl.SSLWantReadError):
        BioPair().client.do_handshake()
    threading.Thread(target=lambda: keep(tls_pair())).start()  # no daemon: CPython's own _ssl crashes with those


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
