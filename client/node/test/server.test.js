'use strict';
// Do real clients get what they should from a server of ours, and are the wrong ones kept out?

const assert = require('assert/strict');
const { once } = require('events');
const https = require('https');
const net = require('net');
const { after, before, test } = require('node:test');
const tls = require('tls');
const tlsagent = require('..');
const { Daemon } = require('./support/daemon');
const { HOST, listen, run } = require('./support/peers');
const pki = require('./support/pki');
const { failure, get, hashAll, noise, readAll } = require('./support/streams');

const ca = pki.root.cert;
const OURS = { cert: pki.server.cert, key: pki.server.key };
const MEBIBYTES_16 = 16 << 20;

let daemon;
before(async () => {
  daemon = await new Daemon().start();
  process.env.TLSAGENT_SOCKET = daemon.address;
});
after(() => daemon.stop());

async function serve(t, options, listener) {
  const server = tlsagent.createServer({ ...OURS, ...options }, listener);
  server.on('secureConnection', (socket) => socket.on('error', () => {}));
  t.after(() => server.close());
  return { server, port: await listen(server) };
}

async function servePages(t, options = {}) {
  const server = tlsagent.createHttpsServer({ ...OURS, ...options }, (request, response) => {
    response.end(`${request.method} ${request.url} ${request.socket.getProtocol()}\n`);
  });
  t.after(() => {
    server.closeAllConnections();
    server.close();
  });
  return { server, port: await listen(server) };
}

function curl(port, ...args) {
  return run('curl', ['--silent', '--show-error', '--max-time', '60', '--cacert', pki.root.certPath, ...args, `https://localhost:${port}/page`]);
}

function dial(t, options) {
  const socket = tls.connect({ host: HOST, servername: 'localhost', ca, ...options });
  t.after(() => socket.destroy());
  return socket;
}

test('curl gets a page', async (t) => {
  const { port } = await servePages(t);
  assert.equal((await curl(port)).stdout, 'GET /page TLSv1.3\n');
});

test('curl gets many pages on one connection', async (t) => {
  const { port } = await servePages(t);
  const page = `https://localhost:${port}/page`;
  const { stdout } = await curl(port, page, page, '--write-out', '%{num_connects}\n');
  assert.equal(stdout, 'GET /page TLSv1.3\n1\nGET /page TLSv1.3\n0\nGET /page TLSv1.3\n0\n');
});

test('pages of ours for requests of ours', async (t) => {
  const { port } = await servePages(t);
  const page = await get(https, { host: 'localhost', port, path: '/x', ca, createConnection: tlsagent.createConnection });
  assert.equal(page.body, 'GET /x TLSv1.3\n');
});

test('an HttpsServer passes on what http.Server tells, and its settings', async (t) => {
  const { server, port } = await servePages(t);
  server.keepAliveTimeout = 1234;
  assert.equal(server.http.keepAliveTimeout, 1234);
  server.on('upgrade', (request, socket) => socket.end('HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\nupgraded'));
  const socket = dial(t, { port });
  socket.write('GET / HTTP/1.1\r\nHost: x\r\nUpgrade: x\r\nConnection: Upgrade\r\n\r\n');
  assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 101 [^]*upgraded$/);
});

test('an HttpsServer closes once its idle connections are', async (t) => {
  const { server, port } = await servePages(t);
  const agent = new https.Agent({ keepAlive: true, ca });
  await get(https, { host: 'localhost', port, path: '/x', agent });
  const closed = once(server, 'close');
  server.close();
  await closed;
  agent.destroy();
});

test('a slow request is ended by its timeout', async (t) => {
  const { server, port } = await servePages(t, { connectionsCheckingInterval: 50, requestTimeout: 100, headersTimeout: 100 });
  assert.equal(server.http.requestTimeout, 100);
  const socket = dial(t, { port });
  socket.write('GET / HTTP/1.1\r\n');
  assert.match((await readAll(socket)).toString(), /^HTTP\/1\.1 408 /);
});

test('a client with a good certificate is let in', async (t) => {
  const seen = [];
  const { port } = await serve(t, { requestCert: true, ca }, (socket) => {
    seen.push(socket.authorized, socket.getPeerCertificate().subject.CN);
    socket.end('welcome');
  });
  const socket = dial(t, { port, cert: pki.client.cert, key: pki.client.key });
  assert.equal((await readAll(socket)).toString(), 'welcome');
  assert.deepEqual(seen, [true, 'client']);
});

