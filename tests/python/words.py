"""What words_test.py runs in each Python: hundreds of calls with good and bad arguments, and what comes of each, as
JSON. Only the standard library is used, and its test suite's certificates."""

import json
import os
import re
import socket
import ssl
import sys
import test
import warnings

import _ssl

SUITE = os.path.dirname(test.__file__)
FOLDERS = [SUITE, os.path.join(SUITE, "certdata")]

TYPES = [name for name in dir(_ssl) if isinstance(getattr(_ssl, name), type)]

results = {}


def masked(text):
    text = re.sub(r"_ssl\.c:\d+", "_ssl.c:N", text)
    return re.sub(r"0x[0-9a-f]{6,}", "ADDRESS", text)


def told(error):
    """All that a program can see of an exception."""
    parts = [type(error).__name__, repr(error.args), str(error)]
    if isinstance(error, OSError):
        names = ("errno", "filename", "library", "reason", "verify_code", "verify_message")
        parts += [f"{name}={getattr(error, name)!r}" for name in names if hasattr(error, name)]
    return " ".join(parts)


def note(name, function):
    """What comes of the function, with the warnings on the way; returns what it returned."""
    value = None
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            value = function()
            text = repr(value)
        except Exception as error:  # whatever it is, it is what we want to know
            text = "raises " + told(error)
    text += "".join(f"; warns {w.category.__name__} {w.message} in {os.path.basename(w.filename)}" for w in caught)
    while name in results:
        name += " again"
    results[name] = masked(text)
    return value


def each(group, lines, names):
    for line in lines.strip().split("\n"):
        note(f"{group}: {line}", lambda: eval(line, names))


def pem(name):
    return next(path for folder in FOLDERS if os.path.exists(path := os.path.join(folder, name)))


# --- What there is -----------------------------------------------------------------------------------------------------

def attributes(owner):
    return [name for name in dir(owner) if name not in ("__doc__", "__file__", "__loader__", "__spec__", "__init__")]


def describe_types():
    for name in TYPES:
        kind = getattr(_ssl, name)
        note(f"type {name}", lambda: (kind.__name__, kind.__qualname__, kind.__module__, [t.__name__ for t in kind.__mro__]))
        note(f"dir {name}", lambda: [n for n in dir(kind) if n not in object.__dict__])
        for member in vars(kind):
            value = vars(kind)[member]
            if not member.startswith("__"):
                note(f"member {name}.{member}",
                     lambda: (type(value).__name__, getattr(value, "__text_signature__", None), value.__name__))
        note(f"hash {name}", lambda: kind.__hash__ is None)
        note(f"doc {name}", lambda: kind.__doc__ is None)


def describe_module():
    note("dir", lambda: attributes(_ssl))
    for name in attributes(_ssl):
        value = getattr(_ssl, name)
        if isinstance(value, (bool, int, str, bytes, tuple, list)):
            note(f"constant {name}", lambda: (type(value).__name__, value))
        elif isinstance(value, dict):
            for key in value:
                note(f"table {name}: {key}", lambda: value[key])
        else:
            note(f"function {name}", lambda: (type(value).__name__, getattr(value, "__text_signature__", None)))


# --- Functions ---------------------------------------------------------------------------------------------------------

