#!/usr/bin/python3
"""tlsagent beside haproxy, nginx, hitch and stunnel: what does TLS before a plaintext service cost, and how long does it take?

  tests/bench/peers [OPTION...]

Every server has one worker, TLS 1.3 with X25519 and TLS_AES_128_GCM_SHA256, a cpu that it shares with nobody else of the
bench, and a plaintext back end of its own; tlsagent-load and the back end have the other cpu. CPU time is what all of a
server's processes use in user space and in the kernel. A measure takes the servers in turn, round after round, and so does
OpenSSL in process: both ends in one thread over memory BIOs, of which the server's share counts. Ratios are taken round by
round, for machines are faster now and slower then; figures and ratios are medians.

Exit status: 0 all was measured, 1 something wasn't, and it says what, 2 a wrong command line. Aims are shown, not judged.
"""

import argparse
import contextlib
import dataclasses
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time

import load
import measures
import processes
import report
import servers
from processes import Failed

IN_PROCESS = "in process"


def first_there(*paths):
    return next((os.path.abspath(path) for path in paths if path and os.path.exists(path)), None)


# --- Programs ----------------------------------------------------------------------------------------------------------

@dataclasses.dataclass
class Programs:
    """What was built, with one libssl."""
    tlsagentd: str
    tlsagent: str
    in_process: str
    fd_relay: str
    openssl: str = "system"  # "newer": 3.5 or above, "other": not the system's, and older
    suffix: str = ""         # to names, where it isn't the system's

    def missing(self, *names):
        return next((f"there is no {name}" for name in names if getattr(self, name) is None), None)


def built(folder=None):
    """In folder, where TLSAGENT_OPENSSL had another libssl built in, or where Bazel puts them."""
    def find(name, *places):
        return first_there(os.path.join(folder, name)) if folder else first_there(*places)
    return Programs(
        tlsagentd=find("tlsagentd", os.environ.get("TLSAGENTD"), "server/tlsagentd"),
        tlsagent=find("tlsagent", os.environ.get("TLSAGENT_CLI"), "client/cli/tlsagent"),
        in_process=find("in_process", "tests/bench/peer/in_process"),
        fd_relay=find("fd_relay", "tests/bench/peer/fd_relay"))


class InProcess:
    """OpenSSL without a server: only some measures have it."""
    kind = short = IN_PROCESS

    def __init__(self, programs):
        self.program, self.openssl, self.name = programs.in_process, programs.openssl, IN_PROCESS + programs.suffix

    def missing(self):
        return None if self.program else "there is no in_process"

    def run(self, measure, seconds, cpus):
        process = processes.start([self.program, measure, str(seconds)], cpus, stdin=subprocess.DEVNULL,
                                  stdout=subprocess.PIPE)
        out, _ = process.communicate()
        if process.returncode != 0:
            raise Failed(f"in_process ended with {process.returncode}")
        return json.loads(out)

    def version(self):
        return self.run("ecdsa", 0.01, os.sched_getaffinity(0))["openssl"]

    def value(self, measure, seconds, cpus):
        told = self.run(measure, seconds, cpus)
        scale = told["operations_per_gib"] / 1e6 or 1
        return told["server_cpu_us"] * scale


# --- The bench ---------------------------------------------------------------------------------------------------------

