"""How the daemon starts and ends: its command line, its sockets, its signals, its log, and what it lets nobody see."""

import base64
import ctypes
import errno
import grp
import json
import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

import daemon
import peers
import pki
import seccomp
import session as sessions
import timing
import users
from e2e import Cases, Code, RpcError, each
from session import Background
from tlsagent.v1 import agent_pb2, session_pb2
from ttrpc_client import ConnectionLost


class LifeTest(Cases):
    def daemon(self, *args, **kwargs):
        """A daemon that has not been started, and ends with the test."""
        agent = daemon.Daemon(*args, **kwargs)
        self.addCleanup(agent.kill)
        return agent

    def directory(self):
        path = tempfile.mkdtemp(prefix="tlsagent-life-")
        self.addCleanup(shutil.rmtree, path)
        return path

    def serves(self, address):
        with daemon.Client(address) as rpc:
            self.assertEqual(rpc.agent.Ping(payload=b"x").payload, b"x")

    def refuses(self, *args, says, code=1, **kwargs):
        """It ends at once with this code, and one of its lines says why."""
        done = daemon.run(*args, **kwargs)
        self.assertEqual(done.returncode, code, done)
        self.assertRegex(done.stderr, says)
        self.assertEqual(done.stdout, "")
        self.assertLessEqual(len(done.stderr.strip().split("\n")), 3, done.stderr)


class CommandLine(LifeTest):
    def test_help_tells_every_option(self):
        done = daemon.run("--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in ("listen", "workers", "mode", "group", "limit", "print-limits", "allow-dial", "drain-timeout",
                       "log-format", "log-level", "help", "version"):
            self.assertIn(f"--{option}", done.stdout)
        self.assertLess(max(map(len, done.stdout.split("\n"))), 101)

    def test_version(self):
        done = daemon.run("--version")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        self.assertRegex(done.stdout, r"^tlsagentd \d+\.\d+\.\d+\b.*\n")

    def test_print_limits_adds_up(self):
        done = daemon.run("--print-limits")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        rows = re.findall(r"^(\S+) +(\d+) +(\d+)  (.+)$", done.stdout, re.M)
        total = re.search(r"^sum +(\d+)", done.stdout, re.M)
        self.assertGreater(len(rows), 15)
        self.assertAlmostEqual(sum(int(row[2]) for row in rows), int(total[1]), delta=len(rows))

    def test_print_limits_knows_what_was_set(self):
        done = daemon.run("--limit", "sessions=12345", "--limit", "sessions=4321", "--print-limits")
        self.assertRegex(done.stdout, r"(?m)^sessions +4321 ")

    @each(args={
        "an_unknown_option": ["--no-such-option"], "a_word": ["start"], "no_value": ["--listen"], "an_empty_listen": ["--listen", ""],
        "a_path_alone": ["--listen", "/tmp/x"], "a_port": ["--listen", "tcp:1234"], "an_empty_path": ["--listen", "unix:"],
        "no_workers": ["--workers", "0"], "workers_in_words": ["--workers", "two"], "negative_workers": ["--workers", "-1"],
        "far_too_many_workers": ["--workers", "100000"], "a_mode_in_words": ["--mode", "rw"], "a_mode_too_wide": ["--mode", "07777"],
        "a_mode_in_decimal": ["--mode", "0689"], "an_unknown_level": ["--log-level", "loud"], "an_unknown_format": ["--log-format", "xml"],
        "a_timeout_in_words": ["--drain-timeout", "soon"], "a_negative_timeout": ["--drain-timeout", "-1"],
        "a_dial_without_port": ["--allow-dial", "localhost"], "an_empty_dial": ["--allow-dial", ""], "a_value_for_help": ["--help=x"]})
    def test_a_wrong_command_line_is_explained(self, args):
        self.refuses(*args, code=2, says=re.escape(args[0].partition("=")[0].lstrip("-")[:6]))

    def test_an_unknown_group(self):
        where = os.path.join(self.directory(), "s")
        self.refuses("--listen", f"unix:{where}", "--group", "no-such-group", says="no-such-group")
        self.assertFalse(os.path.exists(where))

    @each(workers=(1, 2, 3, 8))
    def test_any_number_of_workers(self, workers):
        agent = self.daemon(workers=workers).start()
        with agent.client() as rpc:
            self.assertEqual(rpc.agent.Info().workers, workers)
        for _ in range(20):
            self.serves(agent.path)
        agent.stop()

    def test_a_worker_for_each_core_by_default(self):
        agent = self.daemon()
        agent.command = [word for word in agent.command if word not in ("--workers", "2")]
        agent.start()
        with agent.client() as rpc:
            self.assertEqual(rpc.agent.Info().workers, len(os.sched_getaffinity(0)))
        agent.stop()


