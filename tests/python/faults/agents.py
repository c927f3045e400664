"""A tlsagentd of a program's own. Nothing here needs TLS: it is there before `_ssl` can be imported."""

import contextlib
import os
import socket
import subprocess
import time

PATIENCE = 20


def eventually(condition, what):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, f"never happened: {what}"
        time.sleep(0.005)


class Agent:
    """A tlsagentd that a program kills and starts, at TLSAGENT_SOCKET."""

    def __init__(self):
        self.path = os.environ["TLSAGENT_SOCKET"].removeprefix("unix:")
        self.process = None

    def start(self):
        self.kill()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.path)
        names = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
        self.process = subprocess.Popen([os.environ["TLSAGENTD"], "--workers", "2", "--listen", "unix:" + self.path],
                                        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                                        env=names)
        eventually(self.listens, "the daemon listens")
        return self

    def listens(self):
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(self.path) == 0

    def kill(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None
            eventually(self.has_let_go, "the kernel has closed the daemon's sockets")

    def has_let_go(self):
        """A ring is taken down after its process: until then a connection seems to live, and who uses it is told of its
        end by that call."""
        with open("/proc/net/unix", encoding="ascii") as sockets:
            return not any(line.rstrip().endswith(self.path) for line in sockets)
