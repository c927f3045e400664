"""Everything that can go wrong around a connection, with CPython's ssl on our _ssl; programs of their own in faults/.

A crash there ends a program and not this test. They run with warnings as errors, and must say nothing on stderr. With
TLSAGENT_FAULTS_LONG they take minutes; TLSAGENT_FAULTS_PYTHON names another interpreter, TLSAGENT_FAULTS_MODULE another
folder of _ssl, and TLSAGENT_FAULTS_PRELOAD what a sanitizer of that one needs.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile

import pki
import timing
from e2e import Cases, E2ETest, each

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "faults")
PYTHON = os.environ.get("TLSAGENT_FAULTS_PYTHON", "/usr/bin/python3")
PYTHON_3_13 = shutil.which("python3.13", path="/usr/local/bin:/usr/bin")
MODULE = os.environ.get("TLSAGENT_FAULTS_MODULE") or os.environ["TLSAGENT_PYTHON_DIR"]
PRELOAD = os.environ.get("TLSAGENT_FAULTS_PRELOAD", "")
SECONDS = 900 if "TLSAGENT_FAULTS_LONG" in os.environ else 4 * timing.PATIENCE


def cases(program, *prefixes):
    """What a program can do."""
    with open(os.path.join(FOLDER, program + ".py"), encoding="utf-8") as file:
        names = re.findall(r"^def case_(\w+)\(", file.read(), re.M)
    return [name for name in names if not prefixes or name.startswith(prefixes)]


def environment(path, stock):
    pair = pki.server("ecdsa")
    names = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    names.update(TLSAGENT_FAULTS_CHAIN=pair.chain_path, TLSAGENT_FAULTS_KEY=pair.key_path,
                 TLSAGENT_FAULTS_CA=pki.root().path, PYTHONDONTWRITEBYTECODE="1")
    if stock:
        return {**names, "TLSAGENT_FAULTS_STOCK": "1"}
    names.update(TLSAGENT_SOCKET="unix:" + path, PYTHONPATH=MODULE)
    if PRELOAD:
        names.update(LD_PRELOAD=PRELOAD, PYTHONMALLOC="malloc", ASAN_OPTIONS="detect_leaks=0")
    return names


def run(case, program, name, path, stock=False, python=PYTHON):
    """What it told, if it ended well and quietly."""
    command = [python, "-X", "dev", "-W", "error", os.path.join(FOLDER, program + ".py"), name]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS,
                          env=environment(path, stock))
    case.maxDiff = None
    case.assertEqual((done.returncode, done.stderr), (0, ""), f"{program} {name}, {'stock' if stock else 'ours'}")
    return json.loads(done.stdout)


class Kills(Cases):
    """Each with a daemon of its own, which it kills."""

    @each(case=cases("kills"))
    def test_the_daemon_is_killed(self, case):
        with tempfile.TemporaryDirectory(prefix="tlsagent-faults-") as folder:
            run(self, "kills", case, os.path.join(folder, "agent.sock"))


class Programs(E2ETest):
    """With one daemon, in which nothing of them is left."""

    def setUp(self):
        super().setUp()
        self.rpc.close()  # the daemon is to be idle

    def run_ours(self, program, name, **more):
        value = run(self, program, name, self.daemon.path, **more)
        self.daemon.wait_idle()
        return value

    def run_both(self, program, name, **more):
        """What they tell is also what CPython's own _ssl makes of it."""
        ours = self.run_ours(program, name, **more)
        self.assertEqual(ours, run(self, program, name, self.daemon.path, stock=True, **more))

    @each(case=cases("threads"))
    def test_threads(self, case):
        """What two of them get from one connection is defined, in part."""
        defined = case == "a_hello_that_fails_as_a_setting_changes" or "reader" in case
        (self.run_both if defined else self.run_ours)("threads", case)

    @each(case=cases("forks"))
    def test_forks(self, case):
        if PRELOAD and case == "fork_while_threads_are_in_calls":
            self.skipTest("the allocator of clang 14's sanitizer may be locked in a child for ever")
        self.run_ours("forks", case)

    @each(case=cases("signals"))
    def test_signals(self, case):
        self.run_ours("signals", case)

    @each(case=cases("ends"))
    def test_ends(self, case):
        self.run_ours("ends", case)

    @each(case=cases("objects"))
    def test_objects(self, case):
        """Neither side grows; the daemon is as idle as it was, and has not much more memory than for one at a time."""
        before = self.daemon.rss_bytes()
        self.run_ours("objects", case)
        if not timing.SANITIZER:
            self.assertLess(self.daemon.rss_bytes() - before, 64 << 20)

    @each(case=cases("decisions", "messages", "sni"))
    def test_decisions(self, case):
        if case == "sni_reads_and_writes":  # for ever, in CPython's own
            self.run_ours("decisions", case)
        else:
            self.run_both("decisions", case)

    @each(case=cases("decisions", "psk"))
    def test_decisions_about_keys(self, case):
        if PYTHON_3_13 is None:
            self.skipTest("only Python 3.13 and newer have them, and there is none")
        self.run_ours("decisions", case, python=PYTHON_3_13)

    @each(case=cases("wire"))
    def test_wire(self, case):
        self.run_both("wire", case)