class Sockets(LifeTest):
    def test_only_its_user_may_connect_by_default(self):
        agent = self.daemon(preexec_fn=lambda: os.umask(0)).start()
        found = os.stat(agent.path)
        self.assertTrue(stat.S_ISSOCK(found.st_mode))
        self.assertEqual(stat.S_IMODE(found.st_mode), 0o600)
        agent.stop()

    @each(mode=("0660", "0666", "0600", "600", "0"))
    def test_the_mode_is_as_asked_for(self, mode):
        agent = self.daemon("--mode", mode, preexec_fn=lambda: os.umask(0o77))
        if os.getuid() != 0 and mode == "0":
            self.skipTest("only root could connect")
        agent.start()
        self.assertEqual(stat.S_IMODE(os.stat(agent.path).st_mode), int(mode, 8))
        agent.stop()

    @users.needs_root
    def test_the_group_is_as_asked_for(self):
        group = grp.getgrall()[-1]
        agent = self.daemon("--mode", "0660", "--group", group.gr_name).start()
        self.assertEqual(os.stat(agent.path).st_gid, group.gr_gid)
        agent.stop()

    def test_several_sockets_at_a_time(self):
        places = [os.path.join(self.directory(), name) for name in ("one", "two")]
        agent = self.daemon(listen=[f"unix:{place}" for place in places] + [f"unix:@tlsagent-e2e-{os.getpid()}"])
        agent.start(places[0])
        for place in places + [f"@tlsagent-e2e-{os.getpid()}"]:
            self.serves(place)
        agent.stop()
        for place in places:
            self.assertFalse(os.path.exists(place), "its file is gone with it")

    def test_an_abstract_name(self):
        name = f"@tlsagent-e2e-{os.getpid()}-alone"
        agent = self.daemon(listen=["unix:" + name]).start(name)
        self.serves(name)
        with open("/proc/net/unix") as sockets:
            self.assertIn(name + "\n", sockets.read())
        self.refuses("--listen", "unix:" + name, says="something else is there|in use")
        self.serves(name)
        agent.stop()

    def test_a_stale_socket_of_ours_is_replaced(self):
        agent = self.daemon().start()
        agent.process.kill()
        agent.process.wait()
        self.assertTrue(os.path.exists(agent.path))
        timing.eventually(lambda: not self.connects(agent.path), "the kernel has closed what it listened on")
        agent.start()
        self.serves(agent.path)
        agent.stop()

    def test_it_can_be_started_again_right_after_a_crash(self):
        """The kernel closes a ring's sockets a little after its process has ended."""
        agent = self.daemon().start()
        for _ in range(10):
            agent.process.kill()
            agent.process.wait()
            agent.start()
        self.serves(agent.path)
        agent.stop()

    def test_a_live_daemons_socket_is_left_alone(self):
        agent = self.daemon().start()
        inode = os.stat(agent.path).st_ino
        self.refuses("--listen", "unix:" + agent.path, says="something else is there")
        self.assertEqual(os.stat(agent.path).st_ino, inode)
        self.serves(agent.path)
        agent.stop()

    def test_a_busy_listeners_socket_is_left_alone(self):
        """One that has stopped accepting, and whose queue is full."""
        place = os.path.join(self.directory(), "s")
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(place)
            listener.listen(0)
            fillers = [socket.socket(socket.AF_UNIX) for _ in range(3)]
            for filler in fillers:
                self.addCleanup(filler.close)
                filler.setblocking(False)
                filler.connect_ex(place)
            self.refuses("--listen", "unix:" + place, says="something else is there")
            self.assertTrue(stat.S_ISSOCK(os.stat(place).st_mode))

    @each(kind=("file", "directory", "symlink_to_a_file", "fifo"))
    def test_what_is_no_socket_is_left_alone(self, kind):
        directory = self.directory()
        place = os.path.join(directory, "s")
        if kind == "directory":
            os.mkdir(place)
        elif kind == "fifo":
            os.mkfifo(place)
        else:
            with open(os.path.join(directory, "precious") if "link" in kind else place, "w") as file:
                file.write("precious")
        if "link" in kind:
            os.symlink("precious", place)
        before = os.lstat(place)
        self.refuses("--listen", "unix:" + place, says="cannot listen")
        after = os.lstat(place)
        self.assertEqual((before.st_ino, before.st_mode, before.st_size), (after.st_ino, after.st_mode, after.st_size))

    @users.needs_root
    def test_a_stale_socket_of_another_is_left_alone(self):
        place = os.path.join(self.directory(), "s")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(place)
        os.chown(place, users.NOBODY.pw_uid, users.NOBODY.pw_gid)
        self.refuses("--listen", "unix:" + place, says="cannot listen")
        self.assertTrue(stat.S_ISSOCK(os.stat(place).st_mode))

    def test_what_took_its_place_is_left_alone_at_the_end(self):
        agent = self.daemon().start()
        os.unlink(agent.path)
        with open(agent.path, "w") as file:
            file.write("precious")
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        with open(agent.path) as file:
            self.assertEqual(file.read(), "precious")

    @each(place={"a_missing_directory": "/nowhere/at/all/s", "a_path_too_long": "/tmp/" + "x" * 200, "a_name_too_long": "@" + "x" * 200})
    def test_where_it_cannot_listen(self, place):
        self.refuses("--listen", "unix:" + place, says=r"unix:", code=1)

    def test_one_place_that_fails_is_the_end_of_all(self):
        place = os.path.join(self.directory(), "s")
        self.refuses("--listen", "unix:" + place, "--listen", "unix:/nowhere/at/all/s", says="nowhere")
        self.assertFalse(os.path.exists(place), "nothing is left of the first")

    def test_two_that_start_at_once_do_not_take_each_others_place(self):
        place = os.path.join(self.directory(), "s")
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(place)
        crowd = [self.daemon(listen=["unix:" + place]) for _ in range(4)]
        for agent in crowd:
            with open(agent.log_path, "wb") as log:
                agent.process = subprocess.Popen(agent.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        timing.eventually(lambda: sum(agent.alive() for agent in crowd) == 1, "one of them listens, the others have ended")
        timing.eventually(lambda: self.connects(place), "it takes connections")
        self.serves(place)

    def connects(self, place):
        try:
            daemon.dial(place, timing.PATIENCE).close()
        except OSError:
            return False
        return True

    def test_the_default_place_of_a_user(self):
        directory = self.directory()
        os.chmod(directory, 0o777)
        agent = self.as_somebody(listen=[], env={"XDG_RUNTIME_DIR": directory, "PATH": os.environ["PATH"]})
        agent.start(os.path.join(directory, "tlsagent.sock"))
        agent.stop()
        self.assertEqual(os.listdir(directory), [])

    def test_no_default_place(self):
        agent = self.as_somebody(listen=[], env={"PATH": os.environ["PATH"]})
        done = subprocess.run(agent.command, capture_output=True, text=True, timeout=timing.PATIENCE, **agent.popen)
        self.assertEqual(done.returncode, 1)
        self.assertIn("--listen", done.stderr)

    def as_somebody(self, **kwargs):
        """A daemon of a user who is not root."""
        if os.getuid() != 0:
            return self.daemon(**kwargs)
        agent = self.daemon(preexec_fn=users.become_nobody, **kwargs)
        return hand_over(agent)


def hand_over(agent):
    """Makes a daemon's directory, and a copy of its program, nobody's own."""
    copy = os.path.join(agent.directory, "tlsagentd")
    shutil.copy(agent.command[0], copy)
    os.chmod(copy, 0o755)
    os.chown(agent.directory, users.NOBODY.pw_uid, users.NOBODY.pw_gid)
    agent.command[0] = copy
    return agent


# Runs a program with these descriptors as 3, 4, ...: LISTEN_PID must be the program's own.
INHERIT = """
import os, sys
count = int(sys.argv[1])
fds = [os.dup(int(fd)) for fd in sys.argv[2:2 + count]]
fds = [fd if fd >= 3 + count else os.dup2(fd, 100 + n) for n, fd in enumerate(fds)]
for number, fd in enumerate(fds):
    os.dup2(fd, 3 + number)
    os.set_inheritable(3 + number, True)
os.environ.update(LISTEN_FDS=str(count), LISTEN_PID=os.environ.get("WRONG_PID", str(os.getpid())))
os.execv(sys.argv[2 + count], sys.argv[2 + count:])
"""


class Inherited(LifeTest):
    """Socket activation: LISTEN_FDS (sd_listen_fds(3))."""

    def inheriting(self, socks, listen=(), **env):
        fds = [str(sock.fileno()) for sock in socks]
        agent = self.daemon(listen=list(listen), env={**os.environ, **env}, pass_fds=[sock.fileno() for sock in socks])
        agent.command = [sys.executable, "-c", INHERIT, str(len(fds)), *fds, *agent.command]
        return agent

    def listener(self, name):
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        path = os.path.join(self.directory(), name)
        sock.bind(path)
        sock.listen()
        return sock, path

    def test_an_inherited_socket_is_used_and_its_file_left_alone(self):
        sock, path = self.listener("inherited")
        agent = self.inheriting([sock]).start(path)
        self.serves(path)
        agent.stop()
        self.assertTrue(os.path.exists(path), "it is the service manager's")

    def test_several_inherited_sockets(self):
        (one, first), (two, second) = self.listener("one"), self.listener("two")
        agent = self.inheriting([one, two]).start(first)
        self.serves(first)
        self.serves(second)
        agent.stop()

    def test_inherited_sockets_beside_others(self):
        sock, path = self.listener("inherited")
        other = os.path.join(self.directory(), "own")
        agent = self.inheriting([sock], listen=["unix:" + other]).start(path)
        self.serves(path)
        timing.eventually(lambda: os.path.exists(other), "the other is there too")
        self.serves(other)
        agent.stop()

    def test_connections_that_came_before_the_daemon_are_served(self):
        sock, path = self.listener("early")
        with daemon.Client(path) as early:
            call = early.submit("AgentService.Ping", agent_pb2.PingRequest(payload=b"early"))
            agent = self.inheriting([sock]).start(path)
            self.assertEqual(early.wait(call).payload, b"early")
        agent.stop()

    def test_somebody_elses_descriptors_are_not_ours(self):
        sock, path = self.listener("others")
        own = os.path.join(self.directory(), "own")
        agent = self.inheriting([sock], listen=["unix:" + own], WRONG_PID="1").start(own)
        self.serves(own)
        sock.setblocking(False)
        probe = daemon.dial(path, timing.PATIENCE)
        self.addCleanup(probe.close)
        sock.accept()[0].close()
        agent.stop()

    @each(kind=("tcp", "datagrams", "not_listening", "file"))
    def test_an_inherited_descriptor_that_is_none(self, kind):
        if kind == "file":
            sock = tempfile.TemporaryFile()
        elif kind == "tcp":
            sock = socket.create_server(("127.0.0.1", 0))
        else:
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "datagrams" else socket.SOCK_STREAM)
        self.addCleanup(sock.close)
        agent = self.inheriting([sock])
        done = subprocess.run(agent.command, capture_output=True, text=True, timeout=timing.PATIENCE, **agent.popen)
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("LISTEN_FDS", done.stderr)


