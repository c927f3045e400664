"""fork(2): contexts are good in children, connections stay the parent's, and nobody's end is another's."""

import contextlib
import gc
import multiprocessing
import os
import select
import signal
import socket
import ssl
import sys
import threading
import time
import traceback

import ground
from ground import Background, BioPair, tls_pair, unconnected_pair


def in_child(function, *args):
    """Runs it in a forked child, which must end well."""
    process = os.fork()
    if process == 0:
        code = 1
        try:
            signal.alarm(ground.PATIENCE)
            function(*args)
            code = 0
        except BaseException:
            traceback.print_exc()
            sys.stderr.flush()
        os._exit(code)
    return process


def assert_ended_well(process):
    assert os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]) == 0


def assert_is_the_parents(function, *args):
    try:
        value = function(*args)
    except OSError as error:
        assert not isinstance(error, ssl.SSLError) and "belongs to process" in str(error), repr(error)
    else:
        raise AssertionError(f"{function} gave {value!r}")


def make_connections(context, server):
    for _ in range(3):
        one, other = tls_pair(context, server)
        ground.assert_works(one, other)
        ground.close(one, other)


def case_contexts_in_the_child():
    context, server = ground.client_context(), ground.server_context()
    unused = ground.server_context()
    make_connections(context, server)
    children = [in_child(lambda: (make_connections(context, server), make_connections(context, unused),
                                  context.load_verify_locations(ground.CA), gc.collect())) for _ in range(5)]
    make_connections(context, server)
    for child in children:
        assert_ended_well(child)
    make_connections(context, server)


def case_connections_in_the_child():
    one, other = tls_pair()
    bios = BioPair().shake()
    other.sendall(b"waiting in the socket")

    def child():
        assert one.cipher() and one.version()
        for end in (one, other):
            for function in (lambda: end.send(b"x"), lambda: end.recv(1), end.unwrap, end.pending, end.do_handshake,
                             lambda: end.session, end._sslobj.get_verified_chain,
                             lambda: end.recv_into(bytearray(5))):
                assert_is_the_parents(function)
        assert_is_the_parents(bios.client.read, 1)
        assert_is_the_parents(bios.server.write, b"x")
        ground.close(one, other)
    assert_ended_well(in_child(child))
    assert one.recv(100) == b"waiting in the socket"
    ground.assert_works(one, other)
    bios.client.write(b"here")
    assert bios.server.read(10) == b"here"
    ending = Background(one.unwrap)
    near, far = other.unwrap(), ending.result()
    ground.close(near, far, one, other)


def case_half_sent_output_is_not_sent_twice():
    """What the parent has encrypted and not sent is no business of the child's."""
    one, other = tls_pair()
    one.setblocking(False)
    other.settimeout(ground.PATIENCE)
    data = os.urandom(8 << 20)
    try:
        one.send(data)
        raise AssertionError("no socket has so much room")
    except ssl.SSLWantWriteError:
        pass
    reading = Background(ground.read_exactly, other, len(data))

    def child():
        for _ in range(5):
            assert_is_the_parents(one.send, data)
            assert_is_the_parents(one.recv, 1)
            assert_is_the_parents(one.unwrap)
            time.sleep(0.01)
    process = in_child(child)
    assert_ended_well(process)
    while True:
        select.select([], [one], [], ground.PATIENCE)
        with contextlib.suppress(ssl.SSLWantWriteError):
            assert one.send(data) == len(data)
            break
    assert reading.result() == data
    ground.close(one, other)


def case_half_a_record_is_not_taken():
    """Nor what it is to receive."""
    server = ground.server_context()
    server.num_tickets = 0
    one, other = tls_pair(server=server)
    socket.socket.sendall(other, b"\x17\x03\x03\x00")

    def child():
        assert_is_the_parents(one.recv, 1)
    assert_ended_well(in_child(child))
    assert socket.socket.recv(one, 100) == b"\x17\x03\x03\x00"
    ground.close(one, other)


