'use strict';
// Is a certificate shown as Node shows it, and can no name in it be taken for another?

const assert = require('assert/strict');
const { X509Certificate } = require('crypto');
const { after, before, test } = require('node:test');
const tls = require('tls');
const tlsagent = require('..');
const { Daemon } = require('./support/daemon');
const pki = require('./support/pki');

const SHARED = [
  'subject', 'issuer', 'subjectaltname', 'infoAccess', 'ca', 'bits', 'asn1Curve', 'nistCurve', 'valid_from', 'valid_to',
  'fingerprint', 'fingerprint256', 'fingerprint512', 'serialNumber', 'raw',
];
const RICH = [
  'subjectAltName=@names',
  'authorityInfoAccess=OCSP;URI:http://ocsp.test/,caIssuers;URI:http://ca.test/',
  '[names]',
  'DNS.1=plain.test',
  'DNS.2=evil.test, DNS:good.test',
  'DNS.3=quote\\".test',
  "DNS.4=quote\\'.test",
  'DNS.5=back\\\\slash.test',
  'email=me@plain.test',
  'URI=http://plain.test/a,b',
  'IP.1=192.0.2.1',
  'IP.2=2001:db8::1',
  'RID=1.2.3.4',
];

let daemon;
before(async () => {
  daemon = await new Daemon().start();
  process.env.TLSAGENT_SOCKET = daemon.address;
});
after(() => daemon.stop());

const plain = (value) => JSON.parse(JSON.stringify(value === undefined ? null : value));

async function compare(pem) {
  const [ours] = await tlsagent.decodeCertificates(pem);
  const nodes = new X509Certificate(pem).toLegacyObject();
  for (const name of SHARED) {
    assert.deepEqual(plain(ours[name]), plain(nodes[name]), name);
  }
  return ours;
}

for (const name of ['root', 'server', 'client', 'expired', 'wild', 'selfSigned']) {
  test(`${name} is shown as Node shows it`, () => compare(pki[name].cert));
}

test('so is one with every kind of name, and none of them passes for another', async () => {
  const ours = await compare(pki.issue('rich', { issuer: pki.root, extensions: RICH }).cert);
  assert.equal(tls.checkServerIdentity('plain.test', ours), undefined);
  assert.equal(tls.checkServerIdentity('good.test', ours).code, 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('many in one file, in their order; and DER', async () => {
  const many = await tlsagent.decodeCertificates(Buffer.concat([pki.server.cert, pki.root.cert]));
  assert.deepEqual(many.map((cert) => cert.subject.CN), ['server', 'root']);
  assert.equal((await tlsagent.decodeCertificates(many[1].raw))[0].subject.CN, 'root');
  assert.equal(many[0].decoded.signatureAlgorithm, 'ecdsa-with-SHA256');
});

test('what is none is refused', async () => {
  await assert.rejects(tlsagent.decodeCertificates('nonsense'), (error) => error instanceof Error && error.item === 'certificates');
});
