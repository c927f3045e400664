"""tlsagentd under test: started on a private socket, watched, and stopped with its exit and its stderr checked."""

import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import timing
from ttrpc_client import Client, ConnectionLost, RpcError, dial

SANITIZER_REPORT = re.compile(
    r"ERROR: \w+Sanitizer|WARNING: \w+Sanitizer|runtime error:|SUMMARY: \w+Sanitizer|LeakSanitizer|"
    r"Assertion .* failed|BUFFER OVERFLOW|double free")


def program():
    return os.environ["TLSAGENTD"]


def run(*args, **kwargs):
    """Runs the daemon as a command that ends by itself, such as --help. CompletedProcess with text."""
    return subprocess.run([program(), *args], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                          timeout=timing.PATIENCE, **kwargs)


class Daemon:
    """One tlsagentd. Stop it with stop(), which raises AssertionError when it ended badly."""

    def __init__(self, *args, listen=None, workers=2, **popen):
        """listen replaces the private socket: a list of --listen values, [] for none at all."""
        self.directory = tempfile.mkdtemp(prefix="tlsagent-e2e-")
        os.chmod(self.directory, 0o755)
        self.path = os.path.join(self.directory, "agent.sock")
        self.log_path = os.path.join(self.directory, "stderr")
        listen = ["unix:" + self.path] if listen is None else listen
        self.command = [program(), "--workers", str(workers)]
        self.command += [word for value in listen for word in ("--listen", value)]
        self.command += args
        # What is made by no client: with --listen-tls, whose the handshakes are.
        self.of_its_own = {"client": 1, "context": 1} if "--listen-tls" in args else {}
        self.popen = popen
        self.process = None

    def start(self, address=None):
        """Starts it, and waits until it takes connections at the address (the private socket if not given)."""
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            **self.popen)
        try:
            timing.eventually(lambda: self.takes_connections(address or self.path), "the daemon listens")
        except AssertionError as never:
            log = self.log()
            self.kill()
            raise AssertionError(f"{never}; it said:\n{log}") from None
        return self

    def takes_connections(self, address):
        if self.process.poll() is not None:
            raise AssertionError(f"the daemon ended with {self.process.returncode}")
        try:
            with Client(address) as client:
                client.agent.Ping()
        except (OSError, ConnectionLost):
            return False
        except RpcError:
            return True  # it has a word with us, at least
        return True

    def client(self, token=None):
        return Client(self.path, token)

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def log(self):
        with open(self.log_path, errors="replace") as log:
            return log.read()

    def status(self, field):
        """A line of /proc/PID/status, as text."""
        with open(f"/proc/{self.pid}/status") as lines:
            for line in lines:
                name, _, value = line.partition(":")
                if name == field:
                    return value.strip()
        raise KeyError(field)

    def rss_bytes(self):
        return int(self.status("VmRSS").split()[0]) * 1024

    def num_fds(self):
        """Descriptors the daemon has open, or None when we may not look (it is not dumpable, and we are not root)."""
        try:
            return len(os.listdir(f"/proc/{self.pid}/fd"))
        except PermissionError:
            return None

    def counters(self):
        with self.client() as rpc:
            return {counter.name: counter.value for counter in rpc.agent.Counters().counters}

    def leftovers(self):
        """What clients made that is still there, as {kind: number}; our own asking is not counted."""
        now = self.counters()
        left = {kind: now[f"{kind}s_made"] - now[f"{kind}s_{end}"]
                for kind, end in (("session", "freed"), ("context", "freed"), ("client", "ended"))}
        left["client"] -= 1
        left = {kind: number - self.of_its_own.get(kind, 0) for kind, number in left.items()}
        left["connection"] = now["connections_accepted"] - now["connections_closed"] - 1
        return {kind: number for kind, number in left.items() if number}

    def wait_idle(self):
        """Waits until nothing that a client made is left."""
        left = {}

        def idle():
            left.clear()
            left.update(self.leftovers())
            return not left

        try:
            timing.eventually(idle, "the daemon is idle")
        except AssertionError:
            raise AssertionError(f"left behind in the daemon: {left}") from None

    def send_signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        """Ends it at once, without any check."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
        if self.process is not None:
            self.process.wait()
        shutil.rmtree(self.directory, ignore_errors=True)

    def wait(self):
        """Its exit code."""
        return self.process.wait(timing.PATIENCE)

    def stop(self):
        """SIGTERM, and then: exit code 0, nothing from a sanitizer, no socket file left."""
        try:
            if self.alive():
                self.send_signal(signal.SIGTERM)
            code = self.wait()
            log = self.log()
            assert code == 0, f"the daemon ended with {code} and said:\n{log}"
            report = SANITIZER_REPORT.search(log)
            assert not report, f"the daemon said:\n{log}"
            assert not os.path.exists(self.path), "the daemon left its socket file"
        finally:
            self.kill()


def is_closed(client, seconds=timing.PATIENCE):
    """Whether the daemon closes this connection (reading until it does)."""
    client.sock.settimeout(seconds)
    try:
        while True:
            client.read_frame()
    except (ConnectionLost, ConnectionError):
        return True
    except TimeoutError:
        return False


def settled(read, tries=200):
    """The value of a gauge once it no longer changes from one look to the next few."""
    last, same = read(), 0
    for _ in range(tries):
        time.sleep(0.01)
        now = read()
        same = same + 1 if now == last else 0
        last = now
        if same == 10:
            break
    return last