def case_fork_while_threads_are_in_calls():
    """Their locks are taken in the child for ever; nothing of it waits for them."""
    context, server = ground.client_context(), ground.server_context()
    one, other = tls_pair(context, server)
    waiting, nobody = unconnected_pair(context, server)
    other_waiting = Background(nobody.do_handshake)
    reading = Background(one.recv, 100)
    stop = threading.Event()

    def busy():
        while not stop.is_set():
            make_connections(context, server)

    def change():
        while not stop.is_set():
            server.load_cert_chain(ground.CHAIN, ground.KEY)
            context.verify_flags ^= ssl.VERIFY_X509_PARTIAL_CHAIN
    threads = [Background(busy) for _ in range(3)] + [Background(change)]

    def child():
        for function in (lambda: one.recv(1), lambda: one.send(b"x"), one.unwrap, nobody.do_handshake):
            assert_is_the_parents(function)
        make_connections(context, server)
        ground.close(one, other, waiting, nobody)
        gc.collect()
    for _ in range(100 if ground.LONG else 8):
        assert_ended_well(in_child(child))
    stop.set()
    for thread in threads:
        thread.result()
    other.sendall(b"still here")
    assert reading.result() == b"still here"
    waiting.do_handshake()
    other_waiting.result()
    ground.assert_works(waiting, nobody)
    ground.close(one, other, waiting, nobody)


def case_the_end_of_a_child_and_of_its_child():
    context, server = ground.client_context(), ground.server_context()
    one, other = tls_pair(context, server)

    def child():
        make_connections(context, server)

        def grandchild():
            make_connections(context, server)
            assert_is_the_parents(one.send, b"x")
        assert_ended_well(in_child(grandchild))
        daemon = in_child(lambda: (time.sleep(0.2), make_connections(context, server)))
        read_end.close()
        write_end.send(str(daemon).encode())
    read_end, write_end = socket.socketpair()
    for _ in range(3):
        assert_ended_well(in_child(child))
        ground.assert_works(one, other)
    gc.collect()
    make_connections(context, server)
    ground.assert_works(one, other)
    ground.close(one, other, read_end, write_end)
    time.sleep(0.5)


def case_a_child_outlives_its_parent():
    """Contexts of the parent are good in the child that never spoke to the daemon before the parent ended."""
    ready, tell = os.pipe()

    def parent():
        context, server = ground.client_context(), ground.server_context()
        make_connections(context, server)

        def child():
            time.sleep(0.3)
            make_connections(context, server)
            os.write(tell, b"good")
        in_child(child)
    assert_ended_well(in_child(parent))
    os.close(tell)
    assert os.read(ready, 10) == b"good"
    os.close(ready)


def case_a_connection_made_before_and_opened_after():
    """As socketserver.ForkingMixIn does with do_handshake_on_connect=False."""
    one, other = unconnected_pair()
    process = in_child(lambda: (other.do_handshake(), ground.read_exactly(other, 3), other.sendall(b"child")))
    one.do_handshake()
    one.sendall(b"abc")
    assert ground.read_exactly(one, 5) == b"child"
    assert_ended_well(process)
    ground.close(one, other)


def case_prefork_server():
    server = ground.server_context()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve():
        with contextlib.suppress(OSError):
            for _ in range(5):
                with server.wrap_socket(listener.accept()[0], server_side=True) as one:
                    one.sendall(one.recv(100) + b" of %d" % os.getpid())
    workers = [in_child(serve) for _ in range(4)]
    context = ground.client_context()
    served = set()
    for number in range(20):
        with context.wrap_socket(socket.create_connection(listener.getsockname()), server_hostname=ground.HOST) as one:
            one.sendall(b"request")
            word, _, process = one.recv(100).partition(b" of ")
            assert word == b"request"
            served.add(int(process))
    assert served <= set(workers), served
    for worker in workers:
        assert_ended_well(worker)
    listener.close()


def worker(queue, number):
    make_connections(ground.client_context(), ground.server_context())
    queue.put(number)


def with_multiprocessing(method):
    one, other = tls_pair()
    context = multiprocessing.get_context(method)
    queue = context.SimpleQueue()
    processes = [context.Process(target=worker, args=(queue, number)) for number in range(3)]
    for process in processes:
        process.start()
    assert sorted(queue.get() for _ in processes) == [0, 1, 2]
    for process in processes:
        process.join(ground.PATIENCE)
        assert process.exitcode == 0
        process.close()
    queue.close()
    ground.assert_works(one, other)
    ground.close(one, other)


def case_multiprocessing_fork():
    with_multiprocessing("fork")


def case_multiprocessing_spawn():
    with_multiprocessing("spawn")


if __name__ == "__main__":
    ground.main(sys.modules[__name__])
