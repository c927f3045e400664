"""What is measured: for each measure, how the servers are set, what the load does, and which figures come of it."""

import dataclasses
import time
import typing

import processes
from processes import Failed

GIB = 1 << 30
ECHO_BYTES = 64

# How much is done in a turn.
FULL = {"rounds": 7, "handshakes": 500, "bulk_bytes": GIB // 4, "seconds": 1.5, "warmup": 1.0, "storm_seconds": 4.0,
        "idle": 5000, "idle_seconds": 3.0}
QUICK = {"rounds": 3, "handshakes": 300, "bulk_bytes": GIB // 8, "seconds": 1.0, "warmup": 0.6, "storm_seconds": 2.0,
         "idle": 1000, "idle_seconds": 3.0}
SMOKE = {"rounds": 1, "handshakes": 5, "bulk_bytes": 1 << 20, "seconds": 0.1, "warmup": 0.1, "storm_seconds": 0.3,
         "echoes": 10, "idle": 10, "idle_seconds": 0.1}

IDLE_RATE = 1000  # connections that come in a second, until all idle
STORM_RATE = 200  # handshakes in a second
STORM_ECHOES = (50, 1000)  # connections, echoes in a second
CROWD_FEW = 100
CROWD_RATE = 2000  # echoes in a second, over all connections


@dataclasses.dataclass
class Aim:
    """A bound of issue 4: of the ratio to the best peer or to OpenSSL in process, or of the value itself."""
    against: str  # "best peer", "in process" or "value"
    bound: float
    at_least: bool = False
    openssl: str = "any"  # "system" or "newer": only of a build with the system's, or with 3.5 and above


@dataclasses.dataclass
class Figure:
    name: str
    title: str
    unit: str
    aims: list = dataclasses.field(default_factory=list)
    more_is_better: bool = False
    digits: int = 0


@dataclasses.dataclass
class Measure:
    name: str
    about: str
    run: typing.Callable  # (bench, the running server for each of workers) -> a value for each figure
    figures: list
    service: str = "echo"
    key: str = "ecdsa"
    reuse: bool = False
    workers: tuple = (1,)
    fresh: bool = False    # each turn has a server that has just been started
    in_process: bool = False
    rounds_max: int = 1000


# --- Turns -------------------------------------------------------------------------------------------------------------

def _expect(condition, what):
    if not condition:
        raise Failed(what)


def _handshakes(bench, running, resume=0):
    """CPU microseconds of each."""
    count = bench.size["handshakes"]
    pids = running.pids()
    reached = bench.count_back_end()
    before = processes.settle(pids)
    told = bench.load(running, "handshake", "-c", 16, "-n", count, "--resume", resume)
    spent = processes.settle(pids) - before
    bench.note_reached((bench.count_back_end() - reached) / count)
    done, resumed = (told["connections"][key] for key in ("established", "resumed"))
    _expect(done >= count, f"{done} of {count} handshakes were done: {told['errors']}")
    # The first of each of the load's connections has nothing to resume.
    good = resumed == 0 if resume == 0 else resumed > 0.9 * done or count < 100
    _expect(good, f"{resumed} of {done} handshakes resumed a session")
    return spent / 1e3 / done


def full(bench, running):
    return [_handshakes(bench, running[0])]


def resumption(bench, running):
    return [_handshakes(bench, running[0], resume=100)]


def _bulk(bench, running, way):
    size = bench.size["bulk_bytes"]
    pids = running[0].pids()
    before = processes.settle(pids)
    told = bench.load(running[0], way, "-c", 1, "-n", 1, "--bytes", size)
    spent = processes.settle(pids) - before
    moved = told["bytes"]["in" if way == "down" else "out"]
    _expect(moved >= size, f"{moved} of {size} bytes went {way}: {told['errors']}")
    return [spent / 1e9 / (moved / GIB)]


def down(bench, running):
    return _bulk(bench, running, "down")


def up(bench, running):
    return _bulk(bench, running, "up")


