"""What stands around a server: tlsagent-load before it and the plaintext back end behind it, both on the other cpu."""

import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time

import processes
import servers
from processes import Failed

PATIENCE = 120  # seconds that a load may take longer than it was told to
ADDRESSES = 200  # 127.0.0.2 and on: every server has back ends of its own, and so ports of its own towards them


class BackEnd:
    """One process of backend.c. listeners: {service: how it is called there}."""

    def __init__(self, program, folder, cpus, index, listeners):
        host = f"127.0.0.{2 + index % ADDRESSES}"
        self.fds = {name: os.path.join(folder, f"back-{index}-{name}.sock") for name in listeners}
        words = [f"{service}:{host}:0" for service in (*listeners.values(), "count")]
        words += [f"{listeners[name]}:fds:{path}" for name, path in self.fds.items()]
        self.process = processes.start([program, *words], cpus, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        ports = [self.process.stdout.readline().strip() for _ in words]
        if not all(ports):
            sys.exit("peers: the back end doesn't start")
        self.to = {name: (host, int(port)) for name, port in zip((*listeners, "count"), ports)}

    def count(self):
        with socket.create_connection(self.to["count"]) as connection:
            return json.loads(connection.makefile().read())

    def stop(self):
        self.process.stdin.close()
        self.process.wait()
        self.process.stdout.close()


class Load:
    """A run of tlsagent-load that has been started."""

    def __init__(self, program, cpus, port, words, folder, yields):
        self.out = tempfile.NamedTemporaryFile(dir=folder, prefix="load-", suffix=".json")
        self.log = tempfile.TemporaryFile(dir=folder)
        command = [program, "--workload", *map(str, words), "--workers", "1", "--tls-min", "1.3", "--groups", servers.GROUP,
                   "--ciphersuites", servers.SUITE, "--insecure", "--sni", "localhost", "--quiet", "--json", self.out.name,
                   f"{servers.HOST}:{port}"]
        self.process = processes.start(command, cpus, yields, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                       stderr=self.log)

    def alive(self):
        return self.process.poll() is None

    def interrupt(self):
        if self.alive():
            self.process.send_signal(signal.SIGINT)

    def wait(self):
        """Its report, as docs/LOAD.md has it."""
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        with self.out, self.log:
            self.log.seek(0)
            said = self.log.read().decode(errors="replace").strip()
            text = self.out.read()
        if self.process.returncode != 0 or not text:
            raise Failed(f"tlsagent-load ended with {self.process.returncode}: {said}")
        return json.loads(text)


def await_open(back_end, count, load, patience=30):
    """Waits until the back end has so many connections."""
    end = time.monotonic() + patience
    while (now := back_end.count()["open"]) != count:
        if time.monotonic() > end or count > 0 and not load.alive():
            raise Failed(f"the back end has {now} connections in place of {count}")
        time.sleep(0.1)
