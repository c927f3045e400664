"""What each of these programs asserts of its own process."""

import os
import re
import ssl
import sys

import _ssl

STOCK = "TLSAGENT_APPS_STOCK" in os.environ  # to try the programs themselves


def libssl():
    """The files in this process that are a libssl."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return sorted({line.split()[-1] for line in maps if re.search(r"/libssl[.-]", line)})


def check():
    """Ends the program unless all of its TLS is tlsagentd's."""
    where = os.path.realpath(_ssl.__file__)
    if not STOCK and os.path.basename(where) != "_ssl.abi3.so":
        sys.exit(f"_ssl is {where}, not tlsagent's")
    if not STOCK and libssl():
        sys.exit(f"this process has a libssl: {', '.join(libssl())}")
    if not os.path.realpath(ssl.__file__).startswith(os.path.dirname(os.path.realpath(os.__file__))):
        sys.exit(f"ssl is {ssl.__file__}, not Python's own")
