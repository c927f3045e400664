"""The servers: how each is told to do the same thing, as far as it can."""

import dataclasses
import os
import pathlib
import shutil
import socket
import subprocess
import time

import processes
from processes import Failed

SUITE = "TLS_AES_128_GCM_SHA256"
GROUP = "X25519"
HOST = "127.0.0.1"
PATIENCE = 20  # seconds for a server to be there


NO_TICKETS = """
openssl_conf = all
[all]
ssl_conf = ssl
[ssl]
system_default = tls
[tls]
NumTickets = 0
"""


@dataclasses.dataclass
class Setting:
    """What a server is to do."""
    folder: str
    chain: str      # files in PEM
    key: str
    to: tuple       # host and port of the back end's service
    fds: str        # its socket for connected descriptors
    reuse: bool     # of sessions: tickets or a cache
    workers: int
    cpus: set
    connections: int  # how many there may be at a time


class Running:
    """A server that has been started."""

    def __init__(self, started, port):
        self.started, self.port = started, port

    def pids(self):
        return processes.tree(*(process.pid for process in self.started))

    def alive(self):
        return all(process.poll() is None for process in self.started)

    def stop(self):
        for process in reversed(self.started):
            processes.stop(process)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def _await(there, process, what):
    end = time.monotonic() + PATIENCE
    while not there():
        if process.poll() is not None or time.monotonic() > end:
            processes.stop(process)
            raise Failed(f"{what} doesn't start")
        time.sleep(0.01)


def await_port(port, process, what):
    def there():
        with socket.socket() as probe:
            return probe.connect_ex((HOST, port)) == 0
    _await(there, process, what)


def output(command):
    """What it prints, by whatever way."""
    return subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True).stdout


def write(folder, name, text):
    path = os.path.join(folder, name)
    pathlib.Path(path).write_text(text)
    return path


def _yes(condition, yes, no=""):
    return yes if condition else no


