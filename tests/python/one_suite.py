"""What suites.py runs in a process of its own, by the Python under test. Only the standard library is used.

  one_suite.py find                  prints the test modules that speak TLS, as JSON
  one_suite.py run ORDER EVENTS      runs one of them as the file ORDER (JSON) says, and adds to EVENTS a JSON line for
                                     each thing that happens, so that it is known how far it came when it hangs or dies
"""

import ast
import faulthandler
import importlib
import json
import os
import re
import sys
import threading
import time
import unittest

# Folders of the standard library in which nothing can lead from a test to TLS that isn't a test's own business.
# asyncio and unittest are left out because every mock leads there; asyncio's tests are taken as a whole.
NOT_SEARCHED = {"test", "tests", "asyncio", "unittest", "idlelib", "lib2to3", "distutils", "encodings", "site-packages",
                "dist-packages", "__pycache__", "ensurepip", "turtledemo", "tkinter"}
TAKEN_AS_A_WHOLE = "test.test_asyncio."

# What regrtest's -u would enable, where neither a network nor much memory is needed.
RESOURCES = ["cpu", "subprocess", "walltime"]


# --- Which test modules speak TLS? -----------------------------------------------------------------------------------

class Source:
    """One file of Python: what it imports, looked at only if it may matter."""

    def __init__(self, path, module):
        with open(path, encoding="utf-8", errors="replace") as file:
            self.text = file.read()
        self.words = set(re.findall(r"\w+", self.text))
        self.module = module
        self.imported = {}

    def imports(self, anywhere):
        """The modules that it imports: when it is imported itself, or anywhere at all."""
        if anywhere not in self.imported:
            self.imported[anywhere] = self.find_imports(anywhere)
        return self.imported[anywhere]

    def find_imports(self, anywhere):
        try:
            tree = ast.parse(self.text)
        except (SyntaxError, ValueError):
            return set()  # a test's own example of what doesn't parse
        found = set()
        for node in ast.walk(tree) if anywhere else outside_of_functions(tree):
            if isinstance(node, ast.Import):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                found.add(node.module)
                found.update(f"{node.module}.{alias.name}" for alias in node.names)
            elif isinstance(node, ast.Call):
                found.update(imported_by_call(node))
        return found

    def mentions(self, modules):
        """Whether it may import any of them; far faster than to look."""
        return any(all(word in self.words for word in module.split(".")) for module in modules)


def outside_of_functions(node):
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield child
            yield from outside_of_functions(child)


def imported_by_call(call):
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    if name in ("import_module", "import_fresh_module", "__import__") and call.args:
        if isinstance(call.args[0], ast.Constant):
            yield str(call.args[0].value)


def sources(root, below, not_searched):
    for folder, folders, files in os.walk(os.path.join(root, below)):
        folders[:] = [name for name in folders if name not in not_searched and not name.startswith("config-")]
        for file in files:
            if file.endswith(".py"):
                path = os.path.join(folder, file)
                yield Source(path, os.path.relpath(path, root)[:-len(".py")].replace(os.sep, ".").replace(".__init__", ""))


def find_speakers(root):
    """Modules whose import leads to ssl, and those that are looked for in tests beside them."""
    library = list(sources(root, "", NOT_SEARCHED))
    speakers, new = set(), {"ssl", "_ssl"}
    while new:
        speakers |= new
        new = {source.module for source in library
               if source.module not in speakers and source.mentions(new) and source.imports(False) & new}
    return speakers | {"test.ssl_servers"}


def find_suites():
    root = os.path.dirname(os.path.abspath(unittest.__path__[0]))
    if not os.path.exists(os.path.join(root, "test", "test_ssl.py")):
        sys.exit(f"{root} has no test/test_ssl.py: on Debian, apt-get install libpython3.11-testsuite")
    speakers = find_speakers(root)
    return sorted(source.module for source in sources(root, "test", {"__pycache__"})
                  if source.module.rpartition(".")[2].startswith("test_")
                  and (source.module.startswith(TAKEN_AS_A_WHOLE)
                       or source.mentions(speakers) and source.imports(True) & speakers))


# --- Telling what happens ----------------------------------------------------------------------------------------------

class Events:
    """A line for each event. Only this process writes: what tests fork says nothing."""

    def __init__(self, path):
        self.file = open(path, "ab", buffering=0)  # lives as long as the process
        self.pid = os.getpid()

    def tell(self, kind, **fields):
        if os.getpid() == self.pid:
            self.file.write(json.dumps({"event": kind, **fields}).encode() + b"\n")


def steady(text):
    """The text without what is another one each time: addresses, ports, processes, temporary names."""
    text = re.sub(r"0x[0-9a-f]+", "0x", str(text))
    return re.sub(r"\d{4,}", "N", text)


