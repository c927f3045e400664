'use strict';
// Certificates for tests, made by openssl(1) when this is first loaded, in a directory that goes with the process.
//
//   root ── server, client, expired, elsewhere (another host), wild (*.wild.test)     other root ── stranger     selfSigned

const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');

const directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tlsagent-node-'));
process.on('exit', () => fs.rmSync(directory, { recursive: true, force: true }));

const [PAST, LONG_AGO, FUTURE] = ['20200101000000Z', '20100101000000Z', '20450101000000Z'];
const CA = ['basicConstraints=critical,CA:true', 'keyUsage=critical,keyCertSign,cRLSign', 'subjectKeyIdentifier=hash'];
const CONFIG = `
[ca]
default_ca = here
[here]
database = ${directory}/index.txt
new_certs_dir = ${directory}
rand_serial = yes
default_md = sha256
policy = any
unique_subject = no
string_mask = utf8only
utf8 = yes
[any]
[req]
distinguished_name = any
prompt = no
`;

const at = (name) => path.join(directory, name);
const openssl = (...args) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] });

fs.writeFileSync(at('index.txt'), '');
fs.writeFileSync(at('openssl.cnf'), CONFIG);

function leaf(usage, names) {
  const lines = ['basicConstraints=CA:false', 'keyUsage=critical,digitalSignature', `extendedKeyUsage=${usage}`];
  return names ? [...lines, `subjectAltName=${names}`] : lines;
}

function issue(name, { issuer, extensions, from = PAST, to = FUTURE }) {
  const file = (ending) => at(`${name}.${ending}`);
  fs.writeFileSync(file('ext'), `${extensions.join('\n')}\n`);
  openssl('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', file('key'));
  openssl('req', '-new', '-config', at('openssl.cnf'), '-key', file('key'), '-subj', `/O=tlsagent tests/CN=${name}`, '-out', file('csr'));
  const signer = issuer ? ['-cert', issuer.certPath, '-keyfile', issuer.keyPath] : ['-selfsign', '-keyfile', file('key')];
  openssl('ca', '-config', at('openssl.cnf'), '-batch', '-notext', '-preserveDN', '-in', file('csr'), '-out', file('pem'), ...signer,
    '-startdate', from, '-enddate', to, '-extfile', file('ext'));
  return {
    certPath: file('pem'),
    keyPath: file('key'),
    cert: fs.readFileSync(file('pem')),
    key: fs.readFileSync(file('key')),
  };
}

const HERE = 'DNS:localhost,IP:127.0.0.1';
const root = issue('root', { extensions: CA });
const otherRoot = issue('other-root', { extensions: CA });

module.exports = {
  at,
  issue,
  root,
  server: issue('server', { issuer: root, extensions: leaf('serverAuth', HERE) }),
  client: issue('client', { issuer: root, extensions: leaf('clientAuth') }),
  expired: issue('expired', { issuer: root, extensions: leaf('serverAuth', HERE), from: LONG_AGO, to: PAST }),
  elsewhere: issue('elsewhere', { issuer: root, extensions: leaf('serverAuth', 'DNS:elsewhere.test,IP:192.0.2.1') }),
  wild: issue('wild', { issuer: root, extensions: leaf('serverAuth', 'DNS:*.wild.test') }),
  stranger: issue('stranger', { issuer: otherRoot, extensions: leaf('serverAuth', HERE) }),
  strangerClient: issue('stranger-client', { issuer: otherRoot, extensions: leaf('clientAuth') }),
  selfSigned: issue('self-signed', { extensions: leaf('serverAuth', HERE) }),
};
