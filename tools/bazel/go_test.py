#!/usr/bin/python3
"""go_test.py PROGRAM: runs a Go test program, and writes JUnit XML with every test and subtest of it.

The programs under test are found in the runfiles, and named by environment variables.
"""

import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ET

# variable: where Bazel puts what it names, below the root of the runfiles
PROGRAMS = {
    "TLSAGENTD": "server/tlsagentd",
    "TLSAGENT_GO_EXAMPLES": "client/examples/go/bin",
}

OUTCOME = re.compile(r"^ *--- (PASS|FAIL|SKIP): (\S+) \(([0-9.]+)s\)$", re.M)

# A test that hangs shows all goroutines, before Bazel's own timeout takes them with it.
HANG_SECONDS = int(os.environ.get("TEST_TIMEOUT", "300")) - 20


def environment():
    root = os.getcwd()
    return {**os.environ, **{variable: os.path.join(root, path) for variable, path in PROGRAMS.items()}}


def printable(text):
    """XML 1.0 has no escape for most control characters."""
    return "".join(c if c in "\t\n\r" or " " <= c < "\ufffe" else "?" for c in text)


def write_xml(path, name, code, out):
    suite = ET.Element("testsuite", name=name)
    for outcome, test, seconds in OUTCOME.findall(out):
        case = ET.SubElement(suite, "testcase", classname=name, name=test, time=seconds)
        if outcome == "FAIL":
            ET.SubElement(case, "failure", message=test).text = printable(out)
        elif outcome == "SKIP":
            ET.SubElement(case, "skipped")
    if code and suite.find("testcase/failure") is None:  # a race, a panic, or the daemon ended badly
        case = ET.SubElement(suite, "testcase", classname=name, name="the whole")
        ET.SubElement(case, "failure", message=f"exit code {code}").text = printable(out)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def main():
    command = [os.path.abspath(sys.argv[1]), "-test.v", f"-test.timeout={HANG_SECONDS}s"]
    if os.environ.get("TESTBRIDGE_TEST_ONLY"):
        command.append("-test.run=" + os.environ["TESTBRIDGE_TEST_ONLY"])
    done = subprocess.run(command, env=environment(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, encoding="utf-8", errors="replace", check=False)
    sys.stdout.write(done.stdout)
    if "XML_OUTPUT_FILE" in os.environ:
        write_xml(os.environ["XML_OUTPUT_FILE"], os.path.basename(sys.argv[1]), done.returncode, done.stdout)
    sys.exit(done.returncode)


if __name__ == "__main__":
    main()