class Ready(LifeTest):
    """Telling the service manager (sd_notify(3))."""

    @each(kind=("path", "abstract"))
    def test_it_says_when_it_is_ready_and_when_it_ends(self, kind):
        place = os.path.join(self.directory(), "notify") if kind == "path" else f"@tlsagent-notify-{os.getpid()}"
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
            manager.bind("\0" + place[1:] if kind == "abstract" else place)
            manager.settimeout(timing.PATIENCE)
            agent = self.daemon(env={**os.environ, "NOTIFY_SOCKET": place})
            with open(agent.log_path, "wb") as log:
                agent.process = subprocess.Popen(agent.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, **agent.popen)
            self.assertIn(b"READY=1", manager.recv(1000).split(b"\n"))
            self.serves(agent.path)  # at once: ready means listening
            agent.send_signal(signal.SIGTERM)
            self.assertIn(b"STOPPING=1", manager.recv(1000).split(b"\n"))
            self.assertEqual(agent.wait(), 0)

    @each(place={"nobody": "/nowhere/at/all", "too_long": "/" + "x" * 300, "empty": "", "relative": "notify"})
    def test_a_service_manager_that_is_not_there_is_no_reason_to_stop(self, place):
        agent = self.daemon(env={**os.environ, "NOTIFY_SOCKET": place}).start()
        agent.stop()


