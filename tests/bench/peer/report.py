"""What came of it: one dict with everything, and a table of it."""

import json
import os
import pathlib
import platform
import statistics
import sys
import time

import page

SCHEMA = "tlsagent-peers/1"
DISTURBED = 0.1  # the share of the cpus that others may have in a turn
REACHED = 0.95    # less of the handshakes that go on to the back end is worth a remark
COLUMN = 14


# --- The dict ----------------------------------------------------------------------------------------------------------

def _spread(values):
    good = [value for value in values if value is not None]
    if not good:
        return {"values": values, "median": None, "min": None, "max": None}
    return {"values": values, "median": statistics.median(good), "min": min(good), "max": max(good)}


def _ratio(ours, other):
    """Of the values of the same rounds."""
    both = [a / b for a, b in zip(ours or [], other or []) if a is not None and b]
    return statistics.median(both) if both else None


def _best(values, kinds, figure):
    """The name of the peer that is best by the median of its ratios to all peers of the same round, or None."""
    peers = {name: row for name, row in values.items() if kinds.get(name) == "peer"}
    rounds = [[value for value in one if value is not None] for one in zip(*peers.values())]
    means = [statistics.mean(one) if one else None for one in rounds]
    scores = {name: _ratio(row, means) for name, row in peers.items() if _ratio(row, means) is not None}
    choose = max if figure.more_is_better else min
    return choose(scores, key=scores.get) if scores else None


def _aims(figure, name, row, openssl):
    """openssl is "system", "newer" or "other"."""
    found = []
    for aim in figure.aims:
        value = row["median"] if aim.against == "value" else row["to_" + aim.against.replace(" ", "_")]
        if aim.openssl in ("any", openssl) and value is not None:
            met = value >= aim.bound if aim.at_least else value <= aim.bound
            found.append({"server": name, "against": aim.against, "bound": aim.bound, "at_least": aim.at_least,
                          "value": value, "met": met})
    return found


def _figure(figure, values, contenders):
    kinds = {one.name: one.kind for one in contenders}
    rows = {one.name: _spread(values[one.name]) for one in contenders if one.name in values}
    best = _best(values, kinds, figure)
    for name, row in rows.items():
        row["to_best_peer"] = _ratio(values[name], values.get(best))
        row["to_in_process"] = _ratio(values[name], values.get("in process"))
    aims = [aim for one in contenders if one.kind == "ours" and one.name in rows
            for aim in _aims(figure, one.name, rows[one.name], one.openssl)]
    return {"name": figure.name, "title": figure.title, "unit": figure.unit, "digits": figure.digits,
            "more_is_better": figure.more_is_better, "best_peer": best, "servers": rows, "aims": aims}


def _cpu_model():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _remarks(bench):
    medians = {key: statistics.median(shares) for key, shares in bench.reached.items()}
    return [f"{server} went on to the back end for {median:.0%} of its handshakes of {measure}: it is spared that for some "
            "whose client closes at once, as the load does."
            for (measure, server), median in medians.items() if median < REACHED]


def tell(bench, began):
    options = bench.options
    figures = [{**_figure(figure, bench.values[figure.name], bench.contenders), "measure": measure.name,
                "about": measure.about}
               for measure in options.measures for figure in measure.figures if figure.name in bench.values]
    others = bench.others or [0]
    return {
        "schema": SCHEMA,
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(began)),
        "seconds": round(time.time() - began),
        "rounds": options.rounds,
        "size": options.size,
        "machine": {"cpu": _cpu_model(), "cpus": os.cpu_count(), "kernel": platform.release(),
                    "server_cpu": options.server_cpu, "load_cpu": options.load_cpu},
        "servers": [{"name": one.name, "kind": one.kind, "version": one.version()} for one in bench.contenders],
        "figures": figures,
        "notes": bench.notes,
        "remarks": _remarks(bench),
        "others": {"disturbed_turns": sum(share > DISTURBED for share in others), "turns": len(others), "max": max(others)},
    }


# --- The table ---------------------------------------------------------------------------------------------------------

