"""Does our _ssl say the same words as Python's own? words.py calls both, and what they answer is compared: results,
exceptions with all that they carry, signatures, constants, the dicts of certificates.

Of the system's python3, and of newer ones where PATH has them with their test suite and of the same OpenSSL."""

import json
import os
import shutil
import subprocess

from e2e import E2ETest

WORDS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "words.py")
SYSTEM = "/usr/bin/python3"
OTHERS = ["python3.12", "python3.13", "python3.14"]

AFTER_A_FAILURE = ("OpenSSL goes on with what a failed handshake left behind, and answers by chance; ours has ended, "
                   "and keeps saying why, or asks for input first")

# What may differ, and why. A name ends in * where it is the beginning of several.
ACCEPTED = {
    "constant _OPENSSL_API_VERSION": "the headers that were compiled with",
    "table lib_codes_to_names: *": "numbers of OpenSSL's own that are no libraries",
    "table err_codes_to_names: *": "CPython's table is of several OpenSSL versions, ours of the one that runs",
    "table err_names_to_codes: *": "the same",
    "context: c.set_ecdh_curve('P-256')": "NIST's names are taken too",
    "context: c.set_ecdh_curve('X25519')": "Python 3.11.2 takes only curves that have points, and TLS has others",
    "context: c.set_ecdh_curve('rsaEncryption')": "what isn't a group is unknown, however it is registered",
    "load: c.load_verify_locations(cadata=whole(ca).encode())": "bytes may be PEM too",
    "load: c.load_verify_locations(cadata=whole(ca) + '-----BEGIN CERTIFICATE-----\\nx')":
        "the daemon's word for PEM that breaks off",
    "chain nokia.pem": "without its key a certificate isn't weighed",
    "chain talos-2019-0758.pem": "the same",
    "unopened: _ssl._SSLSocket()": "it can't be made by hand: Python's own dies with the first use of one",
    "unopened: o.read(1 << 40)": "memory is taken for what comes, not for what is asked for",
    "unopened: ok.read(5)": AFTER_A_FAILURE,
    "unopened: ok.write(b'x')": AFTER_A_FAILURE,
    "303: c.read(16384 * 2) == b'x' * 16384": "a read takes all records that are there, OpenSSL one",
    "303: len(c.read(1 << 20))": "the same",
    "304: c.read(16384 * 2) == b'x' * 16384": "the same",
    "304: len(c.read(1 << 20))": "the same",
    "handshake, no name, checked*": "nobody to be checked is refused; ssl.py does it too, before",
    "handshake, an untrusted client certificate: s.get_verified_chain(), s.get_unverified_chain()": AFTER_A_FAILURE,
    **{f"handshake, {name}: {end}.read(1)": AFTER_A_FAILURE for end in "cs" for name in (
        "another name", "an address", "self-signed", "an unknown list", "no shared cipher", "no shared version",
        "no certificate", "no client certificate", "an untrusted client certificate", "a refused name",
        "a callback's nonsense", "a callback that raises")},
}


def is_accepted(name):
    return name in ACCEPTED or any(pattern.endswith("*") and name.startswith(pattern[:-1]) for pattern in ACCEPTED)


def environment(**more):
    return {**{name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}, **more,
            "PYTHONDONTWRITEBYTECODE": "1"}


def has_suite(python):
    return subprocess.run([python, "-c", "import ssl, test.certdata" if python != SYSTEM else "import ssl, test"],
                          capture_output=True, env=environment()).returncode == 0


class Words(E2ETest):
    def words(self, python, **more):
        done = subprocess.run([python, WORDS], capture_output=True, text=True, env=environment(**more), timeout=300)
        self.assertEqual(done.returncode, 0, done.stderr)
        return json.loads(done.stdout)

    def compare(self, python):
        stock = self.words(python)
        ours = self.words(python, PYTHONPATH=os.path.abspath(os.environ["TLSAGENT_PYTHON_DIR"]),
                          TLSAGENT_SOCKET="unix:" + self.daemon.path)
        self.assertIn("abi3", ours["module"], "it wasn't ours that ran")
        self.assertNotIn("abi3", stock["module"])
        if stock["openssl"] != ours["openssl"]:
            self.skipTest(f"{python} has {stock['openssl']}, the daemon {ours['openssl']}")
        names = list(stock["results"]) + [name for name in ours["results"] if name not in stock["results"]]
        self.assertGreater(len(names), 1000)
        different = [(name, stock["results"].get(name), ours["results"].get(name)) for name in names
                     if not is_accepted(name) and stock["results"].get(name) != ours["results"].get(name)]
        self.assertFalse(different, f"{len(different)} of {len(names)} differ\n" + "\n".join(
            f"{name}\n    stock: {theirs}\n    ours:  {own}" for name, theirs, own in different))

    def test_system(self):
        self.compare(SYSTEM)


def add(name):
    def test(self):
        python = shutil.which(name)
        if python is None or not has_suite(python):
            self.skipTest(f"no {name} with its test suite on PATH")
        self.compare(python)
    setattr(Words, "test_" + name.replace(".", "_"), test)


for _name in OTHERS:
    add(_name)
