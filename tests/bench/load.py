#!/usr/bin/python3
"""tlsagent-load beside openssl s_time, in turns against one server: does it out-load what it measures?

  tests/bench/run load [--rounds N] [--seconds S] [--json] [--smoke]

The server is `openssl s_server`, TLS 1.3, X25519, a P-256 certificate; nobody verifies. Each round runs every row once, one
connection at a time on one thread. CPU is the whole process's, by wait4(2), over the handshakes it counted.

full        openssl s_time -new, and tlsagent-load with and without close_notify (s_time sends none)
resumed     tlsagent-load --resume 100. There is no s_time beside it: with TLS 1.3 its -reuse resumes nothing, since it never
            reads the ticket

Every figure is the median of the rounds, and every ratio the median of the rounds' ratios. Run it by tests/bench/run, which
builds for release; else say --load.
"""

import argparse
import json
import os
import re
import statistics
import subprocess
import tempfile
import time

AIM = 1.10  # of s_time's cpu for a full handshake

# name: (group, whether it is s_time, options)
ROWS = {
    "s_time -new": ("full", True, ["-new"]),
    "tlsagent-load": ("full", False, []),
    "tlsagent-load --no-shutdown": ("full", False, ["--no-shutdown"]),
    "tlsagent-load --resume 100": ("resumed", False, ["--resume", "100"]),
}
RATIOS = [("tlsagent-load", "s_time -new"), ("tlsagent-load --no-shutdown", "s_time -new"),
          ("tlsagent-load --resume 100", "tlsagent-load")]


def measured(command):
    """The output of a command, and the cpu seconds that all of it took."""
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    output = process.stdout.read()
    process.stdout.close()
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}:\n{output}")
    return output, usage.ru_utime + usage.ru_stime


def run_s_time(options, port, seconds):
    output, cpu = measured(["openssl", "s_time", "-connect", f"127.0.0.1:{port}", "-tls1_3", "-time", str(seconds), *options])
    return int(re.search(r"(\d+) connections in \d+ real seconds", output)[1]), cpu


def run_load(load, options, port, seconds):
    output, cpu = measured([load, "--insecure", "--tls-min", "1.3", "-c", "1", "--workers", "1", "-d", f"{seconds}s", "--quiet",
                            "--json", "-", *options, f"127.0.0.1:{port}"])
    report = json.loads(output)
    if report["errors"]:
        raise SystemExit(f"tlsagent-load met {report['errors']}")
    return report["connections"]["established"], cpu


def start_server(folder):
    """openssl s_server and its port."""
    pair = [os.path.join(folder, name) for name in ("key", "certificate")]
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", pair[0],
                    "-out", pair[1], "-days", "30", "-subj", "/CN=localhost"], check=True, capture_output=True)
    server = subprocess.Popen(["openssl", "s_server", "-accept", "127.0.0.1:0", "-tls1_3", "-rev", "-key", pair[0], "-cert", pair[1]],
                              stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    for line in server.stdout:
        found = re.match(r"ACCEPT 127\.0\.0\.1:(\d+)", line)
        if found:
            return server, int(found[1])
    raise SystemExit("openssl s_server doesn't listen")


def drain(server):
    """What it says of each connection isn't wanted, and must not fill its pipe."""
    subprocess.Popen(["cat"], stdin=server.stdout, stdout=subprocess.DEVNULL)


def run_rounds(load, port, rounds, seconds):
    """CPU in µs for a handshake: one figure for each round, by row."""
    figures = {name: [] for name in ROWS}
    for _ in range(rounds):
        for name, (_, is_s_time, options) in ROWS.items():
            num, cpu = run_s_time(options, port, seconds) if is_s_time else run_load(load, options, port, seconds)
            figures[name].append(1e6 * cpu / max(num, 1))
            time.sleep(0.05)
    return figures


def results(figures):
    rows = [{"name": name, "group": ROWS[name][0], "cpu_us": statistics.median(values), "min_us": min(values), "max_us": max(values)}
            for name, values in figures.items()]
    ratios = [{"name": f"{one} / {other}", "ratio": statistics.median(a / b for a, b in zip(figures[one], figures[other]))}
              for one, other in RATIOS]
    for ratio in ratios[:2]:
        ratio["aim"] = AIM
    return {"rows": rows, "ratios": ratios}


def show(result):
    print(f"{'client cpu for a handshake, in µs':<44} {'median':>8} {'least':>8} {'most':>8}")
    for row in result["rows"]:
        print(f"{row['group'] + ': ' + row['name']:<44} {row['cpu_us']:8.0f} {row['min_us']:8.0f} {row['max_us']:8.0f}")
    print()
    for ratio in result["ratios"]:
        aim = f"   aim <= {ratio['aim']:.2f}: {'met' if ratio['ratio'] <= ratio['aim'] else 'MISSED'}" if "aim" in ratio else ""
        print(f"{ratio['name']:<44} {ratio['ratio']:8.2f}{aim}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--load", default=os.path.join(os.getcwd(), "client/load/tlsagent-load"), help="the program")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=3, help="of each row in each round")
    parser.add_argument("--json", action="store_true", help="for programs")
    parser.add_argument("--smoke", action="store_true", help="does it run? Its figures say nothing")
    options = parser.parse_args()
    if options.smoke:
        options.rounds = options.seconds = 1
    with tempfile.TemporaryDirectory() as folder:
        server, port = start_server(folder)
        drain(server)
        try:
            result = results(run_rounds(options.load, port, options.rounds, options.seconds))
        finally:
            server.kill()
            server.wait()
    if options.json:
        print(json.dumps(result, indent=2))
    else:
        show(result)


if __name__ == "__main__":
    main()