FUNCTIONS = r"""
_ssl.txt2obj()
_ssl.txt2obj(1)
_ssl.txt2obj('')
_ssl.txt2obj('serverAuth')
_ssl.txt2obj('serverAuth', True)
_ssl.txt2obj('serverAuth', name=True)
_ssl.txt2obj(txt='1.3.6.1.5.5.7.3.1')
_ssl.txt2obj('1.3.6.1.5.5.7.3.1', name=1)
_ssl.txt2obj('1.3.6.1.4.1.99999.1')
_ssl.txt2obj('9.9')
_ssl.txt2obj('1.2.x')
_ssl.txt2obj('a\0b')
_ssl.txt2obj('\xe9', name=True)
_ssl.txt2obj('x' * 300, name=True)
_ssl.txt2obj('a', 1, 2)
_ssl.txt2obj('a', foo=1)
_ssl.txt2obj('a', txt='b')
_ssl.nid2obj()
_ssl.nid2obj('x')
_ssl.nid2obj(1.5)
_ssl.nid2obj(-1)
_ssl.nid2obj(0)
_ssl.nid2obj(129)
_ssl.nid2obj(100000)
_ssl.nid2obj(1 << 31)
_ssl.nid2obj(1 << 80)
_ssl.nid2obj(nid=1)
[_ssl.nid2obj(n) for n in (1, 13, 14, 17, 18, 48, 85, 672)]
_ssl.RAND_status()
_ssl.RAND_status(1)
_ssl.RAND_add()
_ssl.RAND_add('x')
_ssl.RAND_add('x', 1.5)
_ssl.RAND_add(b'x', 1)
_ssl.RAND_add(bytearray(3), 0)
_ssl.RAND_add(1, 1)
_ssl.RAND_add('x', 'y')
_ssl.RAND_bytes()
_ssl.RAND_bytes('x')
_ssl.RAND_bytes(-1)
_ssl.RAND_bytes(0)
len(_ssl.RAND_bytes(16))
len(_ssl.RAND_bytes(100000))
_ssl.RAND_bytes(1 << 31)
_ssl.RAND_bytes(True) != 0
_ssl.get_default_verify_paths()
_ssl.get_default_verify_paths(1)
_ssl._test_decode_cert()
_ssl._test_decode_cert(1)
_ssl._test_decode_cert('/nonexistent')
_ssl._test_decode_cert('/dev/null')
_ssl._test_decode_cert('/')
_ssl._test_decode_cert('a\0b')
_ssl._test_decode_cert(os.fsencode(good))
""" + ("""
len(_ssl.RAND_pseudo_bytes(16)[0])
_ssl.RAND_pseudo_bytes(-1)
_ssl.RAND_pseudo_bytes('x')
""" if hasattr(_ssl, "RAND_pseudo_bytes") else "")

BIO = r"""
MemoryBIO(1)
MemoryBIO(x=1)
b.pending, b.eof
b.read()
b.read(5)
b.read(-1)
b.read(-7)
b.read('x')
b.read(1, 2)
b.read(size=1)
b.read(1 << 40)
b.write()
b.write('x')
b.write(1)
b.write(b'')
b.write(b'abcdef')
b.write(bytearray(b'gh'))
b.write(memoryview(b'ijkl')[::2])
b.pending
b.read(2)
b.read(0)
b.write(b=b'x')
b.write_eof(1)
b.write_eof()
b.pending, b.eof
b.write(b'x')
b.write(b'')
b.read()
b.eof
b.read()
setattr(b, 'pending', 1)
setattr(b, 'x', 1)
delattr(b, 'eof')
b == b, b == MemoryBIO(), hash(b) == hash(b)
b
type(b)()
"""


# --- Contexts ----------------------------------------------------------------------------------------------------------

# Deleting these kills a stock Python.
CRASHES = {"keylog_filename"}