class Ending(LifeTest):
    def waiting_read(self, rpc):
        """(call, puppet): a Read that waits for the puppet."""
        near, far = sessions.tcp_pair()
        self.addCleanup(near.close)
        self.addCleanup(far.close)
        puppet = peers.Puppet(far, peers.python_context(True, pki.server("ecdsa")), True)
        handshake = Background(puppet.handshake)
        session = sessions.connect(rpc, "fd", sessions.context(rpc, "client", trust=[pki.root()]), near)
        handshake.result()
        call = rpc.submit("SessionService.Read", session_pb2.ReadRequest(session=session.handle))
        rpc.agent.Ping()
        return call, puppet

    def client(self, agent):
        rpc = agent.client()
        self.addCleanup(rpc.close)
        return rpc

    @each(number=(signal.SIGTERM, signal.SIGINT))
    def test_it_ends_when_told_to_even_with_idle_clients(self, number):
        agent = self.daemon("--drain-timeout", "600").start()
        rpc = self.client(agent)
        rpc.agent.Ping()
        sessions.context(rpc, "client")
        agent.send_signal(number)
        self.assertEqual(agent.wait(), 0)
        self.assertFalse(os.path.exists(agent.path))

    @each(number=(signal.SIGTERM, signal.SIGINT))
    def test_calls_in_flight_are_finished_and_new_ones_refused(self, number):
        agent = self.daemon("--drain-timeout", "600").start()
        rpc, other = self.client(agent), self.client(agent)
        other.agent.Ping()
        call, puppet = self.waiting_read(rpc)
        agent.send_signal(number)
        timing.eventually(lambda: not os.path.exists(agent.path), "it no longer listens")
        timing.eventually(lambda: self.refused(other), "new calls are refused")
        puppet.send(b"just in time")
        self.assertEqual(rpc.wait(call).data, b"just in time")
        self.assertEqual(agent.wait(), 0)

    def refused(self, rpc):
        try:
            rpc.agent.Ping()
        except RpcError as error:
            self.assertEqual(error.code, Code.UNAVAILABLE)
            return True
        return False

    def test_calls_that_take_too_long_are_cancelled(self):
        agent = self.daemon("--drain-timeout", "1").start()
        rpc = self.client(agent)
        call, _ = self.waiting_read(rpc)
        agent.send_signal(signal.SIGTERM)
        try:
            self.assertEqual(rpc.wait(call).progress.error.kind, 7)  # CLOSED_HERE
        except RpcError as error:
            self.assertIn(error.code, (Code.CANCELLED, Code.UNAVAILABLE))
        except (ConnectionLost, ConnectionError):
            pass
        self.assertEqual(agent.wait(), 0)
        self.assertRegex(agent.log(), "1 calls? .*not done in time")

    @each(first=(signal.SIGTERM, signal.SIGINT), second=(signal.SIGTERM, signal.SIGINT))
    def test_a_second_signal_ends_it_now(self, first, second):
        agent = self.daemon("--drain-timeout", "600").start()
        rpc = self.client(agent)
        self.waiting_read(rpc)
        agent.send_signal(first)
        timing.eventually(lambda: not os.path.exists(agent.path), "the first is understood")
        agent.send_signal(second)
        code = agent.wait()
        self.assertIn(code, (128 + second, -second), "not 0: calls were cut off")

    def test_no_drain_at_all(self):
        agent = self.daemon("--drain-timeout", "0").start()
        rpc = self.client(agent)
        self.waiting_read(rpc)
        agent.stop()

    def test_handshakes_in_flight_are_no_obstacle(self):
        agent = self.daemon("--drain-timeout", "0").start()
        rpc = self.client(agent)
        context = sessions.context(rpc, "client", trust=[pki.root()])
        for _ in range(10):
            near, far = sessions.tcp_pair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            rpc.submit("SessionService.Connect", session_pb2.ConnectRequest(
                context=context, server_name="localhost",
                transport=session_pb2.Transport(fd=session_pb2.FdTransport(fd=0))), fds=[near.fileno()])
        rpc.agent.Ping()
        agent.stop()

    @each(number=(signal.SIGPIPE, signal.SIGURG, signal.SIGWINCH))
    def test_other_signals_do_not_matter(self, number):
        agent = self.daemon().start()
        agent.send_signal(number)
        self.serves(agent.path)
        agent.stop()

    def test_its_supervisor_may_have_closed_everything(self):
        """Started without standard streams, as some supervisors do."""
        agent = self.daemon()
        agent.command = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", *agent.command]
        agent.start()
        self.serves(agent.path)
        with agent.client() as rpc:
            sessions.context(rpc, "server", pki.server("ecdsa"))
        agent.stop()


