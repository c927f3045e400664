"""The stock Go client of ttrpc, compiled against Debian's packages: does it understand the daemon, and the daemon it?"""

import os
import re
import subprocess
import sys

import pki
import timing
from e2e import E2ETest, each

# The checks of go/client/main.go.
CHECKS = ("ping", "hello", "token", "statuses", "concurrent", "decode", "refusal", "client_tls12", "client_tls13", "server_tls12",
          "server_tls13")


class GoClient(E2ETest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        pair = pki.server("rsa")
        cls.done = subprocess.run(
            [os.path.join(os.environ["TLSAGENT_GO_DIR"], "client"), cls.daemon.path, pki.root().path, pair.chain_path, pair.key_path],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=3 * timing.PATIENCE)

    @each(check=CHECKS)
    def test_it_passes(self, check):
        said = [line for line in self.done.stdout.splitlines() if re.match(rf"(PASS|FAIL) {check}\b", line)]
        self.assertEqual(said, [f"PASS {check}"], self.done)

    def test_it_ends_well_and_has_no_check_that_is_not_listed_here(self):
        self.assertEqual((self.done.returncode, self.done.stderr), (0, ""))
        self.assertEqual(re.findall(r"^(?:PASS|FAIL) (\w+)", self.done.stdout, re.M), list(CHECKS))


if __name__ == "__main__":
    sys.exit("run me with runner.py")
