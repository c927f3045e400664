"""Is the tree tidy? And would each check notice if it weren't?"""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import checks
import protos
import tree

DESCRIPTORS = "proto/descriptors.pb"  # in the runfiles


class TheTree(unittest.TestCase):
    """One method for each rule of checks.ALL (added below), and those that need more than the files."""

    @classmethod
    def setUpClass(cls):
        cls.files = tree.read()

    def assert_clean(self, findings):
        if findings:
            self.fail("\n" + "\n".join(findings))

    def test_has_files(self):
        self.assertIn("tests/tidy/tidy_test.py", {file.path for file in self.files})

    def test_protos(self):
        self.assert_clean(protos.all_findings(protos.load(DESCRIPTORS)))

    @unittest.skipUnless(shutil.which("shellcheck"), "shellcheck isn't installed")
    def test_shellcheck(self):
        scripts = [file.path for file in self.files
                   if file.text.startswith(("#!/bin/bash", "#!/bin/sh", "# shellcheck shell="))]
        run = subprocess.run(["shellcheck", "--external-sources", "--source-path=SCRIPTDIR"] + scripts,
                             cwd=tree.ROOT, capture_output=True, text=True, check=False)
        self.assertEqual(run.returncode, 0, run.stdout + run.stderr)


def _add_rule(check):
    setattr(TheTree, "test_" + check.__name__, lambda self: self.assert_clean(check(self.files)))


for _check in checks.ALL:
    _add_rule(_check)


# For each check, files that it must complain about: (path, text, executable).
BAD = {
    "banned_words": [
        ("server/a.c", "int f(void) { return strcpy(a, b); }\n", False),
        ("server/a.c", "  sprintf(a, b);\n", False),
        ("client/c/a.c", "  return -1;\n", False),
        ("docs/a.md", "# A\n\nTO" "DO: later\n", False),
        ("tools/a", "cd /wo" "rk/main\n", False),
    ],
    "long_functions": [
        ("server/a.c", "static int f(int a,\n             int b) {\n" + "  g();\n" * 69 + "}\n", False),
    ],
    "foreign_headers": [
        ("server/session/a.c", "#include <openssl/ssl.h>\n", False),
        ("server/rpc/a.c", "#include <liburing.h>\n", False),
        ("server/tls/a.c", '#include "proto/tlsagent/v1/session.pb-c.h"\n', False),
        ("client/c/a.c", "#include <openssl/ssl.h>\n", False),
    ],
    "upward_arrows": [
        ("server/base/a.c", '#include "server/ring/loop.h"\n', False),
        ("server/tls/a.c", '#include "server/ring/loop.h"\n', False),
        ("server/rpc/a.c", '#include "server/service/sessions.h"\n', False),
        ("client/c/a.c", '#include "server/base/slice.h"\n', False),
        ("client/python/a.c", '#include "server/base/slice.h"\n', False),
        ("server/session/a.c", '#include "client/c/tlsagent.h"\n', False),
    ],
    "mirrored_tests": [("server/tls/a.c", "\n", False)],
    "markdown_titles": [
        ("docs/a.md", "# One\n\n# Two\n", False),
        ("docs/a.md", "No title\n", False),
    ],
    "executable_bits": [
        ("tools/a", "#!/bin/bash\n", False),
        ("docs/a.md", "# A\n", True),
    ],
    "whitespace": [
        ("docs/a.md", "# A \n", False),
        ("docs/a.md", "# A", False),
    ],
    "undocumented_functions": [
        ("client/c/tlsagent.h", "// Something.\n\nint tlsagent_open(void);\n", False),
    ],
}