CONTEXTS = r"""
B()
B(1)
B('x')
B(16, 2)
B(protocol=2)
B(1.5)
B(1 << 40)
B(-1)
B(0)
B(2)
B(3)
B(4)
B(5)
B(16)
B(17)
B(18)
""" + "\n".join(f"{call}" for name in (
    "options", "verify_mode", "verify_flags", "_host_flags", "check_hostname", "minimum_version", "maximum_version",
    "num_tickets", "post_handshake_auth", "protocol", "security_level", "sni_callback", "_msg_callback",
    "keylog_filename") for call in (
        f"raw(c, '{name}'), raw(s, '{name}')",
        f"put(c, '{name}', -1)", f"raw(c, '{name}')", f"put(c, '{name}', 0)", f"put(c, '{name}', 1)",
        f"put(s, '{name}', 1)", f"put(s, '{name}', 7)", f"put(c, '{name}', 1.5)", f"put(c, '{name}', 'x\\0')",
        f"put(c, '{name}', None)", f"put(c, '{name}', 1 << 31)", f"put(c, '{name}', 1 << 64)",
        f"put(c, '{name}', 1 << 70)", *([] if name in CRASHES else [f"delete(c, '{name}')"]), f"raw(c, '{name}'), raw(s, '{name}')", "again()")) + r"""
put(c, 'verify_mode', 0)
put(c, 'check_hostname', False)
put(c, 'verify_mode', 0)
put(c, 'check_hostname', True)
raw(c, 'verify_mode')
put(c, 'verify_mode', 1)
put(c, 'verify_mode', 3)
raw(c, 'verify_mode')
put(c, 'check_hostname', [])
again()
put(c, 'options', ssl.OP_NO_TLSv1)
put(c, 'options', ssl.OP_NO_TLSv1 | ssl.OP_NO_SSLv2)
raw(c, 'options')
put(c, 'options', 0)
raw(c, 'options')
put(c, 'minimum_version', 0x300)
put(c, 'minimum_version', 0x301)
put(c, 'minimum_version', 0x302)
put(c, 'minimum_version', 0x303)
put(c, 'minimum_version', 0x304)
raw(c, 'minimum_version')
put(c, 'minimum_version', 0x305)
put(c, 'minimum_version', -1)
raw(c, 'minimum_version')
put(c, 'minimum_version', -2)
raw(c, 'minimum_version')
put(c, 'maximum_version', 0x301)
put(c, 'maximum_version', -2)
raw(c, 'maximum_version')
put(c, 'maximum_version', -1)
raw(c, 'maximum_version')
put(B(5), 'minimum_version', 0x303)
raw(B(5), 'minimum_version'), raw(B(5), 'maximum_version')
put(B(2), 'num_tickets', 3)
put(s, 'num_tickets', 0)
put(s, 'num_tickets', 17)
raw(s, 'num_tickets')
put(s, 'sni_callback', len)
raw(s, 'sni_callback')
put(s, 'sni_callback', 1)
raw(s, 'sni_callback')
put(c, '_msg_callback', len)
raw(c, '_msg_callback')
put(c, 'keylog_filename', '/')
put(c, 'keylog_filename', '/nonexistent/x')
put(c, 'keylog_filename', b'/nonexistent/x')
put(c, 'keylog_filename', '/dev/null')
raw(c, 'keylog_filename')
put(c, 'keylog_filename', None)
raw(c, 'keylog_filename')
again()
c.set_ciphers()
c.set_ciphers(1)
c.set_ciphers('')
c.set_ciphers('no such')
c.set_ciphers('a\0b')
c.set_ciphers('ECDHE-RSA-AES128-GCM-SHA256')
[x['name'] for x in c.get_ciphers()]
c.set_ciphers('no such:AES256-SHA')
[x['name'] for x in c.get_ciphers()]
c.set_ciphers('ALL:COMPLEMENTOFALL')
c.set_ciphers('TLS_AES_128_GCM_SHA256')
c.set_ciphers('@SECLEVEL=1:ALL')
raw(c, 'security_level')
c.set_ciphers('@SECLEVEL=9:ALL')
again()
B(16).get_ciphers()
B(17).get_ciphers() == B(16).get_ciphers()
B(2).get_ciphers() == B(16).get_ciphers()
c.get_ciphers(1)
c.set_ecdh_curve()
c.set_ecdh_curve(None)
c.set_ecdh_curve(1)
c.set_ecdh_curve('')
c.set_ecdh_curve('no such')
c.set_ecdh_curve(b'no such')
c.set_ecdh_curve('a\0b')
c.set_ecdh_curve('prime256v1')
c.set_ecdh_curve('secp384r1')
c.set_ecdh_curve('P-256')
c.set_ecdh_curve('X25519')
c.set_ecdh_curve('rsaEncryption')
c._set_alpn_protocols()
c._set_alpn_protocols('x')
c._set_alpn_protocols(b'')
c._set_alpn_protocols(b'\x02h2')
c._set_alpn_protocols(bytearray(b'\x02h2'))
c.session_stats(1)
c.session_stats()
c.cert_store_stats()
c.cert_store_stats(1)
c.set_default_verify_paths(1)
c.set_psk_client_callback()
c.set_psk_client_callback(1)
c.set_psk_client_callback(callback=len)
c.set_psk_client_callback(None)
c.set_psk_client_callback(len, 1)
s.set_psk_client_callback(len)
s.set_psk_client_callback(1)
c.set_psk_server_callback(len)
c.set_psk_server_callback(1)
s.set_psk_server_callback()
s.set_psk_server_callback(1)
s.set_psk_server_callback(len)
s.set_psk_server_callback(len, 1)
s.set_psk_server_callback(len, 'hint')
s.set_psk_server_callback(len, identity_hint=None)
s.set_psk_server_callback(len, 'a\0b')
s.set_psk_server_callback(None, None)
setattr(B, 'x', 1)
B.x
delattr(B, 'options')
"""