class Bench:
    def __init__(self, options, folder, contenders):
        self.options, self.folder, self.size, self.contenders = options, folder, options.size, contenders
        self.values = {}        # {figure: {server: [a value for each round, None where it failed]}}
        self.notes = []         # what didn't go as it should
        self.others = []        # the share of the cpus that others had, of each turn
        self.back_ends = {}     # of each contender
        self.reached = {}       # {(measure, server): [how many connections to the back end a handshake made, in each turn]}
        self.turn_of = None     # the measure and the contender whose turn it is

    # What measures ask for.

    def start_load(self, running, *words, yields=False):
        return load.Load(self.options.load, {self.options.load_cpu}, running.port, words, self.folder,
                         yields and not self.options.smoke)  # where others work too, what yields may wait for long

    def wait_load(self, started):
        return started.wait()

    def load(self, running, *words):
        return self.start_load(running, *words).wait()

    def interrupt_load(self, started):
        started.interrupt()
        return started.wait()

    def await_back_end(self, count, started):
        load.await_open(self.back_ends[self.turn_of[1].name], count, started)

    def count_back_end(self):
        return self.back_ends[self.turn_of[1].name].count()["accepted"]

    def note_reached(self, share):
        self.reached.setdefault(tuple(one.name for one in self.turn_of), []).append(share)

    # The course of it.

    def run(self):
        listeners = {"echo": "echo", "source": f"source={self.size['bulk_bytes']}", "sink": "sink", "hold": "hold"}
        with contextlib.ExitStack() as stack:
            for index, contender in enumerate(self.servers()):
                back_end = load.BackEnd(self.options.backend, self.folder, {self.options.load_cpu}, index, listeners)
                stack.callback(back_end.stop)
                self.back_ends[contender.name] = back_end
            for measure in self.options.measures:
                self.measure(measure)

    def servers(self, measure=None):
        wanted = [one for one in self.contenders if one.kind != IN_PROCESS]
        return [one for one in wanted if measure is None or measure.workers == (1,) or one.has_workers]

    def setting(self, measure, contender, workers):
        back_end = self.back_ends[contender.name]
        cpus = {self.options.server_cpu} if workers == 1 else {self.options.server_cpu, self.options.load_cpu}
        chain, key = (os.path.join(self.folder, f"{measure.key}.{kind}") for kind in ("pem", "key"))
        return servers.Setting(self.folder, chain, key, back_end.to[measure.service], back_end.fds[measure.service],
                               measure.reuse, workers, cpus, self.size["idle"] + 1000)

    def start(self, stack, measure, contender):
        started = []
        for workers in measure.workers:
            started.append(contender.start(self.setting(measure, contender, workers)))
            stack.callback(started[-1].stop)
        return started

    def measure(self, measure):
        print(f"  {measure.name}: {measure.about}", file=sys.stderr)
        contenders = self.servers(measure)
        if measure.in_process:
            contenders = contenders + [one for one in self.contenders if one.kind == IN_PROCESS]
        with contextlib.ExitStack() as stack:
            running = {}
            for contender in contenders:
                if contender.kind != IN_PROCESS and not measure.fresh:
                    running[contender.name] = self.start_warm(stack, measure, contender)
            for number in range(min(self.options.rounds, measure.rounds_max)):
                # Who is first changes from round to round.
                first = number % max(len(contenders), 1)
                for contender in contenders[first:] + contenders[:first]:
                    if running.get(contender.name, True) is None:
                        continue
                    self.note(measure, contender, self.turn(measure, contender, running.get(contender.name)))

    def start_warm(self, stack, measure, contender):
        """What a server does once, it does here. None: it doesn't start."""
        try:
            started = self.start(stack, measure, contender)
            for one in started if not self.options.smoke else ():
                self.load(one, "handshake", "-c", 4, "-n", min(100, self.size["handshakes"]))
            return started
        except Failed as failed:
            self.fail(measure, contender, failed)
            return None

    def fail(self, measure, contender, why):
        self.notes.append(f"{measure.name}, {contender.name}: {why}")
        print(f"    {self.notes[-1]}", file=sys.stderr)

    def turn(self, measure, contender, running):
        """A value for each figure, or None for each."""
        self.turn_of = measure, contender
        pids = [pid for back_end in self.back_ends.values() for pid in [back_end.process.pid]] + [os.getpid()]
        others = processes.Others({self.options.server_cpu, self.options.load_cpu}, pids)
        try:
            if contender.kind == IN_PROCESS:
                return [contender.value(measure.name, self.size["seconds"] / 4, {self.options.server_cpu})]
            with contextlib.ExitStack() as stack:
                if measure.fresh:
                    running = self.start(stack, measure, contender)
                others.pids += [pid for one in running for pid in one.pids()]
                ended = children_nanos()
                others.look()
                values = measure.run(self, running)
                self.others.append(others.share(children_nanos() - ended))
                return values
        except Failed as failed:
            self.fail(measure, contender, failed)
            return [None] * len(measure.figures)

    def note(self, measure, contender, values):
        for figure, value in zip(measure.figures, values):
            self.values.setdefault(figure.name, {}).setdefault(contender.name, []).append(value)


