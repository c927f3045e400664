#!/usr/bin/python3
"""CPython's own tests of everything that speaks TLS, once with Python's own _ssl and once with tlsagent's. Both must say
the same of every test: what passes, passes; what is skipped is skipped for the same reason. No test is left out, and no
file of the suite is changed.

  tests/python/suites.py [--suite NAME...] [--match TEXT] [--python PROGRAM] [--keep-logs FOLDER] [--json FILE]

Each suite runs in a process, a folder and beside a tlsagentd of its own. A test that hangs or kills its process is named,
and the rest of its suite is run by another process. Tests that differ are run again, alone on the machine, before they
count: some of CPython's depend on how busy it is. The exit status is 0 when nothing differs, 1 when something does.

Under Bazel the programs are found in the runfiles. Without it: --daemon, --module-dir, or TLSAGENTD, TLSAGENT_PYTHON_DIR.
"""

import argparse
import collections
import concurrent.futures
import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET

HERE = os.path.dirname(os.path.abspath(__file__))
ONE_SUITE = os.path.join(HERE, "one_suite.py")
MODULE = "_ssl.abi3.so"

# What is found by its imports is run, and this, which speaks no TLS but is of the family.
BESIDE = ["test.test_socketserver"]

# They call for a network and mean the loopback.
LOOPBACK = ["test.test_socketserver"]

# They are begun first, so that none is left alone at the end. A wrong guess costs time only.
LONGEST = ["test.test_ssl", "test.test_imaplib", "test.test_xmlrpc", "test.test_logging", "test.test_asyncio.test_tasks"]

STOCK, OURS = "stock", "ours"

# Tests wait most of their time: more processes than cores don't slow them down.
JOBS = min(16, 3 * len(os.sched_getaffinity(0)))

# How a test ends that its process doesn't outlive.
STOPPED = ("hangs", "ends its process")

AGAIN = 3  # times that a test which differs is run alone
AGAIN_MAX = 40  # tests of a suite: where more differ, it is no chance
HANGS_MAX = 12  # of a suite; the rest of its tests count as not run
GRACE = 10  # seconds that a process may take to die, or to write down where it hangs