PSK = re.compile(r"set_psk_")

LOADERS = r"""
c.load_cert_chain()
c.load_cert_chain(1)
c.load_cert_chain(None)
c.load_cert_chain('x', 1)
c.load_cert_chain('/nonexistent')
c.load_cert_chain('a\0b')
c.load_cert_chain('/nonexistent', password=1)
c.load_cert_chain('/etc/passwd')
c.load_cert_chain('/etc/passwd', '/nonexistent')
c.load_cert_chain(good, '/nonexistent')
c.load_cert_chain('/nonexistent', '/nonexistent2')
c.load_cert_chain(good, '/etc/passwd')
c.load_cert_chain(good, '/')
c.load_cert_chain('/')
c.load_cert_chain('/dev/null')
c.load_cert_chain(good)
c.load_cert_chain(os.fsencode(good))
c.load_cert_chain(certfile=good, keyfile=None, password=None)
c.load_cert_chain(good, good)
c.load_cert_chain(good, other_key)
c.load_cert_chain(cert_only)
c.load_cert_chain(key_only)
c.load_cert_chain(cert_only, key_only)
c.load_cert_chain(encrypted, password='somepass')
c.load_cert_chain(encrypted, password=b'somepass')
c.load_cert_chain(encrypted, password=bytearray(b'somepass'))
c.load_cert_chain(encrypted, password=lambda: 'somepass')
c.load_cert_chain(encrypted, password=lambda: b'somepass')
c.load_cert_chain(encrypted, password='wrong')
c.load_cert_chain(encrypted, password='')
c.load_cert_chain(encrypted, password=lambda: None)
c.load_cert_chain(encrypted, password=lambda: 1 / 0)
c.load_cert_chain(encrypted, password=lambda: 'x' * 2000)
c.load_cert_chain(encrypted, password='x' * 2000)
c.load_cert_chain(encrypted, password=True)
c.load_cert_chain(encrypted, password='\u20ac')
c.load_cert_chain(good, password=lambda: 1 / 0)
c.load_cert_chain(good, password='unneeded')
c.load_cert_chain(badcert)
c.load_cert_chain(badkey)
c.load_cert_chain(ecc)
c.load_cert_chain(good, foo=1)
c.load_cert_chain(good, good, 'x', 1)
c.load_verify_locations()
c.load_verify_locations(None, None, None)
c.load_verify_locations(1)
c.load_verify_locations('/nonexistent')
c.load_verify_locations('/etc/passwd')
c.load_verify_locations('/')
c.load_verify_locations('/dev/null')
c.load_verify_locations('a\0b')
c.load_verify_locations(cadata=1)
c.load_verify_locations(cadata='')
c.load_verify_locations(cadata=b'')
c.load_verify_locations(cadata='\xe9')
c.load_verify_locations(cadata='x')
c.load_verify_locations(cadata=b'x')
c.load_verify_locations(cadata=b'0' * 100)
c.load_verify_locations(cadata=whole(ca))
c.cert_store_stats()
c.load_verify_locations(cadata=whole(ca) * 2)
c.load_verify_locations(cadata=whole(ca).encode())
c.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(text_of(ca)))
c.load_verify_locations(cadata=ssl.PEM_cert_to_DER_cert(text_of(ca)) + b'x')
c.load_verify_locations(cadata='x' + whole(ca) + 'x')
c.load_verify_locations(cadata=whole(ca) + '-----BEGIN CERTIFICATE-----\nx')
c.load_verify_locations(cadata=memoryview(b'abcd')[::2])
c.load_verify_locations(None, 1)
c.load_verify_locations(None, '/nonexistent')
c.load_verify_locations(capath='/etc')
c.load_verify_locations('/nonexistent', '/nonexistent')
c.load_verify_locations(ca)
c.load_verify_locations(good)
c.load_verify_locations(crl)
c.load_verify_locations(key_only)
c.cert_store_stats()
len(c.get_ca_certs()), len(c.get_ca_certs(True)), len(c.get_ca_certs(binary_form=False))
c.get_ca_certs()
c.get_ca_certs(1, 2)
c.get_ca_certs(x=2)
c.load_verify_locations(foo=1)
c.load_dh_params()
c.load_dh_params(None)
c.load_dh_params(1)
c.load_dh_params('/nonexistent')
c.load_dh_params(b'/nonexistent')
c.load_dh_params('/')
c.load_dh_params('/etc/passwd')
c.load_dh_params('/dev/null')
c.load_dh_params(good)
c.load_dh_params(dh)
"""