def children_nanos():
    """The CPU time of processes that have ended, as loads do in a turn."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return int((used.ru_utime + used.ru_stime) * 1e9)


def make_certificates(folder):
    for key, words in (("ecdsa", ["ec", "-pkeyopt", "ec_paramgen_curve:P-256"]), ("rsa", ["rsa:2048"])):
        done = subprocess.run(["openssl", "req", "-x509", "-newkey", *words, "-nodes", "-days", "2",
                               "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost",
                               "-keyout", os.path.join(folder, f"{key}.key"), "-out", os.path.join(folder, f"{key}.pem")],
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        if done.returncode != 0:
            sys.exit(f"peers: openssl can't make a certificate: {done.stdout.decode()}")
    os.chmod(folder, 0o755)  # hitch's worker is nobody


# --- The command line --------------------------------------------------------------------------------------------------

def all_contenders():
    programs = built()
    found = [servers.Relay(programs), servers.FdRelay(programs), *(peer() for peer in servers.PEERS), InProcess(programs)]
    other = os.environ.get("PEERS_OTHER_BUILD")
    if other:
        programs = built(other)
        version = InProcess(programs).version().split()[1]
        programs.suffix = f", libssl {version}"
        programs.openssl = "newer" if tuple(map(int, version.split(".")[:2])) >= (3, 5) else "other"
        found += [servers.Relay(programs), servers.FdRelay(programs), InProcess(programs)]
    return found


def parse(arguments):
    parser = argparse.ArgumentParser(prog="tests/bench/peers", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    names = [measure.name for measure in measures.MEASURES]
    add = parser.add_argument
    add("--only", action="append", metavar="MEASURE", help="may be repeated, or a list with commas: " + ", ".join(names))
    add("--servers", metavar="LIST",
        help="with commas: tlsagent, fd (by descriptors), haproxy, nginx, hitch, stunnel, in process; default: all")
    add("--rounds", type=int, metavar="N", help=f"default {measures.FULL['rounds']}; of --quick, {measures.QUICK['rounds']}")
    add("--idle", type=int, metavar="N", help=f"idle connections, default {measures.FULL['idle']}")
    add("--quick", action="store_true", help="less of everything: a minute or two")
    add("--smoke", action="store_true", help="does every server serve TLS? Its figures say nothing")
    add("--html", metavar="FILE", help="a page to show")
    add("--json", metavar="FILE", help="all values of all rounds; - is stdout, in place of the table")
    add("--keep", action="store_true", help="leave the servers' configurations and logs behind")
    add("--server-cpu", type=int, metavar="N", help="default: the first")
    add("--load-cpu", type=int, metavar="N", help="default: the last")
    options = parser.parse_args(arguments)
    only = [name for text in options.only or [] for name in text.split(",")]
    unknown_servers = set((options.servers or "").split(",")) - {"", *(one.short for one in all_contenders())}
    if unknown_servers:
        parser.error(f"there is no server {', '.join(sorted(unknown_servers))}: see --help")
    unknown = set(only) - set(names)
    if unknown:
        parser.error(f"there is no measure {', '.join(sorted(unknown))}: see --help")
    options.measures = [measure for measure in measures.MEASURES if not only or measure.name in only]
    options.size = dict(measures.SMOKE if options.smoke else measures.QUICK if options.quick else measures.FULL)
    options.size["idle"] = options.idle or options.size["idle"]
    options.rounds = options.rounds or options.size["rounds"]
    cpus = sorted(os.sched_getaffinity(0))
    options.server_cpu = cpus[0] if options.server_cpu is None else options.server_cpu
    options.load_cpu = cpus[-1] if options.load_cpu is None else options.load_cpu
    options.backend = first_there("tests/bench/peer/backend")
    options.load = first_there(os.environ.get("TLSAGENT_LOAD"), "client/load/tlsagent-load")
    if options.backend is None or options.load is None:
        parser.error("the back end or tlsagent-load isn't there: tests/bench/peers builds them")
    return options


def wanted_contenders(options):
    wanted = options.servers.split(",") if options.servers else None
    found = []
    for contender in all_contenders():
        if wanted is not None and contender.short not in wanted:
            continue
        why = contender.missing()
        if why:
            print(f"peers: without {contender.name}: {why}", file=sys.stderr)
        else:
            found.append(contender)
    return found


def main():
    options = parse(sys.argv[1:])
    processes.raise_limits()
    contenders = wanted_contenders(options)
    began = time.time()
    with contextlib.ExitStack() as stack:
        if not options.smoke:
            stack.enter_context(processes.urgent())
        folder = tempfile.mkdtemp(prefix="tlsagent-peers-")
        if options.keep:
            print(f"peers: {folder} has what the servers were told and what they said", file=sys.stderr)
        else:
            stack.callback(shutil.rmtree, folder)
        make_certificates(folder)
        os.sched_setaffinity(0, {options.load_cpu})
        bench = Bench(options, folder, contenders)
        bench.run()
        told = report.tell(bench, began)
    if options.smoke:
        print("Served TLS in every measure: " + ", ".join(one.name for one in contenders) if not bench.notes else "Failed.")
    else:
        report.write(told, options)
    return 1 if bench.notes else 0


if __name__ == "__main__":
    sys.exit(main())
