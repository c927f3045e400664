'use strict';
// Certificates as Node shows them, from the daemon's decoding: no byte of one is parsed in this process.

const crypto = require('crypto');
const { agentOf } = require('./agent');
const { tlsError } = require('./errors');

// Names that could be read as more than one, or as another, are quoted: tls.checkServerIdentity reads them so.
const PLAIN_NAME = /^[\x20\x21\x23-\x26\x28-\x2b\x2d-\x5b\x5d-\x7e]*$/; // printable, without " ' , and \

const LABELS = {
  ALTERNATIVE_NAME_KIND_DNS: 'DNS',
  ALTERNATIVE_NAME_KIND_EMAIL: 'email',
  ALTERNATIVE_NAME_KIND_URI: 'URI',
  ALTERNATIVE_NAME_KIND_IP: 'IP Address',
  ALTERNATIVE_NAME_KIND_DIRECTORY: 'DirName',
  ALTERNATIVE_NAME_KIND_REGISTERED_ID: 'Registered ID',
  ALTERNATIVE_NAME_KIND_OTHER: 'othername',
};
const IN_OCTETS = new Set(['DNS', 'email', 'URI']);

// NIST's names of curves that OpenSSL calls by others.
const NIST_CURVES = { prime256v1: 'P-256', secp384r1: 'P-384', secp521r1: 'P-521' };

function escape(character) {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`;
}

function quoted(text) {
  return PLAIN_NAME.test(text) ? text : JSON.stringify(text).replace(/[,\x7f-\xff]/g, escape);
}

function alternativeName(name) {
  const label = LABELS[name.kind] || 'othername';
  const text = IN_OCTETS.has(label) ? name.value.toString('latin1') : name.text;
  return `${label}:${quoted(text)}`;
}

// {CN: 'localhost', O: ['one', 'two']}
function distinguishedName(steps) {
  const found = Object.create(null);
  for (const { attributes } of steps) {
    for (const attribute of attributes) {
      const value = attribute.value === 'raw' ? attribute.raw.toString('latin1') : attribute.text;
      const before = found[attribute.shortType];
      found[attribute.shortType] = before === undefined ? value : [].concat(before, value);
    }
  }
  return found;
}

function infoAccess(certificate) {
  const found = Object.create(null);
  if (certificate.ocsp.length) {
    found['OCSP - URI'] = certificate.ocsp;
  }
  if (certificate.caIssuers.length) {
    found['CA Issuers - URI'] = certificate.caIssuers;
  }
  return Object.keys(found).length ? found : undefined;
}

function fingerprint(digest, der) {
  return crypto.createHash(digest).update(der).digest('hex').toUpperCase().match(/../g).join(':');
}

function keyParts(certificate) {
  const curve = certificate.keyCurve;
  return {
    bits: certificate.keyBits,
    ...(curve && { asn1Curve: curve }),
    ...(NIST_CURVES[curve] && { nistCurve: NIST_CURVES[curve] }),
  };
}

/**
 * What getPeerCertificate() gives: Node's own fields, but for the public key's bytes; the daemon's decoding in full is
 * `decoded`.
 *
 * @param {object} certificate tlsagent.v1.Certificate
 */
function describe(certificate) {
  const { der } = certificate;
  const names = certificate.subjectAltNames.map(alternativeName).join(', ');
  const access = infoAccess(certificate);
  return {
    subject: distinguishedName(certificate.subject),
    issuer: distinguishedName(certificate.issuer),
    ...(names && { subjectaltname: names }),
    ...(access && { infoAccess: access }),
    ca: Boolean(certificate.basicConstraints && certificate.basicConstraints.ca),
    ...keyParts(certificate),
    valid_from: certificate.notBefore,
    valid_to: certificate.notAfter,
    fingerprint: fingerprint('sha1', der),
    fingerprint256: fingerprint('sha256', der),
    fingerprint512: fingerprint('sha512', der),
    serialNumber: certificate.serialNumber,
    raw: der,
    decoded: certificate,
  };
}

/**
 * Decodes certificates.
 *
 * @param {string | Buffer} data PEM, any number, or DER
 * @param {{tlsagent?: import('./agent').Agent | string}} [options]
 * @returns {Promise<object[]>} in the order of the input
 */
async function decodeCertificates(data, options = {}) {
  const request = { certificates: { data: Buffer.from(data) } };
  const answer = await agentOf(options.tlsagent).call('CertificateService.Decode', request);
  if (answer.error) {
    throw tlsError(answer.error);
  }
  return answer.certificates.map(describe);
}

module.exports = { describe, decodeCertificates };