def context_names(c=None, s=None):
    kind = _ssl._SSLContext
    names = {"B": kind, "ssl": ssl, "os": os, "raw": lambda o, name: getattr(kind, name).__get__(o),
             "put": lambda o, name, value: getattr(kind, name).__set__(o, value),
             "delete": lambda o, name: getattr(kind, name).__delete__(o)}

    def again():
        names["c"], names["s"] = kind(16), kind(17)
    names["again"] = again
    again()
    return names


def contexts():
    names = context_names()
    lines = CONTEXTS.strip().split("\n")
    if not hasattr(_ssl._SSLContext, "set_psk_client_callback"):
        lines = [line for line in lines if not PSK.search(line)]
    if not hasattr(_ssl._SSLContext, "security_level"):
        lines = [line for line in lines if "security_level" not in line]
    each("context", "\n".join(lines), names)


def certificate_files():
    return sorted(os.path.join(folder, name) for folder in FOLDERS if os.path.isdir(folder)
                  for name in os.listdir(folder) if name.endswith(".pem"))


def whole(path):
    with open(path) as file:
        return file.read()


def text_of(path):
    """The first certificate of a file."""
    text = whole(path)
    start = text.index("-----BEGIN CERTIFICATE-----")
    end = "-----END CERTIFICATE-----"
    return text[start:text.index(end, start) + len(end)]


def file_names():
    return {"good": pem("keycert.pem"), "ca": pem("pycacert.pem"), "cert_only": pem("ssl_cert.pem"),
            "key_only": pem("ssl_key.pem"), "other_key": pem("keycert2.pem"), "encrypted": pem("keycert.passwd.pem"),
            "badcert": pem("badcert.pem"), "badkey": pem("badkey.pem"), "ecc": pem("keycertecc.pem"),
            "crl": pem("revocation.crl"), "dh": pem("ffdh3072.pem"), "text_of": text_of, "whole": whole, "os": os, "_ssl": _ssl}


def loaders():
    each("load", LOADERS, {**context_names(), **file_names()})


def certificates():
    for path in certificate_files():
        name = os.path.basename(path)
        note(f"decode {name}", lambda: _ssl._test_decode_cert(path))
        c = _ssl._SSLContext(17)
        note(f"trust {name}", lambda: c.load_verify_locations(path))
        note(f"trust {name}: stats", c.cert_store_stats)
        note(f"trust {name}: list", c.get_ca_certs)
        note(f"trust {name}: bytes", lambda: [len(der) for der in c.get_ca_certs(True)])
        note(f"chain {name}", lambda: c.load_cert_chain(path, password="somepass"))


# --- Connections -------------------------------------------------------------------------------------------------------

