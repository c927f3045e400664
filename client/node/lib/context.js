'use strict';
// Node's options of a secure context in the daemon's words.

const crypto = require('crypto');
const { optionError } = require('./errors');

const VERSIONS = {
  TLSv1: 'PROTOCOL_VERSION_TLS_1_0',
  'TLSv1.1': 'PROTOCOL_VERSION_TLS_1_1',
  'TLSv1.2': 'PROTOCOL_VERSION_TLS_1_2',
  'TLSv1.3': 'PROTOCOL_VERSION_TLS_1_3',
};

// To be silent about these would be to do something else than was asked for.
const NOT_THERE = [
  'pfx', 'secureProtocol', 'secureOptions', 'ticketKeys', 'pskCallback', 'pskIdentityHint', 'privateKeyEngine',
  'privateKeyIdentifier', 'clientCertEngine', 'honorCipherOrder', 'allowPartialTrustChain',
];

const CRL_CHECK_FLAGS = 0x4 | 0x8 | 0x8000; // CRL_CHECK, CRL_CHECK_ALL, and TRUSTED_FIRST, which is always on

function list(value) {
  return value === undefined || value === null ? [] : Array.isArray(value) ? value : [value];
}

function bytes(value, name) {
  if (typeof value === 'string') {
    return Buffer.from(value);
  }
  if (ArrayBuffer.isView(value)) {
    return Buffer.from(value.buffer, value.byteOffset, value.byteLength);
  }
  throw optionError(`options.${name} must be a string or a Buffer`, 'ERR_INVALID_ARG_TYPE');
}

function materials(value, name) {
  return list(value).map((one) => ({ data: bytes(one, name) }));
}

function version(value, name) {
  if (!VERSIONS[value]) {
    throw optionError(`options.${name} is ${JSON.stringify(value)}, and the versions are ${Object.keys(VERSIONS).join(', ')}`);
  }
  return { version: VERSIONS[value] };
}

// One option has the suites of TLS 1.3 and the ciphers of those before it; to the daemon they are two.
function ciphers(text) {
  const names = text.split(':').filter(Boolean);
  const suites = names.filter((name) => name.startsWith('TLS_'));
  const older = names.filter((name) => !name.startsWith('TLS_'));
  return {
    ...(suites.length && { ciphersuites: { value: suites.join(':') } }),
    ...(older.length && { ciphers: { value: older.join(':') } }),
  };
}

// A key may be text, bytes, or either with a passphrase of its own.
function keyOf(given, passphrase) {
  const own = given && given.pem !== undefined ? given : { pem: given };
  const secret = own.passphrase === undefined ? passphrase : own.passphrase;
  return {
    key: { data: bytes(own.pem, 'key') },
    ...(secret !== undefined && { password: { value: bytes(secret, 'passphrase') } }),
  };
}

function pairs(options) {
  const certs = list(options.cert);
  const keys = list(options.key);
  if (keys.length && keys.length !== certs.length) {
    throw optionError(`options.key has ${keys.length} keys and options.cert ${certs.length} certificates: they go in pairs`);
  }
  return certs.map((cert, i) => ({
    chain: { data: bytes(cert, 'cert') },
    ...(keys.length ? keyOf(keys[i], options.passphrase) : {}),
  }));
}

// Each is set when the option is there.
const SETTINGS = {
  minVersion: (value) => ({ minVersion: version(value, 'minVersion') }),
  maxVersion: (value) => ({ maxVersion: version(value, 'maxVersion') }),
  ciphers,
  ecdhCurve: (value) => (value === 'auto' ? {} : { groups: { value } }),
  sigalgs: (value) => ({ signatureAlgorithms: { value } }),
  dhparam: (value) => ({ dhParams: { data: bytes(value, 'dhparam') } }),
  sessionTimeout: (value) => ({ sessionTimeoutSeconds: { value } }),
  sessionIdContext: (value) => ({ sessionIdContext: { value: bytes(value, 'sessionIdContext') } }),
  crl: () => ({ verifyFlags: { value: CRL_CHECK_FLAGS } }),
};

function isSet(value) {
  return value !== undefined && value !== null;
}

