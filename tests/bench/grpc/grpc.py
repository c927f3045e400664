#!/usr/bin/python3
"""tlsagentd's RPC beside a server of gRPC C++: one method, AgentService.Ping, in turns over Unix sockets.

  tests/bench/run grpc [--rounds N] [--calls N] [--json] [--smoke]

many    64 calls in flight on one connection: calls in a second, and the server's CPU for each. By gRPC h2load asks all
        servers; by ttrpc a client of our own does. With one connection h2load takes in all answers before it asks again:
        where it is not busy it and the server wait for each other, and calls/s say little of either.
four    the same by four connections of 64 each, by gRPC only: h2load is busy then, or the server is.
unary   one call after another: the median of how long one takes. By gRPC the client is gRPC C++'s; by ttrpc our own.

Servers are on the first cpu, clients on the second. gRPC C++ serves twice, by its callback API and by a completion queue of
one thread, and is compared by whichever is better. Every figure is the median of the rounds. Run it by tests/bench/run,
which builds for release.
"""

import argparse
import json
import os
import pathlib
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import time

FOLDER = pathlib.Path(__file__).parent
SERVERS = {"tlsagentd, gRPC": None, "gRPC C++, callbacks": "callback", "gRPC C++, one queue": "async"}
OURS, TTRPC = "tlsagentd, gRPC", "tlsagentd, ttrpc"
PAYLOAD = 64
IN_FLIGHT = 64
PATIENCE = 20
# name: (what, whether more is better, the aim)
AIMS = {
    "calls": ("calls/s, 64 streams, h2load", True, 5.0),
    "calls4": ("calls/s, 4 connections of 64 streams, h2load", True, 5.0),
    "cpu": ("server's CPU per call, 64 streams, h2load", False, 0.2),
    "cpu4": ("server's CPU per call, 4 connections of 64", False, 0.2),
    "p50": ("unary p50, gRPC C++'s client", False, 0.7),
}


def pinned(command, cpu, **options):
    return subprocess.Popen(command, preexec_fn=lambda: os.sched_setaffinity(0, {cpu}), **options)


def cpu_nanos(pid):
    """User and kernel time of a process, threads that have ended included (include/linux/posix-timers.h)."""
    return time.clock_gettime_ns((~pid << 3) | 2)


