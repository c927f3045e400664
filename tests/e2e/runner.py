#!/usr/bin/python3
"""Runs one file of unittests, as Bazel wants it: the programs under test in the environment, JUnit XML at the end.

  tests/e2e/runner.py tests/e2e/NAME_test.py [PATTERN...]

Without Bazel it works too: set the variables of PROGRAMS to the programs to test. A PATTERN (or Bazel's
--test_filter=PATTERN) picks the tests whose name contains it.
"""

import faulthandler
import importlib.util
import os
import sys
import time
import unittest
import xml.etree.ElementTree as ET

# variable: where Bazel puts what it names, below the root of the runfiles
PROGRAMS = {
    "TLSAGENTD": "server/tlsagentd",
    "TLSAGENT_CLI": "client/cli/tlsagent",
    "TLSAGENT_LOAD": "client/load/tlsagent-load",
    "LIBTLSAGENT": "client/c/libtlsagent.so",
    "TLSAGENT_GO_DIR": "tests/e2e/go/bin",
    "TLSAGENT_PYTHON_DIR": "client/python",
    "TLSAGENT_LIBRARY_USER": "tests/e2e/c/library",
    "TLSAGENT_C_DIR": "tests/e2e/c",
    "TLSAGENT_EXAMPLES": "client/examples",
    "TLSAGENT_PROTO": "proto",
    "TLSAGENT_NODE": "client/node",
    "TLSAGENT_CONFORMANCE": "tests/conformance",
}
# What tests import: the modules they share, and tlsagent.v1.*_pb2 and ttrpc.*_pb2.
MODULES = ["tests/e2e/lib", "proto"]

# A test that hangs shows where it hangs, before Bazel's own timeout takes the trace with it.
HANG_SECONDS = int(os.environ.get("TEST_TIMEOUT", "300")) - 20

# Imported files may be the tree's own (tests/tidy): leave no __pycache__ there.
sys.dont_write_bytecode = True


class Result(unittest.TextTestResult):
    """Remembers (test, outcome, text, seconds) for the XML."""

    def __init__(self, *args):
        super().__init__(*args)
        self.cases = []
        self.started = 0.0

    def startTest(self, test):
        super().startTest(test)
        self.started = time.monotonic()

    def note(self, test, outcome, text=""):
        self.cases.append((test, outcome, text, time.monotonic() - self.started))

    def addSuccess(self, test):
        super().addSuccess(test)
        self.note(test, "passed")

    def addFailure(self, test, err):
        super().addFailure(test, err)
        self.note(test, "failure", self.failures[-1][1])

    def addError(self, test, err):
        super().addError(test, err)
        self.note(test, "error", self.errors[-1][1])

    def addSkip(self, test, reason):
        super().addSkip(test, reason)
        self.note(test, "skipped", reason)

    def addSubTest(self, test, subtest, err):
        super().addSubTest(test, subtest, err)
        if err is not None:
            self.note(subtest, "failure", self._exc_info_to_string(err, subtest))

    def addExpectedFailure(self, test, err):
        super().addExpectedFailure(test, err)
        self.note(test, "passed")

    def addUnexpectedSuccess(self, test):
        super().addUnexpectedSuccess(test)
        self.note(test, "failure", "expected to fail, and passed")


def printable(text):
    """XML 1.0 has no escape for most control characters."""
    return "".join(c if c in "\t\n\r" or " " <= c < "\ufffe" else "?" for c in text)


def write_xml(path, suite_name, result, seconds):
    outcomes = [outcome for _, outcome, _, _ in result.cases]
    suite = ET.Element("testsuite", name=suite_name, time=f"{seconds:.3f}",
                       tests=str(len(outcomes)), failures=str(outcomes.count("failure")),
                       errors=str(outcomes.count("error")), skipped=str(outcomes.count("skipped")))
    for test, outcome, text, took in result.cases:
        classname, _, name = test.id().partition(".")
        case = ET.SubElement(suite, "testcase", classname=classname, name=printable(name), time=f"{took:.3f}")
        if outcome != "passed":
            detail = ET.SubElement(case, outcome, message=printable(text.strip().split("\n")[-1]))
            detail.text = printable(text)
    root = ET.Element("testsuites")
    root.append(suite)
    ET.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)


def find_programs():
    """Under Bazel the working directory is the root of the runfiles; what isn't there may be set from outside."""
    root = os.getcwd()
    for variable, path in PROGRAMS.items():
        if variable not in os.environ and os.path.exists(os.path.join(root, path)):
            os.environ[variable] = os.path.join(root, path)
    modules = [os.path.join(root, path) for path in MODULES]
    sys.path[:0] = modules
    os.environ["PYTHONPATH"] = os.pathsep.join(modules + [os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)


def load(path):
    """The tests of one file; a file that can't be imported is one failed test."""
    name = os.path.splitext(os.path.basename(path))[0]
    sys.path.insert(0, os.path.dirname(os.path.abspath(path)))
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return name, module


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    find_programs()
    faulthandler.dump_traceback_later(HANG_SECONDS, exit=True)
    name, module = load(sys.argv[1])
    loader = unittest.TestLoader()
    patterns = sys.argv[2:] + [p for p in [os.environ.get("TESTBRIDGE_TEST_ONLY")] if p]
    loader.testNamePatterns = [f"*{p}*" for p in patterns] or None

    start = time.monotonic()
    verbosity = 1 if "TEST_TARGET" in os.environ else 2  # Bazel shows failures only: no line for each success
    runner = unittest.TextTestRunner(sys.stdout, verbosity=verbosity, resultclass=Result)
    result = runner.run(loader.loadTestsFromModule(module))
    if "XML_OUTPUT_FILE" in os.environ:
        write_xml(os.environ["XML_OUTPUT_FILE"], name, result, time.monotonic() - start)
    sys.exit(0 if result.wasSuccessful() else 1)


if __name__ == "__main__":
    main()