class Log(LifeTest):
    def lines(self, *args, **kwargs):
        """What a daemon says that is started, used and stopped."""
        agent = self.daemon(*args, **kwargs).start()
        self.serves(agent.path)
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        return agent.log().splitlines()

    def test_text(self):
        lines = self.lines("--log-format", "text")
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (error|warning|info|debug) +\S")

    def test_json(self):
        lines = self.lines("--log-format", "json")
        self.assertTrue(lines)
        for line in lines:
            record = json.loads(line)
            self.assertEqual(set(record), {"time", "level", "message"})

    def test_journald(self):
        lines = self.lines("--log-format", "journald")
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, r"^<[3-7]>\S")

    def test_journald_by_default_under_systemd(self):
        agent = self.daemon()
        with open(agent.log_path, "wb") as log:
            file = os.fstat(log.fileno())
        agent.popen["env"] = {**os.environ, "JOURNAL_STREAM": f"{file.st_dev}:{file.st_ino}"}
        agent.start()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        self.assertRegex(agent.log(), r"^<[3-7]>")

    def test_text_by_default_when_the_journal_listens_elsewhere(self):
        lines = self.lines(env={**os.environ, "JOURNAL_STREAM": "1:2"})
        self.assertRegex(lines[0], r"^\d{4}-")

    def test_only_errors(self):
        self.assertEqual(self.lines("--log-level", "error"), [])

    def test_nobody_can_forge_a_line(self):
        """What a client says is quoted, if it is said at all."""
        agent = self.daemon("--log-level", "debug").start()
        with agent.client() as rpc:
            evil = "\n2026-01-01T00:00:00.000Z error   forged \x1b[31m"
            for call in (lambda: rpc.session.Connect(server_name=evil), lambda: rpc.context.Open(name=evil),
                         lambda: rpc.context.Create(name=evil, kind=3)):
                try:
                    call()
                except RpcError:
                    pass
            try:
                rpc.context.Forget(name=evil)
            except RpcError:
                pass
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        self.assertFalse([line for line in agent.log().splitlines() if line.startswith("2026-01-01T00:00:00.000Z")])
        self.assertNotIn("\x1b", agent.log())