def children_cpu():
    """CPU seconds of the clients that have ended."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


class Server:
    def __init__(self, name, mode, cpu, folder):
        self.path = os.path.join(folder, f"{mode or 'ours'}.sock")
        self.address = "unix:" + self.path
        command = [FOLDER / "echo_server", mode, self.address] if mode else [
            FOLDER.parents[2] / "server/tlsagentd", "--listen", self.address, "--workers", "1", "--log-level", "warning"]
        self.name = name
        self.process = pinned([str(word) for word in command], cpu, stdin=subprocess.DEVNULL)
        end = time.monotonic() + PATIENCE
        while not os.path.exists(self.path):
            if self.process.poll() is not None or time.monotonic() > end:
                raise SystemExit(f"{name} did not start")
            time.sleep(0.01)

    def cost(self, work):
        """What work() returns, and the CPU seconds that the server had meanwhile."""
        before = cpu_nanos(self.process.pid)
        told = work()
        return told, (cpu_nanos(self.process.pid) - before) / 1e9

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Bench:
    def __init__(self, options, folder):
        cpus = sorted(os.sched_getaffinity(0))
        self.calls = options.calls
        self.server_cpu, self.client_cpu = cpus[0], cpus[-1]
        self.body = os.path.join(folder, "request")
        message = bytes([0x0A, PAYLOAD]) + bytes(PAYLOAD)  # PingRequest.payload
        pathlib.Path(self.body).write_bytes(b"\0" + len(message).to_bytes(4, "big") + message)
        self.servers = []
        self.figures = {}
        for name, mode in SERVERS.items():
            self.servers.append(Server(name, mode, self.server_cpu, folder))

    def run_client(self, *command):
        process = pinned([str(word) for word in command], self.client_cpu, stdout=subprocess.PIPE, text=True,
                         stdin=subprocess.DEVNULL)
        output, _ = process.communicate()
        if process.returncode != 0:
            raise SystemExit(f"{command[0]} ended with {process.returncode}: {output}")
        return output

    def h2load(self, server, connections):
        output = self.run_client("h2load", "-c", connections, "-m", IN_FLIGHT, "-n", self.calls, "-d", self.body,
                                 "-H", "content-type: application/grpc", "-H", "te: trailers",
                                 f"--base-uri={server.address}", "http://localhost/tlsagent.v1.AgentService/Ping")
        done = re.search(r"finished in ([\d.]+)(us|ms|s), ", output)
        good = re.search(r"(\d+) succeeded", output)
        if not done or not good or int(good[1]) != self.calls:
            raise SystemExit(f"h2load to {server.name}:\n{output}")
        return float(done[1]) * {"us": 1e-6, "ms": 1e-3, "s": 1}[done[2]]

    def ttrpc_many(self, server):
        told = self.run_client(FOLDER / "ttrpc_load", server.path, self.calls, PAYLOAD, IN_FLIGHT)
        return json.loads(told)["seconds"]

    def note(self, name, figure, value):
        self.figures.setdefault(name, {}).setdefault(figure, []).append(value)

    def note_many(self, name, server, work, suffix=""):
        before = children_cpu()
        seconds, cpu = server.cost(work)
        self.note(name, "calls" + suffix, self.calls / seconds)
        self.note(name, "cpu" + suffix, cpu / self.calls * 1e6)
        self.note(name, "busy" + suffix, (children_cpu() - before) / seconds * 100)

    def note_unary(self, name, *command):
        told = json.loads(self.run_client(*command))
        self.note(name, "p50", told["p50_us"])
        self.note(name, "p99", told["p99_us"])

    def round(self):
        unary = max(1, self.calls // 10)
        for server in self.servers:
            # The first shows that the answers are right, which h2load doesn't look at.
            self.note_unary(server.name, FOLDER / "unary", server.address, unary, PAYLOAD)
            self.note_many(server.name, server, lambda server=server: self.h2load(server, 1))
            self.note_many(server.name, server, lambda server=server: self.h2load(server, 4), "4")
        self.note_unary(TTRPC, FOLDER / "ttrpc_load", self.servers[0].path, unary, PAYLOAD, 1)
        self.note_many(TTRPC, self.servers[0], lambda: self.ttrpc_many(self.servers[0]))

    def stop(self):
        for server in self.servers:
            server.stop()


def medians(figures):
    return {name: {figure: statistics.median(values) for figure, values in row.items()} for name, row in figures.items()}


def ratios(found):
    peers = [row for name, row in found.items() if name not in (OURS, TTRPC)]
    out = {}
    for figure, (_, more, _) in AIMS.items():
        best = (max if more else min)(row[figure] for row in peers)
        out[figure] = {name: found[name][figure] / best for name in (OURS, TTRPC) if figure in found[name]}
    return out


def show(found, ratio):
    print(f"{'':24}{'calls/s':>10}{'CPU us':>8}{'client':>8}{'four: calls/s':>15}{'CPU us':>8}{'client':>8}"
          f"{'p50 us':>10}{'p99 us':>8}")
    for name, row in found.items():
        four = f"{row['calls4']:>15,.0f}{row['cpu4']:>8.2f}{row['busy4']:>7.0f}%" if "calls4" in row else f"{'':31}"
        print(f"{name:24}{row['calls']:>10,.0f}{row['cpu']:>8.2f}{row['busy']:>7.0f}%{four}{row['p50']:>10.1f}{row['p99']:>8.1f}")
    print(f"\n{'Beside the better of gRPC C++':48}{'gRPC':>8}{'ttrpc':>8}  aim, of gRPC")
    for figure, (label, more, bound) in AIMS.items():
        good = ratio[figure][OURS] >= bound if more else ratio[figure][OURS] <= bound
        ttrpc = f"{ratio[figure][TTRPC]:>8.2f}" if TTRPC in ratio[figure] else f"{'':8}"
        print(f"  {label:46}{ratio[figure][OURS]:>8.2f}{ttrpc}  "
              f"{'>=' if more else '<='} {bound:.2f} {'yes' if good else 'NO'}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, metavar="N", help="default 5")
    parser.add_argument("--calls", type=int, default=100_000, metavar="N", help="of 64 in flight, in a turn; default 100000")
    parser.add_argument("--json", action="store_true", help="the figures as JSON")
    parser.add_argument("--smoke", action="store_true", help="one round of a few calls: does it run?")
    options = parser.parse_args()
    if options.smoke:
        options.rounds, options.calls = 1, 200
    with tempfile.TemporaryDirectory(prefix="tlsagent-bench-") as folder:
        bench = Bench(options, folder)
        try:
            for number in range(options.rounds):
                if sys.stderr.isatty():
                    print(f"round {number + 1} of {options.rounds}", end="\r", file=sys.stderr)
                bench.round()
        finally:
            bench.stop()
    found = medians(bench.figures)
    ratio = ratios(found)
    if options.json:
        print(json.dumps({"figures": found, "ratios": ratio}, indent=2))
    else:
        show(found, ratio)


if __name__ == "__main__":
    main()
