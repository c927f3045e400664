#!/usr/bin/python3
"""Python's own _ssl beside tlsagent's, in turns on the same machine: what does it cost to have no TLS in the process?

  tests/bench/run python [--rounds N] [--json] [--smoke]

cold start    a fresh process: import ssl, create_default_context(), the first handshake, the end; against one server
handshakes    full ones, TLS 1.3, by one thread and by 50; client and server have the _ssl that is measured
echo          64 bytes there and back by one connection; the server has Python's own
down, up      256 MiB by recv_into() and sendall() with buffers of 256 KiB; the server has Python's own
round trip    a Ping of the daemon by libtlsagent, the least that any call can cost

Every figure is the median of the rounds. Run it by tests/bench/run, which builds for release; else say --daemon, --cli and
--module-dir. It wants a quiet machine with two cpus.
"""

import argparse
import contextlib
import json
import os
import socket
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = os.path.abspath(__file__)
MODULE = "_ssl.abi3.so"
STOCK, OURS = "stock", "ours"

ECHO_BYTES = 64
BUFFER_BYTES = 256 << 10

# What a whole run and a smoke test take.
FULL = {"cold_starts": 10, "seconds": 2.0, "echoes": 5000, "bulk_bytes": 256 << 20, "pings": 5000}
SMOKE = {"cold_starts": 1, "seconds": 0.1, "echoes": 50, "bulk_bytes": 4 << 20, "pings": 50}


# --- In a process of its own: servers ----------------------------------------------------------------------------------

def server_context(folder):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(os.path.join(folder, "pem"))
    context.num_tickets = 0  # a client that closes at once would have the server fail of sending them
    return context