UNOPENED = r"""
B._wrap_socket(c)
B._wrap_socket(c, 1, 2)
B._wrap_socket(c, k, True)
B._wrap_socket(c, k, 'x')
B._wrap_socket(c, k, False, 1)
B._wrap_socket(c, k, False, '')
B._wrap_socket(c, k, False, '.a')
B._wrap_socket(c, k, False, 'a\0b')
B._wrap_socket(c, k, False, '\xe9')
B._wrap_socket(c, k, False)
B._wrap_socket(c, k, False, 'a', 1)
B._wrap_socket(c, k, False, 'a', owner=1)
B._wrap_socket(c, k, False, 'a', session=1)
B._wrap_socket(c, k, False, 'a', foo=1)
B._wrap_socket(c, k, False, 'a', owner=holder).owner is holder
B._wrap_bio(c, k, k, False, 'a')
B._wrap_bio(c, b(), k, False, 'a')
B._wrap_bio(c, b())
B._wrap_bio(c, b(), b(), False, 'a', 1)
B._wrap_bio(c, b(), b(), foo=1)
B._wrap_bio(s, b(), b(), False)
B._wrap_socket(s, k, False, 'a')
B._wrap_socket(c, k, False, b'abc').server_hostname
B._wrap_socket(c, k, False, '1.2.3.4').server_hostname
B._wrap_socket(c, k, False, 'x' * 300).server_hostname
_ssl._SSLSocket()
_ssl._SSLSocket.x
setattr(_ssl._SSLSocket, 'x', 1)
_ssl.SSLSession()
_ssl.Certificate()
o.context is c
setattr(o, 'context', 1)
setattr(o, 'context', None)
setattr(o, 'context', s)
o.context is s
setattr(o, 'context', c)
setattr(o, 'server_side', 1)
o.server_side, o.server_hostname
setattr(o, 'owner', holder)
o.owner is holder
setattr(o, 'owner', 1)
o.owner
setattr(o, 'owner', None)
setattr(o, 'session', 1)
setattr(o, 'session', None)
delattr(o, 'server_side')
o.session, o.session_reused
o.cipher()
o.cipher(1)
o.version()
o.selected_alpn_protocol()
o.compression()
o.pending()
o.getpeercert()
o.getpeercert(True)
o.getpeercert(1, 2)
o.getpeercert(der=True)
o.get_channel_binding()
o.get_channel_binding('x')
o.get_channel_binding(1)
o.get_channel_binding(None)
o.get_channel_binding(cb_type='tls-unique')
o.get_channel_binding('tls-unique', 1)
o.get_verified_chain()
o.get_unverified_chain()
o.shared_ciphers() if version >= (3, 12) else None
o.verify_client_post_handshake()
o.do_handshake(1)
o.read()
o.read(-1)
o.read(0)
o.read('x')
o.read(1 << 40)
o.read(1, 2)
o.read(1, b'abc')
o.read(1, bytearray(2), 3)
o.read(-1, bytearray(2))
o.read(0, bytearray(2))
o.read(5, bytearray(0))
o.read(1, memoryview(bytearray(8))[::2])
o.read(1, memoryview(b'abc'))
o.write()
o.write(1)
o.write('x')
o.write(memoryview(bytearray(8))[::2])
o.read(5)
o.write(b'')
o.write(b'x')
o.do_handshake()
o.shutdown()
o.version()
o2.shutdown()
os_.shared_ciphers()
os_.session
setattr(os_, 'session', 1)
os_.verify_client_post_handshake()
os_.do_handshake()
os_.shutdown()
og.do_handshake()
og.cipher(), og.version(), og.pending()
ot.do_handshake()
ok.do_handshake()
ok.read(5)
ok.write(b'x')
"""


class Holder:
    pass


def unopened():
    names = context_names()
    bio, kind, c, s = _ssl.MemoryBIO, _ssl._SSLContext, names["c"], names["s"]

    def fed(data, context=c, eof=False):
        incoming = bio()
        incoming.write(data)
        if eof:
            incoming.write_eof()
        return kind._wrap_bio(context, incoming, bio(), context is s, None if context is s else "a")
    unbound = socket.socket()
    ended = fed(b"", eof=True)
    names.update(k=unbound, b=bio, holder=Holder(), o=fed(b""), o2=fed(b""), os_=fed(b"", s), _ssl=_ssl,
                 og=fed(b"HTTP/1.1 400 Bad Request\r\n\r\n"), ot=fed(b"GET / HTTP/1.1\r\n\r\n", s), ok=ended,
                 version=sys.version_info)
    each("unopened", UNOPENED, names)
    unbound.close()


class Pair:
    """A client and a server, and the wire between them."""

    def __init__(self, client, server, name="localhost", session=None):
        self.wires = [_ssl.MemoryBIO(), _ssl.MemoryBIO()]
        self.client = client._wrap_bio(self.wires[0], self.wires[1], False, name, session=session)
        self.server = server._wrap_bio(self.wires[1], self.wires[0], True)

    def shake(self):
        """What became of the client's handshake, and of the server's."""
        ended = {}
        for _ in range(10):
            for end in (self.client, self.server):
                if end not in ended:
                    try:
                        end.do_handshake()
                        ended[end] = "done"
                    except ssl.SSLWantReadError:
                        pass
                    except Exception as error:
                        ended[end] = told(error)
        return ended.get(self.client), ended.get(self.server)


def pair_of(version=0x304, client=None, server=None, **wrapping):
    """`client` and `server` are changes to the contexts."""
    c, s = _ssl._SSLContext(16), _ssl._SSLContext(17)
    s.load_cert_chain(pem("keycert3.pem"))
    c.load_verify_locations(pem("pycacert.pem"))
    c.maximum_version = version
    for context, change in ((c, client), (s, server)):
        if change is not None:
            change(context)
    return Pair(c, s, **wrapping)