class Result(unittest.TestResult):
    """Tells of each test one outcome, whatever it consists of."""

    def __init__(self, events):
        super().__init__()
        self.events = events
        self.begin()

    def begin(self):
        self.started = time.monotonic()
        self.outcomes, self.details, self.failed_subtests, self.num_subtests = [], [], [], 0
        self.running = None

    def startTest(self, test):
        super().startTest(test)
        self.begin()
        self.running = test
        self.events.tell("start", test=test.id())

    def stopTest(self, test):
        super().stopTest(test)
        self.finish(test.id())

    def finish(self, name):
        self.events.tell("outcome", test=name, outcome="+".join(sorted(set(self.outcomes))) or "passed",
                         detail="\n".join(self.details)[-4000:], failed_subtests=sorted(self.failed_subtests),
                         num_subtests=self.num_subtests, seconds=round(time.monotonic() - self.started, 3))
        self.begin()

    def note(self, test, outcome, detail):
        """Of a test that runs, one of several outcomes; else of a class or module that couldn't be set up."""
        alone = self.running is None
        self.outcomes.append(outcome)
        self.details.append(detail)
        if alone:
            self.finish(test.id())

    def addError(self, test, err):
        self.note(test, "error", self._exc_info_to_string(err, test))

    def addFailure(self, test, err):
        self.note(test, "failed", self._exc_info_to_string(err, test))

    def addSkip(self, test, reason):
        self.note(test, "skipped", steady(reason))

    def addExpectedFailure(self, test, err):
        self.note(test, "expected failure", "")

    def addUnexpectedSuccess(self, test):
        self.note(test, "unexpected success", "")

    def addSubTest(self, test, subtest, err):
        self.num_subtests += 1
        if err is not None:
            failed = issubclass(err[0], test.failureException)
            self.failed_subtests.append(steady(subtest))
            self.note(test, "failed" if failed else "error", self._exc_info_to_string(err, subtest))


# --- Running -----------------------------------------------------------------------------------------------------------

def libssl_is_mapped():
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
        return sorted({line.split()[-1] for line in maps if re.search(r"/libssl[.-]", line)})


def check_module(events, order):
    """Is it the _ssl that is to be tested?"""
    import _ssl
    where = os.path.realpath(getattr(_ssl, "__file__", "(built in)"))
    ours = order["module_dir"] is not None
    if ours and os.path.dirname(where) != order["module_dir"]:
        events.tell("wrong", detail=f"_ssl is {where}, not the one in {order['module_dir']}")
        sys.exit(1)
    check_maps(events, order)


def check_maps(events, order):
    mapped = libssl_is_mapped()
    if order["module_dir"] is not None and mapped:
        events.tell("wrong", detail=f"the process has a libssl: {', '.join(mapped)}")


def wanted(suite, is_wanted):
    """The suite with only some of its tests, in its own classes of suites and order."""
    kept = type(suite)()
    for test in suite:
        if isinstance(test, unittest.TestSuite):
            kept.addTest(wanted(test, is_wanted))
        elif is_wanted(test.id()):
            kept.addTest(test)
    return kept


def load(name):
    """(tests, why there are none)."""
    try:
        module = importlib.import_module(name)
    except unittest.SkipTest as skip:
        return unittest.TestSuite(), steady(skip)
    loader = unittest.TestLoader()
    suite = loader.loadTestsFromModule(module)
    if loader.errors:
        raise RuntimeError("\n".join(loader.errors))
    return suite, None


def prepare_as_regrtest(order):
    from test import support
    support.use_resources = RESOURCES + (["network", "urlfetch"] if order["network"] else [])
    support.verbose = 0
    support.record_original_stdout(sys.stdout)


def watch_exceptions(events):
    """Exceptions that nobody can catch are told too: a test doesn't fail of them, and still they may differ."""
    before, before_in_thread = sys.unraisablehook, threading.excepthook

    def unraisable(args):
        events.tell("unraisable", detail=f"{args.exc_type.__name__}: {steady(args.exc_value)}")
        before(args)

    def in_thread(args):
        events.tell("unraisable", detail=f"in a thread, {args.exc_type.__name__}: {steady(args.exc_value)}")
        before_in_thread(args)

    sys.unraisablehook = unraisable
    threading.excepthook = in_thread


def run(order, events):
    faulthandler.enable(all_threads=True)  # SIGABRT, which says that it hangs, shows where
    check_module(events, order)
    prepare_as_regrtest(order)
    watch_exceptions(events)
    suite, nothing_because = load(order["suite"])
    if nothing_because is not None:
        events.tell("outcome", test=order["suite"], outcome="skipped", detail=nothing_because, failed_subtests=[],
                    num_subtests=0, seconds=0)
    done, only = set(order["done"]), order["only"] and set(order["only"])
    suite = wanted(suite, lambda test: test not in done and (not only or test in only) and order["match"] in test)
    result = Result(events)
    suite(result)
    check_maps(events, order)
    events.tell("end")


def main():
    del sys.path[0]  # this folder is no part of what a test may import
    if sys.argv[1:] == ["find"]:
        print(json.dumps(find_suites()))
        return
    with open(sys.argv[2], encoding="utf-8") as file:
        order = json.load(file)
    run(order, Events(sys.argv[3]))


if __name__ == "__main__":
    main()
