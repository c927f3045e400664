"""`tlsagent relay` under test, what is before it and behind it, and the header that it can send."""

import os
import re
import select
import signal
import socket
import ssl
import struct
import subprocess
import threading
import time

import peers
import pki
import timing

CLI = os.environ.get("TLSAGENT_CLI")
LOOPBACK = "127.0.0.1"


def dial(address):
    """A connection to "HOST:PORT" or "unix:PATH"."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(timing.PATIENCE)
        sock.connect(address[len("unix:"):])
        return sock
    host, _, port = address.rpartition(":")
    return socket.create_connection((host.strip("[]"), int(port)), timing.PATIENCE)


def listen(address, backlog=1024):
    """A listening socket, and its address as the command takes it. Port 0 is any."""
    if address.startswith("unix:"):
        sock = socket.socket(socket.AF_UNIX)
        sock.bind(address[len("unix:"):])
        sock.listen(backlog)
        return sock, address
    host, _, port = address.rpartition(":")
    sock = socket.create_server((host, int(port)), backlog=backlog)
    return sock, f"{host}:{sock.getsockname()[1]}"


def read_all(sock):
    """Until the end, which may be a reset: (bytes, whether it was one)."""
    data = b""
    try:
        while part := sock.recv(1 << 16):
            data += part
    except ConnectionResetError:
        return data, True
    return data, False


class Echo:
    """A back end that sends everything back, each connection on a thread of its own, and ends when its client does."""

    def __init__(self, address=LOOPBACK + ":0"):
        self.listener, self.address = listen(address)
        self.served = 0
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            self.served += 1
            threading.Thread(target=self.serve, args=(sock,), daemon=True).start()

    @staticmethod
    def serve(sock):
        with sock:
            try:
                while part := sock.recv(1 << 16):
                    sock.sendall(part)
            except OSError:
                pass  # its client is free to go

    def close(self):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(timing.PATIENCE)


class Plain:
    """A plaintext socket with the words of a session (session.py), for the peers that talk to one."""

    def __init__(self, sock):
        self.sock = sock
        sock.settimeout(timing.PATIENCE)

    def write(self, data):
        self.sock.sendall(data)

    def read_exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.sock.recv(count - len(data))
            assert part, f"the stream ended after {data!r}"
            data += part
        return data

    def read_until(self, mark):
        data = b""
        while mark not in data:
            part = self.sock.recv(1 << 16)
            assert part, f"the stream ended after {data!r}"
            data += part
        return data

    def read_all(self):
        return read_all(self.sock)[0]

    def shutdown(self, await_peer=True):
        self.sock.shutdown(socket.SHUT_WR)
        if await_peer:
            self.read_all()


class Command:
    """A `tlsagent relay` that runs. address is where it listens; lines are what it said on stderr."""

    def __init__(self, *options, to, listen=LOOPBACK + ":0", runtime="", env=None):
        self.runtime = runtime
        self.process = subprocess.Popen([CLI, "relay", "--listen", listen, "--to", to, *options], stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
        self.said = b""
        self.changed = threading.Condition()
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        line = self.process.stdout.readline().decode()
        match = re.fullmatch(r"relaying (\S+) to (\S+)\n", line)
        if not match:
            self.kill()
            raise AssertionError(f"it never began: {line!r} {self.text()}")
        self.address = match[1]

    def _read(self):
        while part := os.read(self.process.stderr.fileno(), 1 << 16):
            with self.changed:
                self.said += part
                self.changed.notify_all()

    def text(self):
        return self.said.decode()

    def wait_for(self, pattern):
        """The match in what it says on stderr."""
        with self.changed:
            self.changed.wait_for(lambda: re.search(pattern, self.text()), timing.PATIENCE)
        match = re.search(pattern, self.text())
        assert match, f"it never said {pattern}, but:\n{self.text()}"
        return match

    def daemon_pids(self):
        """The processes of the daemon that it started: who holds the listening socket in its private folder."""
        with open("/proc/net/unix") as sockets:
            lines = [line.split() for line in sockets if self.runtime in line]
        links = {f"socket:[{line[6]}]" for line in lines}
        return [int(pid) for pid in os.listdir("/proc") if pid.isdigit() and links & self.links_of(pid)]

    @staticmethod
    def links_of(pid):
        try:
            return {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        except OSError:
            return set()  # it has ended

    def interrupt(self, number=signal.SIGINT):
        """Ends it as Ctrl-C does. Its exit code."""
        self.process.send_signal(number)
        return self.wait()

    def wait(self):
        code = self.process.wait(timing.PATIENCE)
        self.reader.join(timing.PATIENCE)
        return code

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.reader.join(timing.PATIENCE)
        self.process.stdout.close()
        self.process.stderr.close()


def tls(sock, server_name=pki.HOST, **options):
    """A TLS client's end on this socket, hands shaken; it trusts the tests' root."""
    sock.settimeout(timing.PATIENCE)
    context = peers.python_context(False, ca=pki.root(), **options)
    context.options &= ~ssl.OP_IGNORE_UNEXPECTED_EOF  # Python's own default takes any end for a good one
    return context.wrap_socket(sock, server_hostname=server_name, suppress_ragged_eofs=False)


def exchange(client, data):
    """Sends data through an echo and gives what came back, both at once: ssl's sockets are for one thread at a time."""
    client.setblocking(False)
    sent, got = 0, bytearray()
    end = time.monotonic() + timing.PATIENCE
    while len(got) < len(data) and time.monotonic() < end:
        wants_write = sent < len(data)
        select.select([client], [client] if wants_write else [], [], 1)
        try:
            if wants_write:
                sent += client.send(data[sent:sent + 50000])
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
        try:
            while part := client.recv(1 << 16):
                got += part
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError, BlockingIOError):
            pass
    client.settimeout(timing.PATIENCE)
    return bytes(got)


# --- PROXY protocol, version 2 ----------------------------------------------------------------------------------------

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
ALPN, AUTHORITY, SSL, SSL_VERSION, SSL_CN, SSL_CIPHER = 0x01, 0x02, 0x20, 0x21, 0x22, 0x23


def tlvs(data):
    found = {}
    while data:
        kind, length = struct.unpack_from("!BH", data)
        assert len(data) >= 3 + length and kind not in found, data
        found[kind] = data[3:3 + length]
        data = data[3 + length:]
    return found


def read_proxy_header(sock):
    """((source, destination) or None, the TLVs with those of PP2_TYPE_SSL, its client bits, its verify)."""
    head = Plain(sock).read_exactly(16)
    assert head[:12] == SIGNATURE and head[12] == 0x21, head
    family, length = struct.unpack("!BH", head[13:])
    body = Plain(sock).read_exactly(length)
    addresses = None
    size = {0x00: 0, 0x11: 12, 0x21: 36}[family]
    if size:
        half = (size - 4) // 2
        kind = socket.AF_INET if half == 4 else socket.AF_INET6
        ports = struct.unpack("!HH", body[size - 4:size])
        addresses = tuple((socket.inet_ntop(kind, body[i * half:(i + 1) * half]), ports[i]) for i in range(2))
    found = tlvs(body[size:])
    client, verify = struct.unpack_from("!BI", found[SSL])
    found.update(tlvs(found[SSL][5:]))
    return addresses, found, client, verify