SANITIZER = re.compile(r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|LeakSanitizer|Assertion .* failed")


class Wrong(Exception):
    """The tests can't be run at all."""


# --- The daemon --------------------------------------------------------------------------------------------------------

class Daemon:
    """A tlsagentd for one process of tests. What it says and how it ends is a result like theirs."""

    def __init__(self, program, folder):
        self.path = os.path.join(folder, "agent.sock")
        self.log = os.path.join(folder, "tlsagentd.log")
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen([program, "--listen", "unix:" + self.path, "--drain-timeout", "2"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + 30
        while not (os.path.exists(self.path) and "ready" in self.said()):
            if self.process.poll() is not None or time.monotonic() > end:
                raise Wrong(f"tlsagentd doesn't start:\n{self.said()}")
            time.sleep(0.005)

    def said(self):
        with open(self.log, encoding="utf-8", errors="replace") as log:
            return log.read()

    def stop(self):
        """"" when it ended well, else what was wrong."""
        died = self.process.poll()
        self.process.terminate()
        try:
            code = self.process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            return "tlsagentd didn't end on SIGTERM"
        report = SANITIZER.search(self.said())
        if died is not None or code != 0 or report:
            return f"tlsagentd ended with {code}{' by itself' if died is not None else ''}: {self.said()[-2000:]}"
        return ""


# --- One suite, by one Python ------------------------------------------------------------------------------------------

class Run:
    """A suite, or some of its tests, with one _ssl. results: {test: outcome event}."""

    def __init__(self, options, side, suite, only=None, label=""):
        self.options, self.side, self.suite, self.only = options, side, suite, only
        self.folder = os.path.join(options.logs, f"{suite}.{side}{label}")
        self.results, self.num_unraisable, self.seconds, self.hangs = {}, 0, 0.0, 0

    def note(self, test, outcome, detail="", **fields):
        fields = {"failed_subtests": [], "num_subtests": 0, "seconds": 0.0, **fields}
        self.results[test] = {"outcome": outcome, "detail": detail, **fields}

    def run(self):
        start = time.monotonic()
        os.makedirs(self.folder)
        with tempfile.TemporaryDirectory(prefix="tlsagent-suite-", ignore_cleanup_errors=True) as work:
            self.rounds(work)
        self.seconds = time.monotonic() - start
        return self

    def rounds(self, work):
        """One process, and after a hang or a crash another one for what is left."""
        number = 0
        while True:
            number += 1
            process = Process(self, os.path.join(work, str(number)), number)
            stopped_in = process.run()
            if stopped_in is None:
                return
            self.hangs += 1
            if self.hangs == HANGS_MAX:
                self.note(f"{self.suite} (the rest)", "not run", f"after {HANGS_MAX} tests that hung or crashed")
                return


class Process:
    """One process that runs tests, until it ends or hangs."""

    def __init__(self, run, folder, number):
        self.run_, self.options, self.folder = run, run.options, folder
        os.makedirs(os.path.join(folder, "tmp"))
        self.ours = run.side == OURS and not run.options.both_stock
        self.events_path = os.path.join(run.folder, f"events.{number}")
        self.log_path = os.path.join(run.folder, f"log.{number}")
        self.running, self.ended, self.read_to = None, False, 0
        open(self.events_path, "wb").close()

    def environment(self, daemon):
        """The same for both sides but for the module and its daemon."""
        kept = {name: value for name, value in os.environ.items()
                if not name.startswith(("PYTHON", "TLSAGENT", "SSL_CERT", "SSLKEYLOG")) and "proxy" not in name.lower()}
        kept.update(HOME=self.folder, TMPDIR=os.path.join(self.folder, "tmp"), LC_ALL="C.UTF-8", TZ="EST5EDT,M3.2.0,M11.1.0")
        if self.ours:
            kept.update(PYTHONPATH=self.options.module_dir, TLSAGENT_SOCKET="unix:" + daemon.path)
        return kept

    def write_order(self):
        path = os.path.join(self.folder, "order")
        order = {"suite": self.run_.suite, "match": self.options.match, "only": self.run_.only,
                 "done": list(self.run_.results), "network": self.options.network or self.run_.suite in LOOPBACK,
                 "module_dir": self.options.module_dir if self.ours else None}
        with open(path, "w", encoding="utf-8") as file:
            json.dump(order, file)
        return path

    def run(self):
        """None when all was run; else the test in which it stopped."""
        daemon = Daemon(self.options.daemon, self.folder) if self.ours else None
        try:
            code, hung = self.run_python(daemon)
        finally:
            complaint = daemon.stop() if daemon else ""
        if complaint:
            self.run_.note(f"{self.run_.suite} (its tlsagentd)", "error", complaint)
        return self.judge(code, hung)

    def run_python(self, daemon):
        command = [self.options.python, "-X", "faulthandler", ONE_SUITE, "run", self.write_order(), self.events_path]
        with open(self.log_path, "ab") as log:
            child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
                                     cwd=os.path.join(self.folder, "tmp"), env=self.environment(daemon))
        try:
            return self.watch(child)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGKILL)  # what it left behind, too
            child.wait()

    def watch(self, child):
        """(exit status, whether it hung)."""
        last = time.monotonic()
        while True:
            code = child.poll()
            if self.read_events():
                last = time.monotonic()
            if code is not None:
                return code, False
            if time.monotonic() - last > self.options.timeout:
                child.send_signal(signal.SIGABRT)  # faulthandler tells where every thread is
                with contextlib.suppress(subprocess.TimeoutExpired):
                    child.wait(GRACE)
                return None, True
            time.sleep(0.05)

    def read_events(self):
        """Whether there were any."""
        with open(self.events_path, "rb") as file:
            file.seek(self.read_to)
            lines = file.read().split(b"\n")
        for line in lines[:-1]:
            self.read_to += len(line) + 1
            self.take(json.loads(line))
        return len(lines) > 1

    def take(self, event):
        kind = event.pop("event")
        if kind == "start":
            self.running = event["test"]
        elif kind == "outcome":
            self.running = None
            while event["test"] in self.run_.results:
                event["test"] += " again"  # two of one name
            self.run_.note(**event)
        elif kind == "unraisable":
            self.run_.num_unraisable += 1
        elif kind == "wrong":
            self.run_.note(f"{self.run_.suite} (its process)", "error", event["detail"])
        elif kind == "end":
            self.ended = True

    def judge(self, code, hung):
        """Notes how it stopped, if it did; gives the test that it stopped in."""
        if self.ended and code == 0:
            return None
        how = STOPPED[0] if hung else f"{STOPPED[1]} with {code}"
        where = f"{self.run_.suite} (ending)" if self.ended else self.running or f"{self.run_.suite} (between tests)"
        again = where in self.run_.results
        self.run_.note(where, how, self.log_end())
        return None if self.ended or again or self.running is None else where

    def log_end(self):
        with open(self.log_path, "rb") as log:
            log.seek(max(0, os.path.getsize(self.log_path) - 6000))
            return log.read().decode(errors="replace")


# --- Both, and what is different ---------------------------------------------------------------------------------------

def essence(result):
    """What has to be the same. Of failures not the text: there are line numbers in it."""
    if result is None:
        return ("not run",)
    reason = result["detail"] if result["outcome"] == "skipped" else ""
    return (result["outcome"], reason, tuple(result["failed_subtests"]), result["num_subtests"])


def different(stock, ours):
    tests = list(dict.fromkeys([*stock.results, *ours.results]))
    return [test for test in tests if essence(stock.results.get(test)) != essence(ours.results.get(test))]


class Comparison:
    """A suite on both sides, and the tests that were run again because they differed at first."""

    def __init__(self, options, suite):
        self.options, self.suite = options, suite
        self.runs = {}
        self.differences, self.settled = [], {}

    def sides(self):
        return self.runs[STOCK], self.runs[OURS]

    def tests(self):
        return list(dict.fromkeys(test for run in self.sides() for test in run.results))

    def both(self, only, label):
        """Both sides at a time: nothing else runs, and they are the same load for each other."""
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda side: Run(self.options, side, self.suite, only, label).run(), (STOCK, OURS)))

    def compare(self):
        self.differences = different(*self.sides())
        if self.options.again and 0 < len(self.differences) <= AGAIN_MAX:
            self.compare_again()

    def compare_again(self):
        """Each such test alone, some times; and if that settles it, once more as a whole. Chance is what comes out the
        same on both sides in the end; what only ever differs in company, or not always, is none, and a hang never is."""
        doubtful = [test for test in self.differences if self.is_doubtful(test)]
        alone = [self.both(doubtful, f".alone{number}") for number in range(1, AGAIN + 1)] if doubtful else []
        settled = [test for test in doubtful if self.is_settled(test, alone)]
        if settled and len(settled) == len(self.differences):
            stock, ours = self.both(None, ".again")
            settled = [test for test in settled if test not in different(stock, ours)]
        for test in settled:
            self.settled[test] = len(alone) + 2
        self.differences = [test for test in self.differences if test not in settled]

    def is_doubtful(self, test):
        """It is a test, not a class or a process, and it ended on both sides."""
        return not test.endswith(")") and all(
            test in run.results and not run.results[test]["outcome"].startswith(STOPPED) for run in self.sides())

    @staticmethod
    def is_settled(test, alone):
        stock = {essence(pair[0].results.get(test)) for pair in alone}
        ours = {essence(pair[1].results.get(test)) for pair in alone}
        return ours <= stock


