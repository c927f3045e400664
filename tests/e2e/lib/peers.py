"""Real TLS peers on the loopback: openssl, gnutls, nginx, curl, and Python's ssl, as servers and as clients.

A server peer:  with server("gnutls", pair, version="tls13") as peer: sock = peer.connect(); ...; peer.talk(session)
A client peer:  with client("curl", listener, version="tls12") as peer: sock, _ = listener.accept(); ...; peer.talk(session)
                peer.finish()   # it ended well, and saw the answer
"""

import os
import re
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading

import pki
import timing
from session import Background

LOOPBACK = "127.0.0.1"
QUESTION, ANSWER = b"question\n", b"answer\n"
PAGE = b"a page of nginx's\n"


class Program:
    """A child process whose output is collected; stop() ends it."""

    def __init__(self, *command, **popen):
        self.command = command
        self.output = b""
        self.changed = threading.Condition()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, **popen)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()

    def _read(self):
        while True:
            part = os.read(self.process.stdout.fileno(), 65536)
            with self.changed:
                self.output += part
                self.changed.notify_all()
            if not part:
                return

    def wait_for(self, pattern):
        """The match of the pattern in the output, once it is there."""
        def found():
            return re.search(pattern, self.output) or not self.reader.is_alive()

        with self.changed:
            self.changed.wait_for(found, timing.PATIENCE)
        match = re.search(pattern, self.output)
        assert match, f"{self.command[0]} never said {pattern}, but:\n{self.text()}"
        return match

    def text(self):
        return self.output.decode(errors="replace")

    def say(self, data):
        """Writes to its standard input."""
        try:
            self.process.stdin.write(data)
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # it has ended; what it printed will tell

    def wait(self):
        """Its exit code, with all of its output collected."""
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        code = self.process.wait(timing.PATIENCE)
        self.reader.join(timing.PATIENCE)
        return code

    def stop(self):
        if self.process.poll() is None:
            self.process.kill()
        try:
            self.process.stdin.close()
        except BrokenPipeError:
            pass
        self.process.wait()
        self.reader.join(timing.PATIENCE)
        self.process.stdout.close()


# --- servers ----------------------------------------------------------------------------------------------------------


class ServerPeer:
    """A TLS server. pair is what it shows; client_ca makes it ask for a client certificate by that CA."""

    def __init__(self, pair, version=None, client_ca=None, alpn=()):
        self.pair, self.version, self.client_ca, self.alpn = pair, version, client_ca, alpn
        self.port = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def connect(self):
        return socket.create_connection((LOOPBACK, self.port))

    def talk(self, session):
        """Asks and is answered, through the daemon."""
        session.write(QUESTION)
        answer = session.read_exactly(len(self.ANSWER))
        assert answer == self.ANSWER, answer


def openssl_pair(pair):
    """The options of openssl(1) that make it show this certificate with its intermediates, of which there may be none."""
    options = ["-cert", pair.path, "-key", pair.key_path]
    return options + ["-cert_chain", pair.intermediates_path] if os.path.getsize(pair.intermediates_path) else options


class OpensslServer(ServerPeer):
    ANSWER = QUESTION.strip()[::-1] + b"\n"

    def start(self):
        options = {"tls12": ["-tls1_2"], "tls13": ["-tls1_3"], None: []}[self.version]
        if self.client_ca:
            options += ["-Verify", "4", "-verify_return_error", "-CAfile", self.client_ca.path]
        if self.alpn:
            options += ["-alpn", b",".join(self.alpn).decode()]
        self.program = Program("openssl", "s_server", "-accept", f"{LOOPBACK}:0", "-rev", *openssl_pair(self.pair), *options)
        self.port = int(self.program.wait_for(rb"ACCEPT 127\.0\.0\.1:(\d+)")[1])

    def stop(self):
        self.program.stop()


def free_port():
    """A port for programs that can't say which one the kernel gave them."""
    with socket.create_server((LOOPBACK, 0)) as sock:
        return sock.getsockname()[1]


def gnutls_priority(version):
    return "NORMAL" + {"tls12": ":-VERS-ALL:+VERS-TLS1.2", "tls13": ":-VERS-ALL:+VERS-TLS1.3", None: ""}[version]


class GnutlsServer(ServerPeer):
    ANSWER = QUESTION

    def start(self):
        options = ["--priority", gnutls_priority(self.version)]
        if self.client_ca:
            options += ["--require-client-cert", "--verify-client-cert", "--x509cafile", self.client_ca.path]
        else:
            options += ["--disable-client-cert"]
        options += [f"--alpn={name.decode()}" for name in self.alpn]
        for _ in range(10):  # somebody may be faster to take the port
            self.port = free_port()
            self.program = Program("gnutls-serv", "--echo", "--port", str(self.port), "--x509certfile",
                                   self.pair.chain_path, "--x509keyfile", self.pair.key_path, *options)
            if self.program.wait_for(rb"port \d+\.\.\.(done|bind\(\) failed)")[1] == b"done":
                return
            self.program.stop()
        raise AssertionError("no port for gnutls-serv")

    def stop(self):
        self.program.stop()