ESTABLISHED = r"""
c.version(), s.version()
c.cipher(), s.cipher()
c.cipher() == s.cipher()
s.shared_ciphers()
c.compression(), c.selected_alpn_protocol(), s.selected_alpn_protocol()
c.getpeercert()
len(c.getpeercert(True))
s.getpeercert(), s.getpeercert(True)
len(c.get_channel_binding()) == len(s.get_channel_binding())
c.get_channel_binding() == s.get_channel_binding()
c.get_verified_chain(), c.get_unverified_chain()
s.get_verified_chain(), s.get_unverified_chain()
[x.get_info() for x in c.get_verified_chain()]
c.get_unverified_chain()[0].get_info()
c.get_unverified_chain()[0].public_bytes()
len(c.get_unverified_chain()[0].public_bytes(2))
c.get_unverified_chain()[0].public_bytes(format=1) == c.get_unverified_chain()[0].public_bytes()
c.get_unverified_chain()[0].public_bytes(0)
c.get_unverified_chain()[0].public_bytes('x')
c.get_unverified_chain()[0] == c.get_verified_chain()[0], c.get_unverified_chain()[0] == 1
hash(c.get_unverified_chain()[0]) == hash(c.get_verified_chain()[0])
c.session_reused, s.session_reused
c.pending(), s.pending()
c.write(b'')
c.write(b'hello')
s.read(2), s.pending()
s.read(0)
s.read(-1)
s.read(10, bytearray(2))
s.read(100)
s.read(100)
s.write(b'x' * 20000)
c.read(16384 * 2) == b'x' * 16384
c.pending()
len(c.read(1 << 20))
c.read(1)
c.do_handshake()
setattr(c, 'session', c.session)
type(c.session).__name__, len(c.session.id) > 0, c.session.timeout, c.session.has_ticket, c.session.ticket_lifetime_hint
c.session == c.session, c.session != c.session, c.session == 1, c.session == None
c.session < c.session
hash(c.session)
setattr(c.session, 'id', b'')
setattr(c, 'session', 1)
setattr(s, 'session', c.session)
abs(c.session.time - s.session.time) < 5
c.verify_client_post_handshake()
s.verify_client_post_handshake()
setattr(c, 'context', c.context)
c.shutdown()
c.shutdown()
c.write(b'late')
c.read(5)
s.read(5)
s.read(5)
s.write(b'still')
s.shutdown()
c.read(10)
c.shutdown()
s.shutdown()
c.version(), s.version(), c.cipher() == s.cipher()
c.getpeercert() is not None
"""


def established():
    for version in (0x303, 0x304):
        pair = pair_of(version)
        note(f"{version:x} handshake", pair.shake)
        each(f"{version:x}", ESTABLISHED, {"c": pair.client, "s": pair.server})


def resumed():
    for version in (0x303, 0x304):
        first = pair_of(version)
        first.shake()
        note(f"resumed {version:x}: tickets", lambda: first.client.read(1))
        context, server = first.client.context, first.server.context
        second = Pair(context, server, session=first.client.session)
        note(f"resumed {version:x}: handshake", second.shake)
        each(f"resumed {version:x}", """
c.session_reused, s.session_reused
c.getpeercert()['subject']
c.get_verified_chain(), c.get_unverified_chain()
c.context.session_stats()
s.context.session_stats()
""", {"c": second.client, "s": second.server})
        note(f"resumed {version:x}: by another context",
             lambda: Pair(_ssl._SSLContext(16), server, session=first.client.session))
        note(f"resumed {version:x}: by a server", lambda: server._wrap_bio(
            _ssl.MemoryBIO(), _ssl.MemoryBIO(), True, session=first.client.session))


def requires(ca):
    def change(context):
        context.verify_mode = 2
        if ca:
            context.load_verify_locations(pem("pycacert.pem"))
    return change


def sets(**values):
    def change(context):
        for name, value in values.items():
            setattr(context, name, value)
    return change


def calls(name, *args):
    return lambda context: getattr(context, name)(*args)


def both(*changes):
    def change(context):
        for one in changes:
            one(context)
    return change