def run_all(options, suites):
    """Every suite on both sides, many at a time; a list of Comparison."""
    comparisons = [Comparison(options, suite) for suite in suites]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        begun = {pool.submit(Run(options, side, one.suite).run): one for one in comparisons for side in (STOCK, OURS)}
        for done in concurrent.futures.as_completed(begun):
            one, run = begun[done], done.result()
            one.runs[run.side] = run
            if len(one.runs) == 2:
                print_progress(one)
    for one in comparisons:
        one.compare()
    return comparisons


# --- Telling -----------------------------------------------------------------------------------------------------------

def outcomes(run):
    count = collections.Counter(result["outcome"] for result in run.results.values())
    well = count["passed"] + count["expected failure"]
    return well, count["skipped"], sum(count.values()) - well - count["skipped"]


def print_progress(one):
    print(f"  {one.suite.removeprefix('test.')}: {len(one.tests())} tests, {len(different(*one.sides()))} differ at first, "
          f"{one.runs[STOCK].seconds:.0f} s and {one.runs[OURS].seconds:.0f} s", flush=True)


def print_table(comparisons):
    heads = ["suite", "tests", "stock: passed", "skipped", "failed", "s", "ours: passed", "skipped", "failed", "s",
             "differ"]
    print(f"\n{heads[0]:<36}", *(f"{head:>{max(7, len(head))}}" for head in heads[1:]))
    total = [0] * 10
    for one in comparisons:
        row = [len(one.tests())]
        for run in one.sides():
            row += [*outcomes(run), run.seconds]
        row.append(len(one.differences))
        total = [a + b for a, b in zip(total, row)]
        print_row(heads, one.suite.removeprefix("test."), row)
    print_row(heads, "all", total)