NGINX = """
daemon off;
{user}
pid {directory}/pid;
error_log {directory}/error.log warn;
worker_processes 1;
events {{ worker_connections 64; }}
http {{
  log_format saw 'request=$request|status=$status|sni=$ssl_server_name|resumed=$ssl_session_reused|alpn=$ssl_alpn_protocol'
                 '|client=$ssl_client_verify|dn=$ssl_client_s_dn';
  access_log off;
  client_body_temp_path {directory};
  proxy_temp_path {directory};
  fastcgi_temp_path {directory};
  uwsgi_temp_path {directory};
  scgi_temp_path {directory};
  server {{
{server}
  }}
}}
"""


class Nginx:
    """nginx with one server block, on a socket that it inherits from us: no port is ever guessed."""

    def __init__(self, block):
        self.directory = tempfile.mkdtemp(prefix="tlsagent-nginx-")
        with socket.create_server((LOOPBACK, 0)) as listener:
            self.port = listener.getsockname()[1]
            config = os.path.join(self.directory, "nginx.conf")
            with open(config, "w") as file:
                user = "user root;" if os.getuid() == 0 else ""  # keys and pages are the tests' own
                file.write(NGINX.format(directory=self.directory, server=block.format(port=self.port), user=user))
            with open(os.path.join(self.directory, "page"), "wb") as file:
                file.write(PAGE)
            os.chmod(self.directory, 0o755)
            self.program = Program("nginx", "-p", self.directory, "-c", config, "-e", self.directory + "/error.log",
                                   env={**os.environ, "PATH": os.environ["PATH"] + ":/usr/sbin",
                                        "NGINX": f"{listener.fileno()};"}, pass_fds=[listener.fileno()])

    def log(self):
        with open(os.path.join(self.directory, "error.log"), errors="replace") as file:
            return file.read() + self.program.text()

    def stop(self):
        if self.program.process.poll() is None:
            self.program.process.terminate()  # the master takes its worker with it
            self.program.process.wait(timing.PATIENCE)
        self.program.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def nginx_protocols(version):
    return {"tls12": "TLSv1.2", "tls13": "TLSv1.3", None: "TLSv1.2 TLSv1.3"}[version]