const UNWELCOME = [
  ['no certificate', {}, 'ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE'],
  ['a certificate of another CA', { cert: pki.strangerClient.cert, key: pki.strangerClient.key }, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
];
for (const [what, shown, code] of UNWELCOME) {
  test(`a client with ${what} is not let in`, async (t) => {
    const { server, port } = await serve(t, { requestCert: true, ca }, () => assert.fail('it was let in'));
    const refused = once(server, 'tlsClientError');
    const socket = dial(t, { port, ...shown });
    await failure(socket);
    assert.equal((await refused)[0].code, code);
  });
}

test('a client without a certificate may be let in all the same', async (t) => {
  const { port } = await serve(t, { requestCert: true, rejectUnauthorized: false, ca }, (socket) => {
    socket.end(`${socket.authorized} ${socket.authorizationError}`);
  });
  assert.equal((await readAll(dial(t, { port }))).toString(), 'false UNABLE_TO_GET_ISSUER_CERT');
});

test('both sides of mutual TLS can be ours', async (t) => {
  const { port } = await serve(t, { requestCert: true, ca }, (socket) => socket.end(socket.getPeerCertificate().subject.CN));
  const socket = tlsagent.connect({ port, host: 'localhost', ca, cert: pki.client.cert, key: pki.client.key });
  assert.equal((await readAll(socket)).toString(), 'client');
});

test('the first protocol of ours that the client offers is taken', async (t) => {
  const { port } = await serve(t, { ALPNProtocols: ['b', 'a'] }, (socket) => socket.end(String(socket.alpnProtocol)));
  assert.equal((await readAll(dial(t, { port, ALPNProtocols: ['a', 'b'] }))).toString(), 'b');
  assert.equal((await readAll(dial(t, { port }))).toString(), 'false');
  assert.match((await failure(dial(t, { port, ALPNProtocols: ['c'] }))).code, /NO_APPLICATION_PROTOCOL/);
});

test('the certificate is chosen by the name that the client asks for', async (t) => {
  const { server, port } = await serve(t, {}, (socket) => socket.end(String(socket.servername)));
  server.addContext('*.wild.test', { cert: pki.wild.cert, key: pki.wild.key });
  for (const [servername, name] of [['a.wild.test', 'wild'], ['localhost', 'server']]) {
    const socket = dial(t, { port, servername });
    await once(socket, 'secureConnect');
    assert.equal(socket.getPeerCertificate().subject.CN, name);
    assert.equal((await readAll(socket)).toString(), servername);
  }
});

test('an SNICallback chooses, and may refuse', async (t) => {
  const wild = tlsagent.createSecureContext({ cert: pki.wild.cert, key: pki.wild.key });
  const asked = [];
  const SNICallback = (name, callback) => {
    asked.push(name);
    setImmediate(() => (name === 'refused.test' ? callback(new Error('not this one')) : callback(null, wild)));
  };
  const { server, port } = await serve(t, { SNICallback }, (socket) => socket.end());
  const socket = dial(t, { port, servername: 'x.wild.test' });
  await once(socket, 'secureConnect');
  assert.equal(socket.getPeerCertificate().subject.CN, 'wild');
  const refused = once(server, 'tlsClientError');
  await failure(dial(t, { port, servername: 'refused.test' }));
  assert.equal((await refused)[0].message, 'not this one');
  assert.deepEqual(asked, ['x.wild.test', 'refused.test']);
});

test('half of it can be closed', async (t) => {
  const { port } = await serve(t, { allowHalfOpen: true }, async (socket) => {
    const question = await readAll(socket);
    socket.end(`${question} is heard`);
  });
  const socket = tlsagent.connect({ port, host: 'localhost', ca, allowHalfOpen: true });
  socket.end('the question');
  assert.equal((await readAll(socket)).toString(), 'the question is heard');
});

test('sessions are resumed', async (t) => {
  const { port } = await serve(t, {}, (socket) => {
    socket.write('x');
    socket.on('data', () => socket.end());
  });
  const first = dial(t, { port });
  first.resume();
  const [session] = await once(first, 'session');
  setImmediate(() => first.end('done')); // Node's own socket bears no write inside of that event
  const second = dial(t, { port, session });
  await once(second, 'secureConnect');
  assert.equal(second.isSessionReused(), true);
});

test('16 MiB each way arrive as they were, at the same time', async (t) => {
  const { port } = await serve(t, {}, (socket) => socket.pipe(socket));
  const socket = dial(t, { port });
  const sent = noise(MEBIBYTES_16);
  sent.stream.pipe(socket);
  assert.deepEqual(await hashAll(socket), { length: MEBIBYTES_16, digest: sent.digest() });
});

test('who speaks no TLS is a tlsClientError', async (t) => {
  const { server, port } = await serve(t, {});
  const refused = once(server, 'tlsClientError');
  const socket = net.connect(port, HOST, () => socket.write('GET / HTTP/1.0\r\n\r\n'));
  socket.on('error', () => {});
  const [error] = await refused;
  assert.equal(error.code, 'ERR_SSL_HTTP_REQUEST');
  socket.destroy();
});

test('who says nothing is a tlsClientError, in time', async (t) => {
  const { server, port } = await serve(t, { handshakeTimeout: 50 });
  const refused = once(server, 'tlsClientError');
  const socket = net.connect(port, HOST);
  socket.on('error', () => {});
  assert.equal((await refused)[0].code, 'ERR_TLS_HANDSHAKE_TIMEOUT');
  socket.destroy();
});

test('who leaves in the handshake is a tlsClientError', async (t) => {
  const { server, port } = await serve(t, {});
  const refused = once(server, 'tlsClientError');
  const socket = net.connect(port, HOST, () => socket.end());
  assert.equal((await refused)[0].code, 'ECONNRESET');
});

test('a certificate can be replaced while it serves', async (t) => {
  const { server, port } = await serve(t, {}, (socket) => socket.end());
  server.setSecureContext({ cert: pki.elsewhere.cert, key: pki.elsewhere.key });
  assert.equal((await failure(dial(t, { port }))).code, 'ERR_TLS_CERT_ALTNAME_INVALID');
});