def print_row(heads, name, row):
    cells = [f"{value:.1f}" if isinstance(value, float) else str(value) for value in row]
    print(f"{name:<36}", *(f"{cell:>{max(7, len(head))}}" for head, cell in zip(heads[1:], cells)))


def describe(result):
    if result is None:
        return "isn't run"
    subtests = f", {result['num_subtests']} subtests" if result["num_subtests"] else ""
    failed = f", of these failed: {', '.join(result['failed_subtests'])}" if result["failed_subtests"] else ""
    reason = f" ({result['detail']})" if result["outcome"] == "skipped" else ""
    return f"{result['outcome']}{reason}{subtests}{failed}"


def print_differences(comparisons):
    for one in comparisons:
        stock, ours = one.sides()
        for test, times in one.settled.items():
            print(f"\nrun again, {times} times in all, and then the same: {test}: at first stock "
                  f"{describe(stock.results.get(test))}, ours {describe(ours.results.get(test))}")
        for test in one.differences:
            print(f"\nDIFFERENT {test}\n  stock: {describe(stock.results.get(test))}\n"
                  f"  ours:  {describe(ours.results.get(test))}")
            shown = ours.results.get(test) or stock.results.get(test)
            if shown["outcome"] not in ("passed", "skipped"):
                print("".join(f"    {line}\n" for line in shown["detail"].strip().split("\n")[-30:]), end="")
        if stock.num_unraisable != ours.num_unraisable:
            print(f"\nnote: exceptions that nobody could catch in {one.suite}: {stock.num_unraisable} with stock, "
                  f"{ours.num_unraisable} with ours")


def write_json(path, comparisons):
    told = [{"suite": one.suite, "differences": one.differences, "run_again": one.settled,
             **{run.side: {"seconds": round(run.seconds, 1), "unraisable": run.num_unraisable, "results": run.results}
                for run in one.sides()}} for one in comparisons]
    with open(path, "w", encoding="utf-8") as file:
        json.dump(told, file, indent=1)


def printable(text):
    """XML 1.0 has no escape for most control characters."""
    return "".join(c if c in "\t\n\r" or " " <= c < "\ufffe" and not "\ud800" <= c <= "\udfff" else "?" for c in text)


def write_xml(path, comparisons):
    """Each test compared is a case, for Bazel and tools/test to count."""
    root = ET.Element("testsuites")
    for one in comparisons:
        stock, ours = one.sides()
        suite = ET.SubElement(root, "testsuite", name=one.suite, tests=str(len(one.tests())),
                              failures=str(len(one.differences)))
        for test in one.tests():
            name = printable(test.removeprefix(one.suite + "."))
            case = ET.SubElement(suite, "testcase", classname=one.suite, name=name)
            if test in one.differences:
                words = f"stock: {describe(stock.results.get(test))}; ours: {describe(ours.results.get(test))}"
                ET.SubElement(case, "failure", message=printable(words))
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


# --- The command line --------------------------------------------------------------------------------------------------