def _echo_latency(told, phase="operation"):
    found = told["phases"].get(phase) or {}
    _expect(found.get("count"), f"no echo came back: {told['errors']}")
    return found


def _echoes(bench, running, connections, seconds, warmup, *more):
    """A smoke test has a count of them in place of a time, in which a busy machine may do none."""
    count = bench.size.get("echoes")
    span = ["-n", count] if count else ["-d", f"{seconds}s", "--warmup", f"{warmup}s"]
    connections = min(connections, count or connections)
    return bench.load(running, "echo", "-c", connections, *span, "--size", ECHO_BYTES, *more)


def _echo(bench, running, connections):
    found = _echo_latency(_echoes(bench, running[0], connections, bench.size["seconds"], bench.size["warmup"]))
    return [found["p50_us"], found["p99_us"]]


def echo_one(bench, running):
    return _echo(bench, running, 1)


def echo_many(bench, running):
    return _echo(bench, running, 200)


def storm(bench, running):
    """Of latency from the time at which an echo was due: one that waits behind others counts in full."""
    seconds = bench.size["storm_seconds"]
    connections, rate = STORM_ECHOES
    # It yields the cpu to the echoes' load whenever that has something to do: else its own handshakes were measured.
    lead = bench.size["warmup"]  # before the echoes' own, and after them
    storming = bench.start_load(running[0], "handshake", "-c", 64, "-r", STORM_RATE, "-d", f"{seconds + 3 * lead}s",
                                yields=True)
    time.sleep(lead)
    told = _echoes(bench, running[0], connections, seconds, lead / 2, "-r", rate)
    stormed = bench.wait_load(storming)
    found = _echo_latency(told, "operation_corrected")
    done = stormed["connections"]["established"] / (STORM_RATE * (seconds + 3 * lead))
    _expect(done > 0.9 or seconds < 1, f"only {done:.0%} of the storm's handshakes could be done")
    return [found["p99_us"]]


def idle(bench, running):
    """Growth from a server that has had a few connections already: what it makes once isn't a connection's."""
    count = bench.size["idle"]
    hold(bench, running[0], min(count, 20))
    pids = running[0].pids()
    before = processes.resident_bytes(pids)
    after = hold(bench, running[0], count)
    return [(after - before) / 1024 / count]


def crowd(bench, running):
    """What an echo costs where many connections take turns at it, as a multiple of what it costs where few do."""
    many = bench.size["idle"]
    costs = [_echo_cost(bench, running[0], count) for count in (min(CROWD_FEW, many), many)]
    return [costs[1] / costs[0]]


def _echo_cost(bench, running, count):
    """CPU time of one at a given rate, after the handshakes."""
    pids = running.pids()
    loading = bench.start_load(running, "echo", "-c", count, "-r", CROWD_RATE, "-d", "120s", "--size", ECHO_BYTES)
    try:
        bench.await_back_end(count, loading)
        time.sleep(bench.size["warmup"])
        began, before = time.monotonic(), processes.cpu_nanos(pids)
        time.sleep(2 * bench.size["seconds"])
        spent, took = processes.cpu_nanos(pids) - before, time.monotonic() - began
    finally:
        told = bench.interrupt_load(loading)
        bench.await_back_end(0, loading)
    _echo_latency(told)
    _expect(spent > 0, "the echoes cost nothing that can be measured")
    return spent / (CROWD_RATE * took)


def hold(bench, running, count):
    """Resident bytes while so many connections are idle, and the back end has one for each. They come one after another:
    what many handshakes at once need for a while isn't what is measured."""
    holding = bench.start_load(running, "idle", "-c", count, "-d", "60s", "--ramp", f"{count / IDLE_RATE:.3f}s")
    try:
        bench.await_back_end(count, holding)
        time.sleep(bench.size["idle_seconds"])  # some give buffers back after a while
        return processes.resident_bytes(running.pids())
    finally:
        bench.interrupt_load(holding)
        bench.await_back_end(0, holding)


