"""Certificates for tests, made by openssl(1) when first asked for, in a directory that goes with the process.

    root ── intermediate ── server(kind), client(kind), expired(kind), wrong_host(kind)
    other_root ── stranger(kind)                    self_signed(kind)

kind is "rsa" or "ecdsa". Every server certificate but wrong_host's is for localhost, 127.0.0.1, ::1 and *.wild.test.
"""

import atexit
import functools
import os
import shutil
import ssl
import subprocess
import tempfile

KINDS = ("rsa", "ecdsa")
HOST = "localhost"
SAN = "DNS:localhost,DNS:*.wild.test,IP:127.0.0.1,IP:::1"

# Far enough from now, whenever now is.
PAST, LONG_AGO, FUTURE = "20200101000000Z", "20100101000000Z", "20450101000000Z"

_KEY_OPTIONS = {
    "rsa": ["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"],
    "ecdsa": ["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
    "ed25519": ["-algorithm", "ED25519"],
}

_CONFIG = """
[ca]
default_ca = here
[here]
database = {directory}/index.txt
new_certs_dir = {directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
email_in_dn = yes
default_crl_days = 30
string_mask = utf8only
utf8 = yes
[any]
[req]
distinguished_name = any
prompt = no
utf8 = yes
string_mask = utf8only
"""


@functools.lru_cache(None)
def directory():
    path = tempfile.mkdtemp(prefix="tlsagent-pki-")
    atexit.register(shutil.rmtree, path, ignore_errors=True)
    open(os.path.join(path, "index.txt"), "w").close()
    with open(os.path.join(path, "openssl.cnf"), "w") as config:
        config.write(_CONFIG.format(directory=path))
    os.chmod(path, 0o755)
    return path


def path_to(name):
    return os.path.join(directory(), name)


def openssl(*args, stdin=None):
    """Runs openssl(1); its output, or an error with what it said."""
    done = subprocess.run(["openssl", *args], input=stdin, stdin=None if stdin is not None else subprocess.DEVNULL,
                          capture_output=True)
    if done.returncode != 0:
        raise RuntimeError(f"openssl {' '.join(args)}: {done.stderr.decode(errors='replace')}")
    return done.stdout


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(name, content):
    """A file beside the certificates; its path."""
    with open(path_to(name), "wb") as file:
        file.write(content)
    return path_to(name)


def key_file(kind, label="a"):
    """A private key, PKCS#8 PEM. The same kind and label is the same key."""
    return _key_file(kind, label)


@functools.lru_cache(None)
def _key_file(kind, label):
    path = path_to(f"{kind}-{label}.key")
    openssl("genpkey", *_KEY_OPTIONS[kind], "-out", path)
    return path


class Pair:
    """A certificate with its key and its issuers."""

    def __init__(self, name, key, issuer=None):
        self.key_path = key
        self.path = path_to(name + ".pem")
        self.chain_path = path_to(name + ".chain.pem")
        self.intermediates_path = path_to(name + ".intermediates.pem")
        self.issuer = issuer

    @functools.cached_property
    def pem(self):
        return read(self.path)

    @functools.cached_property
    def der(self):
        return ssl.PEM_cert_to_DER_cert(self.pem[self.pem.index(b"-----BEGIN"):].decode())

    @functools.cached_property
    def key(self):
        return read(self.key_path)

    @functools.cached_property
    def key_der(self):
        return openssl("pkey", "-in", self.key_path, "-outform", "DER")

    @functools.cached_property
    def chain(self):
        """Own certificate and intermediates, without the root: what a server sends."""
        return read(self.chain_path)


def issue(name, issuer=None, kind="ecdsa", subject=None, extensions=(), not_before=PAST, not_after=FUTURE, label="a"):
    """A certificate signed by issuer, or by itself. extensions are lines of an openssl extension section."""
    pair = Pair(name, key_file(kind, label), issuer)
    request, ext = path_to(name + ".csr"), write(name + ".ext", "\n".join(extensions).encode() + b"\n")
    config = path_to("openssl.cnf")
    openssl("req", "-new", "-config", config, "-utf8", "-key", pair.key_path, "-out", request,
            "-multivalue-rdn", "-subj", subject or f"/O=tlsagent tests/CN={name}")
    signer = ["-selfsign", "-keyfile", pair.key_path] if issuer is None else [
        "-cert", issuer.path, "-keyfile", issuer.key_path]
    openssl("ca", "-config", config, "-batch", "-notext", "-preserveDN", "-in", request, "-out", pair.path, *signer,
            "-startdate", not_before, "-enddate", not_after, "-extfile", ext)
    intermediates, link = b"", issuer
    while link is not None and link.issuer is not None:
        intermediates += link.pem
        link = link.issuer
    write(name + ".intermediates.pem", intermediates)
    write(name + ".chain.pem", pair.pem + intermediates)
    return pair


_CA = ("basicConstraints=critical,CA:true", "keyUsage=critical,keyCertSign,cRLSign", "subjectKeyIdentifier=hash")


def _leaf(usage, san=SAN):
    lines = ["basicConstraints=CA:false", "subjectKeyIdentifier=hash", "keyUsage=critical,digitalSignature,keyEncipherment",
             f"extendedKeyUsage={usage}"]
    return tuple(lines + [f"subjectAltName={san}"] if san else lines)


@functools.lru_cache(None)
def root():
    return issue("root", extensions=_CA, label="root")


@functools.lru_cache(None)
def other_root():
    return issue("other-root", extensions=_CA, label="other")


@functools.lru_cache(None)
def intermediate():
    return issue("intermediate", root(), extensions=_CA, label="intermediate")


@functools.lru_cache(None)
def expired_intermediate():
    return issue("expired-intermediate", root(), extensions=_CA, label="intermediate", not_before=LONG_AGO, not_after=PAST)


@functools.lru_cache(None)
def server(kind):
    return issue(f"server-{kind}", intermediate(), kind, extensions=_leaf("serverAuth"))


@functools.lru_cache(None)
def client(kind):
    return issue(f"client-{kind}", intermediate(), kind, extensions=_leaf("clientAuth", san=None), label="client")


@functools.lru_cache(None)
def expired(kind):
    return issue(f"expired-{kind}", intermediate(), kind, extensions=_leaf("serverAuth"), not_before=LONG_AGO, not_after=PAST)


@functools.lru_cache(None)
def not_yet_valid(kind):
    return issue(f"future-{kind}", intermediate(), kind, extensions=_leaf("serverAuth"), not_before="20440101000000Z")


@functools.lru_cache(None)
def under_expired(kind):
    """Good itself, issued by an intermediate that has expired."""
    return issue(f"under-expired-{kind}", expired_intermediate(), kind, extensions=_leaf("serverAuth"))


@functools.lru_cache(None)
def wrong_host(kind):
    return issue(f"wrong-{kind}", intermediate(), kind, extensions=_leaf("serverAuth", "DNS:elsewhere.test,IP:192.0.2.1"))


@functools.lru_cache(None)
def self_signed(kind):
    return issue(f"self-{kind}", None, kind, extensions=_leaf("serverAuth"))


@functools.lru_cache(None)
def stranger(kind):
    """For the right host, by a CA that nobody here trusts."""
    return issue(f"stranger-{kind}", other_root(), kind, extensions=_leaf("serverAuth"))


@functools.lru_cache(None)
def revoked(kind):
    """Good, but for being on crl()."""
    pair = issue(f"revoked-{kind}", root(), kind, extensions=_leaf("serverAuth"))
    openssl("ca", "-config", path_to("openssl.cnf"), "-revoke", pair.path, *_signed_by_root())
    return pair


@functools.lru_cache(None)
def crl():
    """The root's revocation list, PEM, with every revoked() certificate on it."""
    for kind in KINDS:
        revoked(kind)
    openssl("ca", "-config", path_to("openssl.cnf"), "-gencrl", "-out", path_to("root.crl"), *_signed_by_root())
    return read(path_to("root.crl"))


def _signed_by_root():
    return ["-cert", root().path, "-keyfile", root().key_path]


@functools.lru_cache(None)
def encrypted_key(kind, password, form="pkcs8"):
    """A private key under a password, PEM: "pkcs8", or "traditional" as OpenSSL 1.0 wrote them."""
    cipher = ["-aes128"] + (["-traditional"] if form == "traditional" else [])
    return openssl("pkey", "-in", key_file(kind), *cipher, "-passout", "pass:" + password)