class Peer:
    """One of Debian's programs: name, program, package; config() and command() are its own."""
    kind, openssl = "peer", "system"
    has_workers = True

    def __init__(self):
        self.short = self.name
        self.path = shutil.which(self.program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")

    def missing(self):
        """Why it can't be started, or None."""
        return None if self.path else f"{self.program} isn't installed (Debian package {self.package})"

    def version(self):
        lines = output([self.path, *self.version_options]).splitlines()
        return next((line for line in lines if self.name in line.lower()), "").strip()

    def environment(self, setting):
        """With TLS 1.3, OpenSSL sends tickets even where a program has turned them off: its own setting counts."""
        if setting.reuse:
            return None
        return {**os.environ, "OPENSSL_CONF": write(setting.folder, "no-tickets.cnf", NO_TICKETS)}

    def start(self, setting):
        port = free_port()
        config = write(setting.folder, f"{self.name}-{port}.conf", self.config(setting, port))
        with open(os.path.join(setting.folder, f"{self.name}-{port}.log"), "wb") as log:
            process = processes.start(self.command(config), setting.cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                      env=self.environment(setting), cwd=setting.folder)
        await_port(port, process, f"{self.name} ({log.name})")
        return Running([process], port)


class Haproxy(Peer):
    name, program, package, version_options = "haproxy", "haproxy", "haproxy", ["-v"]

    def config(self, setting, port):
        tls = f"ssl ssl-min-ver TLSv1.3 curves {GROUP} crt {self.pem(setting)} {_yes(not setting.reuse, 'no-tls-tickets')}"
        return f"""
global
  nbthread {setting.workers}
  maxconn {setting.connections}
  {_yes(not setting.reuse, "tune.ssl.cachesize 0")}
  ssl-default-bind-ciphersuites {SUITE}
defaults
  mode tcp
  timeout connect 10s
  timeout client 1h
  timeout server 1h
listen tls
  bind {HOST}:{port} backlog 4096 {tls}
  server back {setting.to[0]}:{setting.to[1]}
"""

    @staticmethod
    def pem(setting):
        both = pathlib.Path(setting.chain).read_text() + pathlib.Path(setting.key).read_text()
        return write(setting.folder, os.path.basename(setting.chain) + ".both", both)

    def command(self, config):
        return [self.path, "-db", "-q", "-f", config]


class Nginx(Peer):
    name, program, package, version_options = "nginx", "nginx", "libnginx-mod-stream", ["-v"]
    module = "/usr/lib/nginx/modules/ngx_stream_module.so"

    def missing(self):
        if self.path and not os.path.exists(self.module):
            return f"nginx has no stream module (Debian package {self.package})"
        return super().missing()

    def config(self, setting, port):
        return f"""
load_module {self.module};
daemon off;
{_yes(os.geteuid() == 0, "user root;")}
worker_processes {setting.workers};
worker_rlimit_nofile {2 * setting.connections + 100};
pid {setting.folder}/nginx-{port}.pid;
error_log stderr crit;
events {{ worker_connections {2 * setting.connections + 100}; }}
stream {{
  ssl_certificate {setting.chain};
  ssl_certificate_key {setting.key};
  ssl_protocols TLSv1.3;
  ssl_conf_command Ciphersuites {SUITE};
  ssl_ecdh_curve {GROUP};
  ssl_session_tickets {_yes(setting.reuse, "on", "off")};
  ssl_session_cache {_yes(setting.reuse, "shared:tls:10m", "off")};
  proxy_timeout 1h;
  server {{
    listen {HOST}:{port} ssl backlog=4096;
    proxy_pass {setting.to[0]}:{setting.to[1]};
  }}
}}
"""

    def command(self, config):
        return [self.path, "-e", "stderr", "-c", config]


class Hitch(Peer):
    name, program, package, version_options = "hitch", "hitch", "hitch", ["--version"]

    def config(self, setting, port):
        return f"""
frontend = "[{HOST}]:{port}"
backend = "[{setting.to[0]}]:{setting.to[1]}"
pem-file = {{
  cert = "{setting.chain}"
  private-key = "{setting.key}"
}}
workers = {setting.workers}
backlog = 4096
tls-protos = TLSv1.3
ciphersuites = "{SUITE}"
ecdh-curve = "{GROUP}"
daemon = off
{_yes(os.geteuid() == 0, 'user = "nobody"')}
log-level = 0
"""

    def command(self, config):
        return [self.path, f"--config={config}"]


class Stunnel(Peer):
    name, program, package, version_options = "stunnel", "stunnel4", "stunnel4", ["-version"]
    has_workers = False  # a thread for each connection

    def config(self, setting, port):
        return f"""
foreground = yes
pid =
debug = emerg
syslog = no
socket = l:TCP_NODELAY=1
socket = r:TCP_NODELAY=1
[tls]
accept = {HOST}:{port}
connect = {setting.to[0]}:{setting.to[1]}
cert = {setting.chain}
key = {setting.key}
sslVersion = TLSv1.3
ciphersuites = {SUITE}
curves = {GROUP}
libwrap = no
TIMEOUTclose = 0
TIMEOUTidle = 3600
"""

    def command(self, config):
        return [self.path, config]


class Relay:
    """tlsagentd, told by `tlsagent relay` to listen."""
    kind = "ours"
    has_workers = True
    short, title = "tlsagent", "tlsagent"

    def __init__(self, programs):
        self.programs, self.openssl, self.name = programs, programs.openssl, self.title + programs.suffix

    def missing(self):
        return self.programs.missing("tlsagentd", "tlsagent")

    def version(self):
        return output([self.programs.tlsagentd, "--version"]).partition("\n")[0]

    def start(self, setting):
        port = free_port()
        daemon, agent = self.start_daemon(setting, port)
        front = self.start_front(setting, port, agent)
        running = Running([daemon, front], port)
        await_port(port, front, f"{self.name} (see {setting.folder})")
        return running

    def start_daemon(self, setting, port):
        agent = os.path.join(setting.folder, f"agent-{port}.sock")
        with open(os.path.join(setting.folder, f"tlsagentd-{port}.log"), "wb") as log:
            daemon = processes.start(
                [self.programs.tlsagentd, "--listen", f"unix:{agent}", "--workers", str(setting.workers),
                 "--allow-dial", f"{setting.to[0]}:{setting.to[1]}", "--log-level", "warning", "--drain-timeout", "1",
                 *self.limits(sessions=setting.connections, connections=64, descriptors=256)],
                setting.cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        _await(lambda: os.path.exists(agent), daemon, f"tlsagentd ({log.name})")
        return daemon, f"unix:{agent}"

    @staticmethod
    def limits(**values):
        """What is not needed is low: all that could be open has to fit RLIMIT_NOFILE."""
        return [word for name, value in values.items() for suffix in ("", "_per_owner")
                for word in ("--limit", f"{name}{suffix}={value}")]

    def start_front(self, setting, port, agent):
        with open(os.path.join(setting.folder, f"relay-{port}.log"), "wb") as log:
            return processes.start(
                [self.programs.tlsagent, "relay", "--socket", agent, "--listen", f"{HOST}:{port}",
                 "--to", f"{setting.to[0]}:{setting.to[1]}", "--cert", setting.chain, "--key", setting.key,
                 "--groups", GROUP, "--ciphersuites", SUITE, "--tls1.3", "--idle-timeout", "3600", "--quiet",
                 "--max-connections", str(setting.connections), *_yes(not setting.reuse, ["--no-tickets"], [])],
                setting.cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


class FdRelay(Relay):
    """tlsagentd, asked for each connection by a program that accepts them: fd_relay.c."""
    short, title = "fd", "tlsagent by fd"

    def missing(self):
        return self.programs.missing("tlsagentd", "fd_relay")

    def start_front(self, setting, port, agent):
        with open(os.path.join(setting.folder, f"fd-relay-{port}.log"), "wb") as log:
            return processes.start(
                [self.programs.fd_relay, agent, HOST, str(port), setting.chain, setting.key,
                 str(_yes(setting.reuse, 2, 0)), setting.fds],
                setting.cpus, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


PEERS = [Haproxy, Nginx, Hitch, Stunnel]