def scaling(bench, running):
    """How many handshakes a second of the busiest thread makes: with two workers on two cpus of their own that is what
    there could be, and it holds where the load needs one of the cpus itself."""
    rates = [_rate_of_busiest(bench, one) for one in running]
    return [rates[1] / rates[0]]


def _rate_of_busiest(bench, running):
    count = bench.size["handshakes"]
    pids = running.pids()
    processes.settle(pids)
    before = processes.thread_nanos(pids)
    bench.load(running, "handshake", "-c", 32, "-n", count)
    processes.settle(pids)
    spent = [nanos - before.get(thread, 0) for thread, nanos in processes.thread_nanos(pids).items()]
    _expect(max(spent) > 0, "no thread that still lives has done anything")
    return count * 1e9 / max(spent)


# --- The list ----------------------------------------------------------------------------------------------------------

HANDSHAKE_AIMS = [Aim("best peer", 0.9, openssl="system"), Aim("in process", 1.12, openssl="system"),
                  Aim("best peer", 0.75, openssl="newer")]
BULK_AIMS = [Aim("best peer", 0.75)]
ECHO_AIMS = [Aim("best peer", 1.0)]

MEASURES = [
    Measure("ecdsa", "full handshakes, 16 at a time; no tickets, no cache", full,
            [Figure("ecdsa", "Full handshake, ECDSA P-256 and X25519", "CPU µs", HANDSHAKE_AIMS)], in_process=True),
    Measure("rsa", "the same with a key of RSA 2048", full,
            [Figure("rsa", "Full handshake, RSA 2048 and X25519", "CPU µs", HANDSHAKE_AIMS)], key="rsa", in_process=True),
    Measure("resumption", "resumptions, 16 at a time, PSK with DHE", resumption,
            [Figure("resumption", "Resumption, PSK with X25519", "CPU µs", [Aim("best peer", 0.85)])], reuse=True,
            in_process=True),
    Measure("down", "one connection, from the back end to the client", down,
            [Figure("down", "Bulk down", "CPU s/GiB", BULK_AIMS, digits=2)], service="source", in_process=True),
    Measure("up", "one connection, from the client to the back end", up,
            [Figure("up", "Bulk up", "CPU s/GiB", BULK_AIMS, digits=2)], service="sink", in_process=True),
    Measure("echo-1", f"{ECHO_BYTES} bytes there and back, one connection", echo_one,
            [Figure("echo-1-p50", "Echo, 1 connection, p50", "µs", ECHO_AIMS),
             Figure("echo-1-p99", "Echo, 1 connection, p99", "µs", ECHO_AIMS)]),
    Measure("echo-200", "the same, 200 connections that never pause", echo_many,
            [Figure("echo-200-p50", "Echo, 200 connections, p50", "µs", ECHO_AIMS),
             Figure("echo-200-p99", "Echo, 200 connections, p99", "µs", ECHO_AIMS)]),
    Measure("storm",
            f"{STORM_ECHOES[1]} echoes/s on {STORM_ECHOES[0]} connections while {STORM_RATE} new handshakes/s arrive", storm,
            [Figure("storm", f"Echo under {STORM_RATE} handshakes/s, p99", "µs", [Aim("best peer", 0.5)])]),
    Measure("idle", "idle connections, growth of what is resident", idle,
            [Figure("idle", "Resident per idle connection", "KiB", [Aim("value", 20)], digits=1)], service="hold",
            fresh=True, rounds_max=3),  # memory doesn't go up and down with the machine's load
    Measure("crowd", f"CPU of an echo at {CROWD_RATE}/s in all, on as many connections as are idle above / on {CROWD_FEW}", crowd,
            [Figure("crowd", "An echo among many / among few", "times", digits=2)], rounds_max=3),
    Measure("workers", "full handshakes by the busiest thread's CPU, two workers beside one", scaling,
            [Figure("workers", "Two workers / one", "times", [Aim("value", 1.8, at_least=True)], more_is_better=True,
                    digits=2)],
            workers=(1, 2)),
]