function settings(options) {
  const made = {};
  for (const [name, convert] of Object.entries(SETTINGS)) {
    if (isSet(options[name])) {
      Object.assign(made, convert(options[name]));
    }
  }
  return made;
}

function refuseWhatIsNotThere(options) {
  const found = NOT_THERE.find((name) => isSet(options[name]));
  if (found) {
    throw optionError(`options.${found} isn't something that tlsagentd can do`, 'ERR_TLSAGENT_UNSUPPORTED');
  }
}

// The names as ALPN has them on the wire, each after its length, or as a list.
function alpnNames(protocols) {
  if (Array.isArray(protocols)) {
    return protocols.map((name) => bytes(name, 'ALPNProtocols'));
  }
  const wire = bytes(protocols, 'ALPNProtocols');
  const names = [];
  for (let at = 0; at < wire.length; at += 1 + wire[at]) {
    names.push(wire.subarray(at + 1, at + 1 + wire[at]));
  }
  return names;
}

// How a role uses a context is part of it.
function clientSettings(use) {
  return {
    verifyMode: { value: use.verify ? 'VERIFY_MODE_REQUIRED' : 'VERIFY_MODE_NONE' },
    checkHostname: { value: Boolean(use.checkHost) },
  };
}

function serverSettings(use) {
  const asked = use.verify ? 'VERIFY_MODE_REQUIRED' : 'VERIFY_MODE_OPTIONAL';
  return {
    verifyMode: { value: use.requestCert ? asked : 'VERIFY_MODE_NONE' },
    ...(use.askServerName && { decisions: { serverName: true } }),
  };
}

// No two different values are hashed alike: each part is told with its length or its end.
function hashValue(hash, value) {
  if (Buffer.isBuffer(value)) {
    hash.update(`bytes ${value.length} `).update(value);
  } else if (typeof value === 'object' && value !== null) {
    hash.update('{');
    for (const [name, part] of Object.entries(value)) {
      hashValue(hash.update(JSON.stringify(name)), part);
    }
    hash.update('}');
  } else {
    hash.update(`${JSON.stringify(value)};`);
  }
}

/** What connect and createServer make sessions from; createSecureContext makes it. It is never changed. */
class SecureContext {
  #settings;
  #pairs;
  #certificates;
  #crls;
  #digest;

  constructor(options = {}) {
    refuseWhatIsNotThere(options);
    this.#settings = settings(options);
    this.#pairs = pairs(options);
    this.#certificates = isSet(options.ca) ? materials(options.ca, 'ca') : null;
    this.#crls = materials(options.crl, 'crl');
    this.#digest = this.#hash();
  }

  // Keys are part of it: only the hash leaves here.
  #hash() {
    const hash = crypto.createHash('sha256');
    hashValue(hash, [this.#settings, this.#pairs, this.#certificates, this.#crls]);
    return hash.digest('base64');
  }

  /**
   * What a ContextCache makes a context from.
   *
   * @param {'client' | 'server'} role
   * @param {{verify: boolean, checkHost?: boolean, requestCert?: boolean, askServerName?: boolean, alpn?: any}} use
   */
  for(role, use) {
    const alpn = use.alpn && alpnNames(use.alpn);
    const names = alpn && alpn.map((name) => name.toString('latin1'));
    const key = JSON.stringify([this.#digest, role, { ...use, alpn: names }]);
    return { key, request: () => this.#request(role, use, alpn) };
  }

  #request(role, use, alpn) {
    const client = role === 'client';
    const trusts = client || use.requestCert;
    return {
      kind: client ? 'CONTEXT_KIND_CLIENT' : 'CONTEXT_KIND_SERVER',
      settings: {
        ...this.#settings,
        ...(client ? clientSettings(use) : serverSettings(use)),
        ...(alpn && { alpn: { protocols: alpn, requireOverlap: true } }),
      },
      pairs: this.#pairs,
      trust: trusts
        ? { certificates: this.#certificates || [], crls: this.#crls, system: this.#certificates === null }
        : undefined,
    };
  }
}

/**
 * A context from Node's options. It throws when they make no sense by themselves; what the daemon finds wrong with a
 * certificate or a key is told by what uses it first.
 */
function createSecureContext(options) {
  return new SecureContext(options);
}

module.exports = { SecureContext, createSecureContext };