class Secrets(LifeTest):
    def busy_daemon(self):
        """A daemon that has seen keys, passwords and plaintext, good ones and bad ones, and said all it has to say."""
        agent = self.daemon("--log-level", "debug").start()
        with agent.client() as rpc:
            request = sessions.context_request("server", pki.server("rsa"))
            pair = request.pairs.add()
            pair.chain.data, pair.key.data = pki.server("ecdsa").chain, pki.encrypted_key("ecdsa", "the password")
            pair.password.value = b"the password"
            context = rpc.context.Create(request).context
            for password in (b"the wrong password", b""):
                pair.password.value = password
                self.assertTrue(rpc.context.Create(request).HasField("error"))
            pair.key.data = pki.server("rsa").key
            self.assertTrue(rpc.context.Create(request).HasField("error"))
            near, far = sessions.tcp_pair()
            self.addCleanup(near.close)
            self.addCleanup(far.close)
            puppet = peers.Puppet(far, peers.python_context(False), False, pki.HOST)
            handshake = Background(puppet.handshake)
            session = sessions.accept(rpc, "fd", context, near)
            handshake.result()
            session.write(b"the plaintext that nobody else may see")
            puppet.send(b"the plaintext that nobody else may see")
            session.read()
            self.token = rpc.agent.Hello().token
        return agent

    def test_no_secret_is_ever_logged(self):
        agent = self.busy_daemon()
        agent.send_signal(signal.SIGTERM)
        self.assertEqual(agent.wait(), 0)
        with open(agent.log_path, "rb") as file:
            log = file.read()
        self.assertTrue(log)
        secrets = [b"the password", b"the wrong password", b"PRIVATE KEY", b"the plaintext", self.token, self.token.hex().encode()]
        for pair in (pki.server("rsa"), pki.server("ecdsa")):
            secrets += [line for line in pair.key.split(b"\n") if len(line) > 20 and not line.startswith(b"-----")]
            secrets += [pair.key_der[-32:], pair.key_der[-32:].hex().encode(), base64.b64encode(pair.key_der[-33:])]
        for secret in secrets:
            self.assertNotIn(secret, log)

    def test_nothing_of_the_keys_is_in_its_command_line_or_environment(self):
        agent = self.busy_daemon()
        for name in ("cmdline", "environ"):
            try:
                with open(f"/proc/{agent.pid}/{name}", "rb") as file:
                    self.assertNotIn(b"password", file.read())
            except PermissionError:
                pass  # so much the better
        agent.stop()

    def test_it_dumps_no_core(self):
        agent = self.daemon().start()
        with open(f"/proc/{agent.pid}/limits") as limits:
            self.assertRegex(limits.read(), r"Max core file size +0 +0 ")
        agent.stop()

    @unittest.skipIf(timing.SANITIZER == "asan", "LeakSanitizer works by ptrace")
    def test_its_own_user_can_not_look_inside(self):
        agent = hand_over(self.daemon(preexec_fn=users.become_nobody)) if os.getuid() == 0 else self.daemon()
        agent.start()
        look = (lambda pid: users.as_nobody(look_inside, pid)) if os.getuid() == 0 else look_inside
        for what, outcome in look(agent.pid).items():
            self.assertIn(outcome, (errno.EACCES, errno.EPERM), what)
        agent.stop()

    def test_it_gains_no_privileges(self):
        agent = self.daemon().start()
        self.assertEqual(agent.status("NoNewPrivs"), "1")
        agent.stop()


