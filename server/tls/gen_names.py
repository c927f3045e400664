#!/usr/bin/python3
"""Writes the names that OpenSSL's headers give to numbers, as tables in C.

OpenSSL can say a reason in words at run time, but not by the name its users program against ("NO_SHARED_CIPHER").
usage: gen_names.py OUT_REASONS OUT_CONSTANTS INCLUDE_DIRECTORY...
"""

import os
import re
import sys

NUMBER = re.compile(r"^#\s*define\s+(\w+)\s+(\d+)\s*(?:/\*.*)?$", re.M)
CONSTANT = re.compile(r"^#\s*define\s+((?:SSL_OP|SSL_AD|SSL_ERROR|X509_V_FLAG|X509_CHECK_FLAG)_\w+)\s+\S", re.M)
CONSTANT_HEADERS = ("ssl.h", "x509_vfy.h", "x509v3.h")


def headers(directories):
    """The folder that holds err.h: the first of the directories that has OpenSSL in it."""
    for directory in directories:
        folder = os.path.join(directory, "openssl")
        if os.path.exists(os.path.join(folder, "err.h")):
            return folder
    sys.exit(f"no openssl/err.h in {directories}")


def read(folder, name):
    with open(os.path.join(folder, name), encoding="utf-8") as stream:
        return re.sub(r"\\\n", " ", stream.read())


def libraries(folder):
    """{"SSL": 20, ...}"""
    numbers = dict(NUMBER.findall(read(folder, "err.h")))
    return {name[len("ERR_LIB_"):]: int(number) for name, number in numbers.items()
            if name.startswith("ERR_LIB_") and name not in ("ERR_LIB_OFFSET", "ERR_LIB_MASK", "ERR_LIB_NONE")}


def reasons(folder, known):
    """{(library's number, reason's number): name}; of two names of one number the first in the alphabet."""
    found = {}
    for header in sorted(os.listdir(folder)):
        if not re.search(r"err(_legacy)?\.h$", header) or header == "err.h":
            continue
        for name, number in NUMBER.findall(read(folder, header)):
            library, _, reason = name.partition("_R_")
            if reason and library in known:
                key = (known[library], int(number))
                found[key] = min(reason, found.get(key, reason))
    return found


def constants(folder):
    names = {name for header in CONSTANT_HEADERS for name in CONSTANT.findall(read(folder, header))}
    return sorted(names)


def write(path, lines):
    with open(path, "w", encoding="utf-8") as stream:
        stream.write("// Written by gen_names.py from OpenSSL's headers.\n" + "".join(line + "\n" for line in lines))


def main(out_reasons, out_constants, *directories):
    folder = headers(directories)
    known = libraries(folder)
    rows = [f'LIBRARY({number}, "{name}")' for name, number in sorted(known.items(), key=lambda item: item[1])]
    rows += [f'REASON({library}, {reason}, "{name}")'
             for (library, reason), name in sorted(reasons(folder, known).items())]
    write(out_reasons, rows)
    write(out_constants, [f"#ifdef {name}\nCONSTANT({name})\n#endif" for name in constants(folder)])


if __name__ == "__main__":
    main(*sys.argv[1:])