def number(value, digits):
    return "-" if value is None else f"{value:,.{digits}f}"


def aim_text(aim):
    bound = f"{'>=' if aim['at_least'] else '<='} {aim['bound']:g}"
    return bound if aim["against"] == "value" else f"{bound} x {aim['against']}"


def others_text(told):
    others = told["others"]
    text = (f"Others had more than {DISTURBED:.0%} of the two cpus in {others['disturbed_turns']} of {others['turns']} "
            f"turns, at most {others['max']:.0%}")
    return text + (": these figures are not those of a quiet machine." if others["disturbed_turns"] else ".")


def _line(title, cells):
    return f"{title:<46}" + "".join(f"{cell:>{COLUMN}}" for cell in cells)


def print_table(told, out):
    names = [server["name"] for server in told["servers"]]
    print(_line("", [name if len(name) < COLUMN else name[:COLUMN - 2] + "…" for name in names]), file=out)
    for figure in told["figures"]:
        rows = [figure["servers"].get(name, {}) for name in names]
        medians = [number(row.get("median"), figure["digits"]) for row in rows]
        print(_line(f"{figure['title']}, {figure['unit']}", medians), file=out)
        for key, what in (("to_best_peer", f"best peer, {figure['best_peer']}"), ("to_in_process", "in process")):
            if any(row.get(key) is not None for row in rows):
                print(_line(f"    / {what}", [number(row.get(key), 2) for row in rows]), file=out)
        for aim in figure["aims"]:
            verdict = "met" if aim["met"] else "NOT met"
            print(f"    {aim['server']}: {aim['value']:.2f}, aim {aim_text(aim)}: {verdict}", file=out)
    print(f"\nMedians of {told['rounds']} rounds. {others_text(told)}", file=out)
    print(f"Servers on cpu {told['machine']['server_cpu']}, load and back ends on cpu {told['machine']['load_cpu']}, of "
          f"{told['machine']['cpu']}, Linux {told['machine']['kernel']}.", file=out)
    for remark in told["remarks"]:
        print(remark, file=out)
    for note in told["notes"]:
        print(f"Failed: {note}", file=out)


METHOD = [
    "Every server has one worker (haproxy nbthread 1, nginx worker_processes 1, hitch workers = 1, tlsagentd --workers 1; "
    "stunnel has a thread for each connection), TLS 1.3 with X25519 and TLS_AES_128_GCM_SHA256, a certificate that signs "
    "itself, and a plaintext back end of its own at 127.0.0.0/8. Tickets and caches are off, except where sessions are "
    "resumed. tlsagent is `tlsagent relay`; tlsagent by fd is a program that accepts, passes the socket to tlsagentd and "
    "the plaintext descriptor that it gets on to the back end, and its CPU time counts too.",
    "The server that is measured has one cpu; tlsagent-load and the back ends have the other, so that what they need isn't "
    "counted, but it does bound the rates. Two workers have both cpus: there the busiest thread's CPU time tells what it "
    "could serve in a second, since the wall clock would mostly tell what the load could.",
    "CPU time is that of all processes of a server, threads that have ended included, in user space and in the kernel, by "
    "their clocks of nanoseconds. Latency is what the load measures; under the storm it counts from the time at which an "
    "echo was due. Resident memory is what it grows by from a server that has had some connections already.",
    "OpenSSL in process has both ends in one thread, over memory BIOs, and counts the server's share alone: no sockets, no "
    "other process, and no back end. The servers take turns in every round, and who begins changes. Bars are medians of "
    "all rounds, whiskers reach from the least to the most, and ratios are taken round by round.",
]


def write(told, options):
    if options.json == "-":
        json.dump(told, sys.stdout, indent=1)
        print()
    else:
        print_table(told, sys.stdout)
    folder = pathlib.Path(os.environ.get("PEERS_FOLDER", "."))  # where somebody called us
    if options.json and options.json != "-":
        (folder / options.json).write_text(json.dumps(told, indent=1) + "\n")
    if options.html:
        (folder / options.html).write_text(page.render(told, METHOD + told["remarks"], others_text(told)))
