"""`tlsagent exec`: what the command finds in its environment, the private daemon, and that nothing outlives the command.

The module that it puts on PYTHONPATH is only a file here: tests/python has Pythons that use the real one."""

import os
import shutil
import signal
import stat
import subprocess
import tempfile

import daemon
import timing
from e2e import Cases, E2ETest, each

CLI = os.environ["TLSAGENT_CLI"]
MODULE = "_ssl.abi3.so"

USAGE, UNREACHABLE, FILES, NOT_EXECUTABLE, NOT_FOUND = 1, 2, 9, 126, 127

# Prints what a test wants to know of the command's surroundings, and waits for the end of its input.
TELL = 'echo "$TLSAGENT_SOCKET"; echo "$PYTHONPATH"; exec cat'
# The same for a shell that goes on when a signal ends one of its reads.
READ_ON = "for i in 1 2 3 4 5 6 7 8; do read -r line; done"


class ExecTest(Cases):
    def setUp(self):
        self.folder = os.path.realpath(tempfile.mkdtemp(prefix="tlsagent-exec-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.runtime = self.make("runtime")
        self.addCleanup(timing.eventually, lambda: not os.listdir(self.runtime), "no private folder is left")
        self.modules = self.make("modules", MODULE)

    def make(self, name, *files):
        path = os.path.join(self.folder, name)
        os.makedirs(path)
        for file in files:
            open(os.path.join(path, file), "w").close()
        return path

    def environment(self, **more):
        """Nobody listens there, unless a test says otherwise."""
        names = {**os.environ, "TLSAGENT_SOCKET": "unix:" + self.folder + "/nobody", "XDG_RUNTIME_DIR": self.runtime,
                 "TLSAGENT_PYTHON_DIR": self.modules, "PYTHONPATH": "", **more}
        return {name: value for name, value in names.items() if value is not None}

    def run_exec(self, *args, code=0, stdin=b"", program=CLI, **env):
        done = subprocess.run([program, "exec", *args], input=stdin, capture_output=True, timeout=timing.PATIENCE,
                              env=self.environment(**env))
        self.assertEqual(done.returncode, code, done)
        return done

    def start(self, *command, **env):
        """It runs until the test is over, with its input open."""
        process = subprocess.Popen([CLI, "exec", *command], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                   env=self.environment(**env), start_new_session=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        return process

    def start_telling(self, *options, **env):
        """(process, path of the daemon's socket, PYTHONPATH)."""
        process = self.start(*options, "--", "sh", "-c", TELL, **env)
        address, python_path = (process.stdout.readline().decode().strip() for _ in range(2))
        return process, address.removeprefix("unix:"), python_path

    def daemon_pid(self, socket_path):
        """The process that holds the listening socket; the keeper has passed it on."""
        inodes = [line.split()[6] for line in open("/proc/net/unix") if line.rstrip().endswith(" " + socket_path)]
        for pid in filter(str.isdigit, os.listdir("/proc")):
            try:
                links = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
            except OSError:
                continue  # it has ended, or isn't ours
            if any(f"socket:[{inode}]" in links for inode in inodes):
                return int(pid)
        return None

    def is_gone(self, socket_path):
        def refused():
            try:
                daemon.Client(socket_path).close()
            except OSError:
                return True
            return False

        timing.eventually(refused, "nobody listens any more")
        timing.eventually(lambda: not os.path.exists(os.path.dirname(socket_path)), "the folder is gone")


class Environment(ExecTest):
    @each(before={"nothing": None, "an_empty_path": "", "a_path": "/one:/two"})
    def test_python_path_begins_with_the_module(self, before):
        done = self.run_exec("--", "printenv", "PYTHONPATH", PYTHONPATH=before)
        self.assertEqual(done.stdout.decode().strip(), self.modules + (f":{before}" if before else ""))

    def test_python_dir_goes_before_the_variable(self):
        other = self.make("other", MODULE)
        self.assertEqual(self.run_exec("--python-dir", other, "printenv", "PYTHONPATH").stdout.decode().strip(), other)

    def test_a_relative_folder_holds_wherever_the_command_goes(self):
        folder = os.path.relpath(self.modules)
        done = self.run_exec("--python-dir", folder, "sh", "-c", "cd / && printenv PYTHONPATH")
        self.assertEqual(done.stdout.decode().strip(), self.modules)

    def test_the_module_is_found_where_it_is_installed(self):
        self.make("prefix/lib/tlsagent/python", MODULE)
        program = shutil.copy(CLI, self.make("prefix/bin"))
        shutil.copy(os.environ["TLSAGENTD"], os.path.dirname(program))
        done = self.run_exec("printenv", "PYTHONPATH", program=program, TLSAGENT_PYTHON_DIR=None)
        self.assertEqual(done.stdout.decode().strip(), self.folder + "/prefix/lib/tlsagent/python")

    def test_arguments_are_the_commands_own(self):
        for words in (["--", "echo", "--private", "--", "-x"], ["echo", "--private", "--", "-x"]):
            self.assertEqual(self.run_exec(*words).stdout, b"--private -- -x\n")

    def test_input_output_and_status_are_the_commands(self):
        done = self.run_exec("sh", "-c", "cat; echo oops >&2; exit 42", stdin=b"in and out", code=42)
        self.assertEqual((done.stdout, done.stderr), (b"in and out", b"oops\n"))

    def test_the_command_begins_as_from_a_shell(self):
        """No signal is ignored that wasn't, and no descriptor has come with it."""
        for command in (["grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"], ["ls", "/proc/self/fd"]):
            without = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True)
            self.assertEqual(self.run_exec(*command).stdout, without.stdout)


class Complaints(ExecTest):
    @each(case={
        "no_command": ([], USAGE, "usage"), "json": (["--json", "true"], USAGE, "JSON"),
        "private_and_socket": (["--private", "--socket", "/nowhere", "true"], USAGE, "--private and --socket"),
        "nobody_where_asked_for": (["--socket", "/nowhere", "true"], UNREACHABLE, "/nowhere"),
        "no_such_command": (["--", "no-such-command"], NOT_FOUND, "no-such-command"),
        "no_program": (["/etc/passwd"], NOT_EXECUTABLE, "Permission denied"),
        "no_folder": (["--python-dir", "/nowhere", "true"], FILES, "/nowhere"),
        "no_module": (["--python-dir", "/etc", "true"], FILES, "_ssl.abi3.so"),
    })
    def test_it_says_what_is_wrong(self, case):
        args, code, says = case
        done = self.run_exec(*args, code=code)
        self.assertIn(says, done.stderr.decode())

    def test_a_folder_with_a_colon(self):
        done = self.run_exec("--python-dir", self.make("a:b", MODULE), "true", code=FILES)
        self.assertIn("colon", done.stderr.decode())

    def test_nothing_is_installed(self):
        program = shutil.copy(CLI, self.make("bin"))
        done = self.run_exec("true", program=program, code=FILES, TLSAGENT_PYTHON_DIR=None)
        self.assertIn("--python-dir", done.stderr.decode())

    def test_there_is_no_tlsagentd(self):
        program = shutil.copy(CLI, self.make("bin"))
        done = self.run_exec("/bin/true", program=program, code=UNREACHABLE, PATH="/nowhere")
        self.assertIn("cannot run tlsagentd: No such file", done.stderr.decode())

    def test_a_tlsagentd_that_cannot_start_says_why(self):
        program = shutil.copy(CLI, self.make("bin"))
        with open(os.path.join(self.folder, "bin/tlsagentd"), "w") as script:
            script.write("#!/bin/sh\necho no rings today >&2\nexit 1\n")
        os.chmod(script.name, 0o755)
        done = self.run_exec("true", program=program, code=UNREACHABLE)
        self.assertIn("no rings today", done.stderr.decode())
        self.assertIn("didn't start", done.stderr.decode())


class Running(E2ETest, ExecTest):
    """A daemon is there already."""

    def setUp(self):
        E2ETest.setUp(self)
        ExecTest.setUp(self)

    def test_it_is_used(self):
        address = "unix:" + self.daemon.path
        for options, env in (([], {"TLSAGENT_SOCKET": address}), (["--socket", self.daemon.path], {})):
            done = self.run_exec(*options, "sh", "-c", "printenv TLSAGENT_SOCKET; ls $XDG_RUNTIME_DIR", **env)
            self.assertEqual(done.stdout.decode(), address + "\n")

    def test_private_is_another_one(self):
        process, path, _ = self.start_telling("--private", TLSAGENT_SOCKET="unix:" + self.daemon.path)
        self.assertNotEqual(path, self.daemon.path)
        process.communicate()
        self.is_gone(path)


class Private(ExecTest):
    """None is running, so there is one for the command."""

    def test_it_answers_and_nobody_else_may_enter(self):
        process, path, _ = self.start_telling()
        with daemon.Client(path) as rpc:
            self.assertEqual(rpc.agent.Ping(payload=b"there?").payload, b"there?")
        self.assertEqual(os.path.dirname(os.path.dirname(path)), self.runtime)
        self.assertEqual(stat.S_IMODE(os.stat(os.path.dirname(path)).st_mode), 0o700)
        process.communicate()
        self.assertEqual(process.returncode, 0)
        self.is_gone(path)

    @each(folder={"no_such_folder": "/nowhere", "a_path_too_long_for_a_socket": "/" + "x" * 100, "nothing": None})
    def test_the_folder_is_elsewhere_when_it_must(self, folder):
        process, path, _ = self.start_telling(XDG_RUNTIME_DIR=folder, TMPDIR=self.runtime)
        self.assertTrue(path.startswith(self.runtime), path)
        process.communicate()
        self.is_gone(path)

    @each(number={"term": signal.SIGTERM, "int": signal.SIGINT, "hup": signal.SIGHUP, "kill": signal.SIGKILL})
    def test_it_goes_with_a_command_that_is_killed(self, number):
        process, path, _ = self.start_telling()
        process.send_signal(number)
        self.assertEqual(process.wait(timing.PATIENCE), -number)
        self.is_gone(path)

    def test_signals_are_the_commands_to_handle(self):
        process = self.start("sh", "-c", 'trap "echo caught; exit 3" TERM; echo there; while :; do sleep 0.01; done')
        process.stdout.readline()
        process.terminate()
        self.assertEqual(process.stdout.read(), b"caught\n")
        self.assertEqual(process.wait(timing.PATIENCE), 3)

    def test_a_terminals_signals_leave_the_daemon_alone(self):
        """Ctrl-C goes to the command's group: a command that goes on needs its daemon."""
        process = self.start("sh", "-c", "trap : INT HUP QUIT; " + TELL.replace("exec cat", READ_ON))
        path = process.stdout.readline().decode().strip().removeprefix("unix:")
        process.stdout.readline()
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
            os.killpg(process.pid, number)
        with daemon.Client(path) as rpc:
            rpc.agent.Ping()
        process.communicate()
        self.is_gone(path)

    def test_the_command_has_no_children_that_it_does_not_know_of(self):
        process, path, _ = self.start_telling()
        with open(f"/proc/{process.pid}/task/{process.pid}/children") as children:
            names = [open(f"/proc/{pid}/comm").read().strip() for pid in children.read().split()]
        self.assertNotIn("tlsagent", names)
        self.assertNotIn("tlsagentd", names)
        process.communicate()
        self.is_gone(path)

    def test_a_killed_daemon_takes_its_folder_along(self):
        process, path, _ = self.start_telling()
        os.kill(self.daemon_pid(path), signal.SIGKILL)
        self.is_gone(path)
        process.communicate()

    def test_a_killed_keeper_takes_the_daemon_along(self):
        process, path, _ = self.start_telling()
        pid = self.daemon_pid(path)
        with open(f"/proc/{pid}/stat") as fields:
            keeper = int(fields.read().rpartition(")")[2].split()[1])
        os.kill(keeper, signal.SIGKILL)
        timing.eventually(lambda: self.daemon_pid(path) is None, "the daemon is gone")
        shutil.rmtree(os.path.dirname(path))  # nobody is left who would
        process.communicate()

    def test_many_at_a_time_do_not_meet(self):
        started = [self.start_telling() for _ in range(5)]
        self.assertEqual(len({path for _, path, _ in started}), 5)
        for process, _, _ in started:
            process.communicate()