class NginxServer(ServerPeer):
    def start(self):
        block = f"""
            listen {LOOPBACK}:{{port}} ssl{" http2" if b"h2" in self.alpn else ""};
            ssl_certificate {self.pair.chain_path};
            ssl_certificate_key {self.pair.key_path};
            ssl_protocols {nginx_protocols(self.version)};
            root {{directory}};"""
        if self.client_ca:
            block += f"ssl_verify_client on; ssl_verify_depth 4; ssl_client_certificate {self.client_ca.path};"
        self.nginx = Nginx(block.replace("{directory}", "."))
        self.port = self.nginx.port

    def stop(self):
        self.nginx.stop()

    def talk(self, session):
        session.write(b"GET /page HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = session.read_all()
        assert answer.startswith(b"HTTP/1.1 200 "), answer
        assert answer.endswith(PAGE), answer


def python_context(server_side, pair=None, version=None, ca=None, alpn=()):
    """An ssl.SSLContext that shows pair and, given a CA, verifies by it alone."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER if server_side else ssl.PROTOCOL_TLS_CLIENT)
    if version:
        made.minimum_version = made.maximum_version = {
            "tls12": ssl.TLSVersion.TLSv1_2, "tls13": ssl.TLSVersion.TLSv1_3}[version]
    if pair:
        made.load_cert_chain(pair.chain_path, pair.key_path)
    if ca:
        made.load_verify_locations(ca.path)
        made.verify_mode = ssl.CERT_REQUIRED
    elif not server_side:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if alpn:
        made.set_alpn_protocols([name.decode() for name in alpn])
    return made


class PythonServer(ServerPeer):
    """Echoes; ends each connection as the client does. saw has (SNI, ALPN, client certificate) of the last one."""

    ANSWER = QUESTION

    def start(self):
        self.context = python_context(True, self.pair, self.version, self.client_ca, self.alpn)
        self.names = []
        self.context.sni_callback = lambda _sock, name, _context: self.names.append(name)
        self.listener = socket.create_server((LOOPBACK, 0))
        self.port = self.listener.getsockname()[1]
        self.saw = self.current = None
        self.thread = Background(self.serve)

    def serve(self):
        while True:
            try:
                sock, _ = self.listener.accept()
            except OSError:
                return
            try:
                self.echo(sock)
            except (OSError, ValueError):  # ssl.SSLError is an OSError: the client's tests say what should happen
                sock.close()

    def echo(self, sock):
        sock.settimeout(timing.PATIENCE)
        if self.current is not None:
            self.current.close()
        self.current = sock.dup()
        with self.context.wrap_socket(sock, server_side=True) as tls:
            self.saw = (self.names[-1] if self.names else None, tls.selected_alpn_protocol(), tls.getpeercert())
            for part in iter(lambda: tls.recv(1 << 16), b""):
                tls.sendall(part)
            tls.unwrap()

    def stop(self):
        """Ends the connection that is still open, if any: its client may have no reason to."""
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        if self.current is not None:
            try:
                self.current.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass  # it has ended
            self.current.close()
        self.thread.result()


SERVERS = {"openssl": OpensslServer, "gnutls": GnutlsServer, "nginx": NginxServer, "python": PythonServer}


def server(name, *args, **kwargs):
    return SERVERS[name](*args, **kwargs)


# --- clients ----------------------------------------------------------------------------------------------------------


class ClientPeer:
    """A TLS client that connects to listener, verifies by ca, and shows pair if there is one."""

    def __init__(self, listener, version=None, ca=None, pair=None, alpn=(), server_name=pki.HOST):
        self.port = listener.getsockname()[1]
        self.version, self.pair, self.alpn, self.server_name = version, pair, alpn, server_name
        self.ca = ca or pki.root()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *exc):
        self.stop()

    def stop(self):
        self.program.stop()

    def talk(self, session):
        """Is asked and answers, through the daemon, and ends the stream."""
        question = session.read_until(self.QUESTION_END)
        assert self.QUESTION in question, question
        session.write(self.RESPONSE)
        session.shutdown(await_peer=False)

    def finish(self):
        """It ended well and saw the answer."""
        code = self.program.wait()
        assert code == 0, f"{self.program.command[0]} ended with {code}:\n{self.program.text()}"
        assert ANSWER in self.program.output, self.program.text()

    def failed(self):
        """It ended badly; its words."""
        code = self.program.wait()
        assert code != 0, f"{self.program.command[0]} was content:\n{self.program.text()}"
        return self.program.text()


class LineClient(ClientPeer):
    QUESTION = QUESTION_END = QUESTION
    RESPONSE = ANSWER


class OpensslClient(LineClient):
    def start(self):
        options = {"tls12": ["-tls1_2"], "tls13": ["-tls1_3"], None: []}[self.version]
        if self.pair:
            options += openssl_pair(self.pair)
        if self.alpn:
            options += ["-alpn", b",".join(self.alpn).decode()]
        self.program = Program("openssl", "s_client", "-connect", f"{LOOPBACK}:{self.port}", "-servername",
                               self.server_name, "-verify_hostname", self.server_name, "-verify_return_error",
                               "-CAfile", self.ca.path, "-quiet", *options)
        self.program.say(QUESTION)


class GnutlsClient(LineClient):
    def start(self):
        options = ["--priority", gnutls_priority(self.version)]
        if self.pair:
            options += ["--x509certfile", self.pair.chain_path, "--x509keyfile", self.pair.key_path]
        options += [f"--alpn={name.decode()}" for name in self.alpn]
        self.program = Program("gnutls-cli", "--port", str(self.port), "--x509cafile", self.ca.path,
                               "--sni-hostname", self.server_name, "--verify-hostname", self.server_name, *options,
                               LOOPBACK)
        self.program.say(QUESTION)


HTTP_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(ANSWER) + ANSWER


class CurlClient(ClientPeer):
    QUESTION, QUESTION_END, RESPONSE = b"GET /page HTTP/1.1\r\n", b"\r\n\r\n", HTTP_ANSWER

    def start(self):
        options = {"tls12": ["--tlsv1.2", "--tls-max", "1.2"], "tls13": ["--tlsv1.3"], None: []}[self.version]
        if self.pair:
            options += ["--cert", self.pair.chain_path, "--key", self.pair.key_path]
        if b"h2" not in self.alpn:
            options += ["--http1.1"]
        self.program = Program("curl", "--silent", "--show-error", "--noproxy", "*", "--cacert", self.ca.path,
                               "--resolve", f"{self.server_name}:{self.port}:{LOOPBACK}", *options,
                               f"https://{self.server_name}:{self.port}/page")


class NginxClient(ClientPeer):
    """nginx as a reverse proxy: its upstream is the session under test."""

    QUESTION, QUESTION_END, RESPONSE = b"GET /page HTTP/1.0\r\n", b"\r\n\r\n", HTTP_ANSWER

    def start(self):
        block = f"""
            listen {LOOPBACK}:{{port}};
            location / {{{{
              proxy_pass https://{LOOPBACK}:{self.port};
              proxy_ssl_protocols {nginx_protocols(self.version)};
              proxy_ssl_name {self.server_name};
              proxy_ssl_server_name on;
              proxy_ssl_verify on;
              proxy_ssl_verify_depth 4;
              proxy_ssl_trusted_certificate {self.ca.path};"""
        if self.pair:
            block += f"proxy_ssl_certificate {self.pair.chain_path}; proxy_ssl_certificate_key {self.pair.key_path};"
        self.nginx = Nginx(block + "}}")
        self.fetch = Background(self.get)

    def get(self):
        with socket.create_connection((LOOPBACK, self.nginx.port), timing.PATIENCE) as sock:
            sock.sendall(b"GET /page HTTP/1.0\r\n\r\n")
            return b"".join(iter(lambda: sock.recv(65536), b""))

    def finish(self):
        answer = self.fetch.result()
        assert answer.startswith(b"HTTP/1.1 200 ") and answer.endswith(ANSWER), (answer, self.nginx.log())

    def failed(self):
        answer = self.fetch.result()
        assert answer.startswith(b"HTTP/1.1 502 "), answer
        return self.nginx.log()

    def stop(self):
        self.nginx.stop()


class PythonClient(LineClient):
    def start(self):
        self.thread = Background(self.ask)

    def ask(self):
        made = python_context(False, self.pair, self.version, self.ca, self.alpn)
        with socket.create_connection((LOOPBACK, self.port), timing.PATIENCE) as sock:
            with made.wrap_socket(sock, server_hostname=self.server_name) as tls:
                self.alpn_chosen = tls.selected_alpn_protocol()
                tls.sendall(QUESTION)
                answer = b"".join(iter(lambda: tls.recv(65536), b""))
                tls.unwrap()
                return answer

    def finish(self):
        answer = self.thread.result()
        assert answer.endswith(ANSWER), answer

    def failed(self):
        try:
            self.thread.result()
        except (ssl.SSLError, OSError) as error:
            return str(error)
        raise AssertionError("Python was content")

    def stop(self):
        try:
            self.thread.result()
        except (ssl.SSLError, OSError):
            pass


CLIENTS = {"openssl": OpensslClient, "gnutls": GnutlsClient, "curl": CurlClient, "nginx": NginxClient,
           "python": PythonClient}


def client(name, *args, **kwargs):
    return CLIENTS[name](*args, **kwargs)


# --- a peer on strings ------------------------------------------------------------------------------------------------


class Puppet:
    """Python's TLS without I/O over a socket of the test's: every byte can be held back, cut short or spoilt."""

    def __init__(self, sock, context, server_side, server_name=None):
        self.sock = sock
        self.sock.settimeout(timing.PATIENCE)
        self.incoming, self.outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.incoming, self.outgoing, server_side=server_side, server_hostname=server_name)
        self.step_bytes = None  # how many bytes go out at a time; None: all

    def take_output(self):
        return self.outgoing.read()

    def flush(self):
        data = self.take_output()
        step = self.step_bytes or len(data) or 1
        for start in range(0, len(data), step):
            self.sock.sendall(data[start:start + step])

    def receive(self):
        try:
            part = self.sock.recv(1 << 16)
        except ConnectionResetError:
            part = b""
        if part:
            self.incoming.write(part)
        else:
            self.incoming.write_eof()

    def run(self, operation, *args):
        """Runs an operation to its end, moving ciphertext both ways."""
        while True:
            try:
                result = operation(*args)
            except ssl.SSLWantReadError:
                self.flush()
                self.receive()
                continue
            except ssl.SSLError:
                self.flush()
                raise
            self.flush()
            return result

    def handshake(self):
        self.run(self.tls.do_handshake)
        return self

    def send(self, data):
        self.run(self.tls.write, data)

    def recv(self, size=1 << 16):
        """Some bytes; b"" after close_notify."""
        try:
            return self.run(self.tls.read, size)
        except ssl.SSLZeroReturnError:
            return b""

    def recv_exactly(self, count):
        data = b""
        while len(data) < count:
            part = self.recv(count - len(data))
            assert part, f"the stream ended after {len(data)} of {count} bytes"
            data += part
        return data

    def unwrap(self):
        """close_notify both ways."""
        self.run(self.tls.unwrap)

    def rest(self):
        """Bytes received that TLS has not taken."""
        return self.incoming.read()