def look_inside(pid):
    """{way of looking: errno, or 0 when it worked}."""
    found = {}
    for name in ("mem", "environ", "maps", "fd"):
        try:
            (os.listdir if name == "fd" else lambda path: open(path, "rb").read(1))(f"/proc/{pid}/{name}")
            found[name] = 0
        except OSError as error:
            found[name] = error.errno
    libc = ctypes.CDLL(None, use_errno=True)
    found["ptrace"] = 0 if libc.ptrace(16, pid, None, None) == 0 else ctypes.get_errno()  # PTRACE_ATTACH
    return found


class WithoutRing(LifeTest):
    """io_uring forbidden, as in many containers: one line that says so and what to do, and no start."""

    @each(error={"by_seccomp": errno.EPERM, "by_an_old_kernel": errno.ENOSYS},
          call={"setup": seccomp.IO_URING_SETUP, "enter": seccomp.IO_URING_ENTER, "register": seccomp.IO_URING_REGISTER})
    def test_it_says_so_and_ends(self, error, call):
        place = os.path.join(self.directory(), "s")
        done = daemon.run("--listen", "unix:" + place, preexec_fn=seccomp.forbid(call, error))
        self.assertEqual(done.returncode, 1, done)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn("io_uring", lines[0])
        self.assertRegex(lines[0], "seccomp|sysctl|kernel")
        self.assertFalse(os.path.exists(place))

    def test_out_of_memory_for_rings_is_said_too(self):
        done = daemon.run("--listen", "unix:@tlsagent-never", preexec_fn=seccomp.forbid(seccomp.IO_URING_SETUP, errno.ENOMEM))
        self.assertEqual(done.returncode, 1, done)
        self.assertRegex(done.stderr, "memory for the rings?")

    @each(option=("--help", "--version", "--print-limits"))
    def test_what_needs_no_ring_works_without(self, option):
        done = daemon.run(option, preexec_fn=seccomp.forbid(seccomp.IO_URING_SETUP, errno.EPERM))
        self.assertEqual(done.returncode, 0, done)


if __name__ == "__main__":
    sys.exit("run me with runner.py")