def first_there(*paths):
    return next((os.path.abspath(path) for path in paths if path and os.path.exists(path)), None)


def parse(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--suite", action="append", default=[], metavar="NAME",
        help="test_ssl, test_asyncio, test_asyncio.test_ssl; again for more")
    add("--match", default="", metavar="TEXT", help="only tests whose name contains it")
    add("--python", default="/usr/bin/python3", metavar="PROGRAM", help="whose suites (default: %(default)s)")
    add("--daemon", default=first_there(os.environ.get("TLSAGENTD"), "server/tlsagentd"), metavar="FILE", help="tlsagentd")
    add("--module-dir", default=first_there(os.environ.get("TLSAGENT_PYTHON_DIR"), "client/python"), metavar="FOLDER",
        help=f"where {MODULE} is")
    add("--jobs", type=int, default=JOBS, metavar="N", help="processes at a time (default: %(default)s)")
    add("--timeout", type=float, default=60, metavar="SECONDS", help="a test that takes longer hangs (default: %(default)s)")
    add("--network", action="store_true", help="with the tests that need the Internet")
    add("--both-stock", action="store_true", help="Python's own _ssl on both sides: how steady are the tests?")
    add("--once", dest="again", action="store_false", help="don't run again what differs")
    add("--list", action="store_true", help="print the suites that would be run")
    add("--json", metavar="FILE", help="write every result there")
    add("--keep-logs", metavar="FOLDER", help="keep what every process said there")
    return parser.parse_args(arguments)


def check_options(options):
    if options.both_stock:
        return
    if options.daemon is None:
        raise Wrong("which tlsagentd? say --daemon FILE")
    if options.module_dir is None or not os.path.exists(os.path.join(options.module_dir, MODULE)):
        raise Wrong(f"{options.module_dir or 'nowhere'} has no {MODULE}: say --module-dir FOLDER, or --both-stock")
    options.daemon = os.path.abspath(options.daemon)
    options.module_dir = os.path.dirname(os.path.realpath(os.path.join(options.module_dir, MODULE)))  # no link


def find_suites(options):
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    done = subprocess.run([options.python, ONE_SUITE, "find"], stdout=subprocess.PIPE, text=True, env=environment)
    if done.returncode != 0:
        raise Wrong(f"{options.python} can't say which suites speak TLS")
    found = sorted({*json.loads(done.stdout), *BESIDE})
    names = ["test." + name.removeprefix("test.") for name in options.suite]
    suites = [suite for suite in found if not names or any(f"{suite}.".startswith(f"{name}.") for name in names)]
    unknown = [name for name in names if not any(f"{suite}.".startswith(f"{name}.") for suite in suites)]
    if unknown:
        raise Wrong(f"no such suite: {', '.join(unknown)}; --list lists them")
    return sorted(suites, key=lambda suite: suite not in LONGEST)


def test(options):
    check_options(options)
    suites = find_suites(options)
    if options.list:
        print("\n".join(suites))
        return 0
    print(f"{len(suites)} suites of {options.python}, {options.jobs} processes at a time", flush=True)
    comparisons = sorted(run_all(options, suites), key=lambda one: one.suite)
    print_table(comparisons)
    print_differences(comparisons)
    if options.json:
        write_json(options.json, comparisons)
    if "XML_OUTPUT_FILE" in os.environ:
        write_xml(os.environ["XML_OUTPUT_FILE"], comparisons)
    failed = sum(len(one.differences) for one in comparisons)
    print(f"\n{sum(len(one.tests()) for one in comparisons) - failed} passed, {failed} failed")
    return 1 if failed else 0


def main():
    options = parse(sys.argv[1:])
    options.logs = tempfile.mkdtemp(prefix="tlsagent-suites-")
    try:
        sys.exit(test(options))
    except Wrong as wrong:
        sys.exit(f"suites.py: {wrong}")
    finally:
        if options.keep_logs:
            shutil.copytree(options.logs, options.keep_logs, dirs_exist_ok=True)
        shutil.rmtree(options.logs, ignore_errors=True)


if __name__ == "__main__":
    main()