def accept_in_threads(num_threads, context, talk):
    """Prints its port, and ends with its standard input."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def serve():
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError), context.wrap_socket(connection, server_side=True) as tls:
                talk(tls)

    for _ in range(num_threads):
        threading.Thread(target=serve, daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    sys.stdin.read()


def serve_handshakes(folder, num_threads):
    accept_in_threads(int(num_threads), server_context(folder), lambda tls: None)


def serve_talk(folder):
    """The first byte says what is wanted: an echo, or that many bytes of eight digits down or up."""
    buffer = memoryview(bytearray(BUFFER_BYTES))

    def talk(tls):
        verb, size = tls.recv(1), int(tls.recv(16) or 0)
        if verb == b"e":
            while data := tls.recv(ECHO_BYTES):
                tls.sendall(data)
        elif verb == b"d":
            for _ in range(size // BUFFER_BYTES):
                tls.sendall(buffer)
            tls.recv(1)
        elif verb == b"u":
            while size > 0:
                size -= tls.recv_into(buffer) or size
            tls.sendall(b"!")

    accept_in_threads(2, server_context(folder), talk)


# --- In a process of its own: clients ----------------------------------------------------------------------------------

def client_context(folder):
    context = ssl.create_default_context()
    context.load_verify_locations(os.path.join(folder, "pem"))
    return context


def connect(context, port):
    tcp = socket.create_connection(("127.0.0.1", int(port)))
    tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return context.wrap_socket(tcp, server_hostname="localhost")


def cold_start(folder, port):
    connect(client_context(folder), port).close()
    tell({})


def handshakes(folder, port, num_threads, seconds):
    """How many in a second, by all threads."""
    context, done = client_context(folder), []
    connect(context, port).close()
    start = time.monotonic()
    end = start + float(seconds)

    def work():
        count = 0
        while time.monotonic() < end:
            connect(context, port).close()
            count += 1
        done.append(count)

    threads = [threading.Thread(target=work) for _ in range(int(num_threads))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tell({"per_second": sum(done) / (time.monotonic() - start)})


def ask(folder, port, verb, size=0):
    tls = connect(client_context(folder), port)
    tls.sendall(verb)
    tls.sendall(b"%-16d" % size)
    return tls


def echo(folder, port, count):
    times, data = [], b"x" * ECHO_BYTES
    with ask(folder, port, b"e") as tls:
        for _ in range(int(count)):
            start = time.perf_counter()
            tls.sendall(data)
            missing = ECHO_BYTES
            while missing:
                missing -= len(tls.recv(missing))
            times.append(time.perf_counter() - start)
    tell({"p50": statistics.median(times)})


def down(folder, port, size):
    buffer, missing = memoryview(bytearray(BUFFER_BYTES)), int(size)
    with ask(folder, port, b"d", missing) as tls:
        start = time.perf_counter()
        while missing:
            got = tls.recv_into(buffer)
            if got == 0:
                sys.exit("the server has ended early")
            missing -= got
        seconds = time.perf_counter() - start
        tls.sendall(b"!")
    tell({"per_second": int(size) / seconds})


def up(folder, port, size):
    buffer = memoryview(bytearray(BUFFER_BYTES))
    with ask(folder, port, b"u", int(size)) as tls:
        start = time.perf_counter()
        for _ in range(int(size) // BUFFER_BYTES):
            tls.sendall(buffer)
        tls.recv(1)
        seconds = time.perf_counter() - start
    tell({"per_second": int(size) / seconds})


def tell(result):
    """Nobody measures one side twice by mistake."""
    import _ssl
    print(json.dumps({"ours": os.path.basename(_ssl.__file__) == MODULE, **result}))


CHILDREN = {function.__name__: function for function in
            (serve_handshakes, serve_talk, cold_start, handshakes, echo, down, up)}


# --- Measuring ---------------------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, options, folder):
        self.options, self.folder, self.size = options, folder, SMOKE if options.smoke else FULL
        self.socket = "unix:" + os.path.join(folder, "agent.sock")
        self.values = {}  # (row, side): a value for each round

    def command(self, role, *args):
        return [self.options.python, HERE, "--child", role, self.folder, *map(str, args)]

    def environment(self, side):
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "TLSAGENT"))}
        if side == OURS:
            kept.update(PYTHONPATH=self.options.module_dir, TLSAGENT_SOCKET=self.socket)
        return kept

    def client(self, side, role, *args):
        """(what it tells, the seconds from its start to its end)."""
        start = time.perf_counter()
        done = subprocess.run(self.command(role, *args), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                              env=self.environment(side))
        seconds = time.perf_counter() - start
        if done.returncode != 0:
            sys.exit(f"{role} with the {side} _ssl ended with {done.returncode}")
        told = json.loads(done.stdout)
        if told.pop("ours") != (side == OURS):
            sys.exit(f"{role} didn't have the {side} _ssl")
        return told, seconds

    @contextlib.contextmanager
    def server(self, side, role, *args):
        """Its port."""
        process = subprocess.Popen(self.command(role, *args), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.environment(side))
        try:
            yield process.stdout.readline().decode().strip()
        finally:
            process.communicate()

    @contextlib.contextmanager
    def daemon(self):
        process = subprocess.Popen([self.options.daemon, "--listen", self.socket, "--log-level", "warning",
                                    "--drain-timeout", "2"], stdin=subprocess.DEVNULL)
        try:
            end = time.monotonic() + 30
            while not os.path.exists(self.socket.removeprefix("unix:")):
                if process.poll() is not None or time.monotonic() > end:
                    sys.exit("tlsagentd doesn't start")
                time.sleep(0.01)
            yield
        finally:
            process.terminate()
            process.wait()

    def note(self, row, side, value):
        self.values.setdefault((row, side), []).append(value)

    def measure(self, side, talk_port):
        size = self.size
        for _ in range(size["cold_starts"]):
            self.note("cold start", side, self.client(side, "cold_start", talk_port)[1])
        for num_threads in (1, 50):
            with self.server(side, "serve_handshakes", num_threads) as port:
                told, _ = self.client(side, "handshakes", port, num_threads, size["seconds"])
            self.note(f"handshakes, {num_threads}", side, told["per_second"])
        self.note("echo", side, self.client(side, "echo", talk_port, size["echoes"])[0]["p50"])
        for way in ("down", "up"):
            self.note(way, side, self.client(side, way, talk_port, size["bulk_bytes"])[0]["per_second"])

    def ping(self):
        done = subprocess.run([self.options.cli, "ping", "--socket", self.socket, "--json", "-c", str(self.size["pings"])],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, check=True)
        self.note("round trip", OURS, json.loads(done.stdout)["p50_us"] / 1e6)

    def run(self):
        """Who begins changes from round to round."""
        with self.daemon(), self.server(STOCK, "serve_talk") as talk_port:
            for number in range(self.options.rounds):
                for side in (STOCK, OURS) if number % 2 == 0 else (OURS, STOCK):
                    self.measure(side, talk_port)
                self.ping()

    def median(self, row, side):
        return statistics.median(self.values[row, side])


def make_certificate(folder):
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "-"]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode != 0:
        sys.exit(f"openssl can't make a certificate: {done.stderr.decode()}")
    with open(os.path.join(folder, "pem"), "wb") as file:
        file.write(done.stdout)


# --- Telling -----------------------------------------------------------------------------------------------------------

# (row, what it is called, its unit, units in a second or byte, the aim for ours / stock)
ROWS = [
    ("cold start", "cold start", "ms", 1e3, ("<", 1.0)),
    ("handshakes, 1", "handshakes per second, 1 thread", "/s", 1, (">=", 0.85)),
    ("handshakes, 50", "handshakes per second, 50 threads", "/s", 1, (">=", 0.85)),
    ("echo", "echo of 64 bytes, p50", "us", 1e6, None),
    ("down", "bulk down", "MiB/s", 1 / (1 << 20), (">=", 0.6)),
    ("up", "bulk up", "MiB/s", 1 / (1 << 20), (">=", 0.6)),
]
ECHO_AIM = 2.5  # round trips more than stock


def results(bench):
    rows = []
    for row, title, unit, scale, aim in ROWS:
        stock, ours = (bench.median(row, side) for side in (STOCK, OURS))
        one = {"name": title, "unit": unit, "stock": stock * scale, "ours": ours * scale, "ratio": ours / stock}
        if aim:
            one["aim"], one["met"] = f"{aim[0]} {aim[1]}", one["ratio"] < aim[1] if aim[0] == "<" else one["ratio"] >= aim[1]
        rows.append(one)
    round_trip = bench.median("round trip", OURS)
    more = (bench.median("echo", OURS) - bench.median("echo", STOCK)) / round_trip
    rows[3].update(round_trips=more, aim=f"<= {ECHO_AIM} round trips more", met=more <= ECHO_AIM)
    return {"rows": rows, "round_trip_us": round_trip * 1e6, "rounds": bench.options.rounds, "smoke": bench.options.smoke}


def print_table(told):
    print(f"{'':<36}{'stock':>11}{'ours':>11}{'ours/stock':>13}  aim")
    for row in told["rows"]:
        more = f" ({row['round_trips']:.2f} more)" if "round_trips" in row else ""
        print(f"{row['name'] + ', ' + row['unit']:<36}{row['stock']:>11.1f}{row['ours']:>11.1f}{row['ratio']:>13.2f}  "
              f"{row['aim']}{more}: {'met' if row['met'] else 'missed'}")
    print(f"{'bare round trip, us':<36}{'':>11}{told['round_trip_us']:>11.1f}")
    if told["smoke"]:
        print("A smoke test: the figures say nothing.")


def first_there(*paths):
    return next((os.path.abspath(path) for path in paths if path and os.path.exists(path)), None)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--rounds", type=int, metavar="N", help="default 5, and 1 of a smoke test")
    add("--json", action="store_true", help="for programs")
    add("--smoke", action="store_true", help="does it run at all?")
    add("--python", default="/usr/bin/python3", metavar="PROGRAM", help="default: %(default)s")
    add("--daemon", default=first_there(os.environ.get("TLSAGENTD"), "server/tlsagentd"), metavar="FILE")
    add("--cli", default=first_there(os.environ.get("TLSAGENT_CLI"), "client/cli/tlsagent"), metavar="FILE")
    add("--module-dir", default=first_there(os.environ.get("TLSAGENT_PYTHON_DIR"), "client/python"), metavar="FOLDER")
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (1 if options.smoke else 5)
    for what in ("daemon", "cli", "module_dir"):
        if getattr(options, what) is None:
            parser.error(f"nothing says where it is: --{what.replace('_', '-')}")
    return options


def main():
    if sys.argv[1:2] == ["--child"]:
        CHILDREN[sys.argv[2]](*sys.argv[3:])
        return
    options = parse(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="tlsagent-bench-") as folder:
        make_certificate(folder)
        bench = Bench(options, folder)
        bench.run()
        told = results(bench)
    if options.json:
        print(json.dumps(told))
    else:
        print_table(told)


if __name__ == "__main__":
    main()