# What each check must let pass, since it looks like the above.
GOOD = {
    "banned_words": [
        ("server/a.c", "// strcpy() is banned\nsnprintf(a, b);\nputs(\"strcpy(\");\n", False),
        ("server/a.c", 'mkstemp("/tmp/a.XXXXXX");\n', False),
        ("client/python/a.c", "  return -1;\n", False),
    ],
    "long_functions": [
        ("server/a.c", "static const int t[] = {\n" + "  1,\n" * 99 + "};\n", False),
        ("server/a.c", "void f(void) {\n" + "  g();\n" * 68 + "}\nvoid h(void) {\n" + "  g();\n" * 9 + "}\n", False),
        ("server/a.h", "void f(void);\n// if (x) {\n" + "void g(\n    int a);\n" * 50 + "}\n", False),
    ],
    "foreign_headers": [("server/tls/a.c", "#include <openssl/ssl.h>\n", False)],
    "upward_arrows": [("server/rpc/a.c", '#include "server/tenant/tenant.h"\n', False)],
    "mirrored_tests": [("server/main.c", "\n", False)],
    "markdown_titles": [("docs/a.md", "# One\n\n```sh\n# a comment\n```\n", False)],
    "executable_bits": [("tools/a", "#!/bin/bash\n", True)],
    "whitespace": [("docs/a.md", "# A\n", False)],
    "undocumented_functions": [
        ("client/c/tlsagent.h", "// tlsagent_open opens.\nint tlsagent_open(void);\n", False),
    ],
}


class EachCheckCanFail(unittest.TestCase):
    def test_every_check_has_examples(self):
        names = {check.__name__ for check in checks.ALL}
        self.assertEqual(names, set(BAD))
        self.assertEqual(names, set(GOOD))

    def test_bad_files_are_found(self):
        for check in checks.ALL:
            for example in BAD[check.__name__]:
                with self.subTest(check=check.__name__, example=example):
                    self.assertEqual(len(check([tree.File(*example)])), 1)

    def test_good_files_pass(self):
        for check in checks.ALL:
            for example in GOOD[check.__name__]:
                with self.subTest(check=check.__name__, example=example):
                    self.assertEqual(check([tree.File(*example)]), [])


# A .proto that is tidy but for the line that a case puts into it.
PROTO = """syntax = "proto3";
package a.v1;
// A service.
service CallService {
  // A call.
  rpc Call(Request) returns (Request);
}
// A kind.
enum Kind {
  // None.
  KIND_UNSPECIFIED = 0;
  %(value)s
}
// A message.
message Request {
  // A field.
  string name = 1;
  %(field)s
}
%(top)s
"""

BAD_PROTOS = [
    ("field", "string other = 2;", "no comment"),
    ("field", "// B.\n string camelCase = 2;", "lower_snake_case"),
    ("field", "// B.\n optional string other = 2;", "optional"),
    ("field", "// B.\n Request inner = 2;", "can hold itself"),
    ("value", "KIND_OTHER = 1;", "no comment"),
    ("value", "// B.\n OTHER = 1;", "doesn't begin with KIND_"),
    ("top", "message Empty {}", "no comment"),
    ("top", "// B.\nmessage snake_case {}", "PascalCase"),
    ("top", "service OtherService {}", "no comment"),
    ("top", "// B.\nservice Other {}", "ending in Service"),
    ("top", "// B.\nservice OtherService {\n rpc Call(Request) returns (Request);\n}", "no comment"),
    ("top", "// A.\nmessage A {\n // B.\n B b = 1;\n}\n// B.\nmessage B {\n // A.\n repeated A a = 1;\n}", "can hold itself"),
]


@unittest.skipUnless(shutil.which("protoc"), "protoc isn't installed")
class TheProtoCheckCanFail(unittest.TestCase):
    def findings(self, **parts):
        with tempfile.TemporaryDirectory() as folder:
            with open(os.path.join(folder, "a.proto"), "w", encoding="utf-8") as stream:
                stream.write(PROTO % {"value": "", "field": "", "top": "", **parts})
            subprocess.run(["protoc", "-I.", "--include_source_info", "--descriptor_set_out=out", "a.proto"],
                           cwd=folder, check=True)
            return protos.all_findings(protos.load(os.path.join(folder, "out")))

    def test_a_tidy_proto_passes(self):
        self.assertEqual(self.findings(), [])

    def test_bad_protos_are_found(self):
        for part, text, expected in BAD_PROTOS:
            with self.subTest(part=part, text=text):
                found = self.findings(**{part: text})
                self.assertTrue(found and all(expected in f for f in found), found)


if __name__ == "__main__":
    unittest.main()
