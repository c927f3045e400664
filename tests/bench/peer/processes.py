"""What processes cost: their CPU time to the nanosecond, their memory, and who else was on the cpus."""

import contextlib
import dataclasses
import os
import pathlib
import resource
import signal
import subprocess
import time

CPUCLOCK_SCHED = 2  # include/linux/posix-timers.h: the clock of a process is ~pid << 3 | 2
URGENT = -15  # how nice we are where we may choose: others on the machine are to disturb as little as can be
TICK = 1 / os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A server or a load didn't do what was asked of it: its turn has no value."""


def raise_limits():
    """Every process started from here may hold as many descriptors as it can."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


@contextlib.contextmanager
def urgent():
    """The session goes before others as a whole, where the kernel has a group for each (sched(7)): nice values count
    within it alone."""
    group = pathlib.Path("/proc/self/autogroup")
    try:
        before = group.read_text().split()[-1]
        group.write_text(str(URGENT))
    except OSError:
        before = None
    try:
        yield
    finally:
        if before is not None:
            group.write_text(before)


def start(command, cpus, yields=False, **options):
    """Popen, pinned to cpus. What yields runs when nobody else of ours has anything to do there, and stops for whoever wakes:
    nice values alone let it end its slice of some milliseconds first."""
    def prepare():
        os.sched_setaffinity(0, cpus)
        with contextlib.suppress(PermissionError):
            os.setpriority(os.PRIO_PROCESS, 0, URGENT)
        if yields:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
    return subprocess.Popen(command, preexec_fn=prepare, **options)


def stop(process, patience=5):
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout, process.stderr):
        if pipe:
            pipe.close()


def _children(pid):
    found = []
    with contextlib.suppress(OSError):
        for task in os.listdir(f"/proc/{pid}/task"):
            found += map(int, pathlib.Path(f"/proc/{pid}/task/{task}/children").read_text().split())
    return found


def tree(*pids):
    """The processes and all that they have started."""
    return [one for pid in pids for one in (pid, *tree(*_children(pid)))]


def cpu_nanos(pids):
    """User and kernel time of processes, threads that have ended included."""
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            total += time.clock_gettime_ns((~pid << 3) | CPUCLOCK_SCHED)
    return total


def thread_nanos(pids):
    """{thread: its CPU time}, of threads that live."""
    found = {}
    for pid in pids:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{pid}/task"):
                found[int(task)] = int(pathlib.Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
    return found


def settle(pids, quiet=0.05, patience=10):
    """Waits until they have nothing more to do, and returns the CPU time they have had."""
    end = time.monotonic() + patience
    before = cpu_nanos(pids)
    while time.monotonic() < end:
        time.sleep(quiet)
        now = cpu_nanos(pids)
        if now - before < quiet * 1e9 / 100:  # some wake up now and then
            return now
        before = now
    return before


def resident_bytes(pids):
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Rss:"):
                    total += int(line.split()[1]) << 10
    return total


def _busy_seconds(cpus):
    """How long the cpus have not been idle, by proc(5)."""
    total = 0
    for line in pathlib.Path("/proc/stat").read_text().splitlines():
        name, *columns = line.split()
        if name.startswith("cpu") and name[3:].isdigit() and int(name[3:]) in cpus:
            idle = int(columns[3]) + int(columns[4])
            total += sum(map(int, columns[:8])) - idle
    return total * TICK


@dataclasses.dataclass
class Others:
    """The share of the cpus that processes other than ours have between two looks."""
    cpus: set
    pids: list
    began: float = 0
    busy: float = 0
    ours: int = 0

    def look(self):
        self.began, self.busy, self.ours = time.monotonic(), _busy_seconds(self.cpus), cpu_nanos(self.pids)
        return self

    def share(self, ended_nanos=0):
        """ended_nanos is the CPU time of ours that have ended since."""
        ours = (cpu_nanos(self.pids) - self.ours + ended_nanos) / 1e9
        seconds = (time.monotonic() - self.began) * len(self.cpus)
        return max(0.0, (_busy_seconds(self.cpus) - self.busy - ours) / seconds)