def raises(*args):
    raise ZeroDivisionError("in a callback")


# What can go wrong, and what can't, in a handshake: (client's change, server's change, its arguments).
HANDSHAKES = {
    "another name": (None, None, {"name": "elsewhere.test"}),
    "an address": (None, None, {"name": "127.0.0.1"}),
    "no name": (sets(check_hostname=False), None, {"name": None}),
    "no name, checked": (None, None, {"name": None}),
    "nobody trusted": (lambda c: c.load_verify_locations(pem("nokia.pem")), None, {}),
    "self-signed": (None, calls("load_cert_chain", pem("keycert.pem")), {}),
    "not verified": (sets(check_hostname=False, verify_mode=0), calls("load_cert_chain", pem("keycert.pem")), {}),
    "an unknown list": (sets(verify_flags=4 | 0x8000), None, {}),
    "no shared cipher": (both(sets(maximum_version=0x303), calls("set_ciphers", "ECDHE-RSA-AES128-GCM-SHA256")),
                         calls("set_ciphers", "ECDHE-RSA-AES256-GCM-SHA384"), {}),
    "no shared version": (sets(maximum_version=0x303), sets(minimum_version=0x304), {}),
    "no certificate": (None, lambda s: None, {"bare": True}),
    "no client certificate": (sets(maximum_version=0x303), requires(True), {}),
    "a client certificate": (calls("load_cert_chain", pem("keycert4.pem")), requires(True), {}),
    "an untrusted client certificate": (both(sets(maximum_version=0x303), calls("load_cert_chain", pem("keycert.pem"))),
                                        requires(True), {}),
    "no protocol in common": (calls("_set_alpn_protocols", b"\x02h2"), calls("_set_alpn_protocols", b"\x03foo"), {}),
    "a protocol in common": (calls("_set_alpn_protocols", b"\x02h2\x03foo"), calls("_set_alpn_protocols", b"\x03foo"), {}),
    "a refused name": (None, sets(sni_callback=lambda *args: ssl.ALERT_DESCRIPTION_UNRECOGNIZED_NAME), {}),
    "an unused callback": (None, sets(sni_callback=lambda *args: None), {}),
    "a callback's nonsense": (None, sets(sni_callback=lambda *args: "foo"), {}),
    "a callback that raises": (None, sets(sni_callback=raises), {}),
    "a message callback": (None, sets(_msg_callback=lambda *args: None), {}),
    "a message callback that raises": (None, sets(_msg_callback=raises), {}),
}


def handshakes():
    sys.unraisablehook = lambda unraisable: hooked.append(told(unraisable.exc_value))
    for name, (client, server, wrapping) in HANDSHAKES.items():
        hooked = []
        if wrapping.pop("bare", False):
            c = _ssl._SSLContext(16)
            pair = Pair(c, _ssl._SSLContext(17))
        else:
            pair = pair_of(client=client, server=server, **wrapping)
        note(f"handshake, {name}", pair.shake)
        note(f"handshake, {name}: unraisable", lambda: hooked)
        each(f"handshake, {name}", """
c.read(1)
s.read(1)
c.version(), s.version(), c.selected_alpn_protocol(), s.selected_alpn_protocol()
c.getpeercert()
s.getpeercert()
s.get_verified_chain(), s.get_unverified_chain()
""", {"c": pair.client, "s": pair.server})
    sys.unraisablehook = sys.__unraisablehook__


def messages():
    """What a message callback is told, but for the bytes and their lengths."""
    for version in (0x303, 0x304):
        seen = []

        def callback(connection, direction, number, kind, message, data):
            seen.append((direction, int(number), int(kind), int(message)))
        pair = pair_of(version, client=sets(_msg_callback=callback))
        pair.shake()
        note(f"messages {version:x}", lambda: seen)


def main():
    describe_module()
    describe_types()
    each("function", FUNCTIONS, {"_ssl": _ssl, "os": os, "good": pem("keycert.pem")})
    each("bio", BIO, {"MemoryBIO": _ssl.MemoryBIO, "b": _ssl.MemoryBIO()})
    contexts()
    loaders()
    certificates()
    unopened()
    established()
    resumed()
    handshakes()
    messages()
    json.dump({"openssl": ssl.OPENSSL_VERSION, "module": getattr(_ssl, "__file__", ""), "results": results}, sys.stdout)


main()
