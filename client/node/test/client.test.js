'use strict';
// Is a socket of ours what a program that knows tls.connect expects, and does it trust whom it should?

const assert = require('assert/strict');
const { once } = require('events');
const http2 = require('http2');
const https = require('https');
const net = require('net');
const { Duplex } = require('stream');
const { after, before, test } = require('node:test');
const tls = require('tls');
const tlsagent = require('..');
const { Daemon } = require('./support/daemon');
const { HOST, PAGE, between, listen, nginx, nodeServer, opensslServer } = require('./support/peers');
const pki = require('./support/pki');
const { failure, get, hashAll, noise, readAll, settled } = require('./support/streams');

const ca = pki.root.cert;
const MEBIBYTES_16 = 16 << 20;

let daemon;
before(async () => {
  daemon = await new Daemon().start();
  process.env.TLSAGENT_SOCKET = daemon.address;
});
after(() => daemon.stop());

function connect(t, options) {
  const socket = tlsagent.connect({ host: 'localhost', ca, ...options });
  t.after(() => socket.destroy());
  return socket;
}

async function secure(t, options) {
  const socket = connect(t, options);
  await once(socket, 'secureConnect');
  return socket;
}

// A server of Node's that ends in the moment in which it has written may leave without close_notify.
function sayGoodbye(socket, words) {
  socket.write(words, () => setImmediate(() => socket.end()));
}

// --- Pages ---

test('https.request gets a page from nginx', async (t) => {
  const port = await nginx(t);
  const page = await get(https, { host: 'localhost', port, path: '/page', ca, createConnection: tlsagent.createConnection });
  assert.deepEqual([page.status, page.body, page.socket.authorized], [200, PAGE, true]);
});

test('https.request gets a page from openssl', async (t) => {
  const port = await opensslServer(t);
  const page = await get(https, { host: HOST, port, ca, createConnection: tlsagent.createConnection });
  assert.equal(page.status, 200);
  assert.match(page.body, /TLSv1\.3/);
});

test('an HttpsAgent keeps connections, and resumes sessions', async (t) => {
  const port = await nginx(t);
  const kept = new tlsagent.HttpsAgent({ keepAlive: true, ca });
  const first = await get(https, { host: 'localhost', port, path: '/page', agent: kept });
  const second = await get(https, { host: 'localhost', port, path: '/page', agent: kept });
  assert.equal(second.body, PAGE);
  assert.equal(second.socket, first.socket);
  kept.destroy();
  const third = await get(https, { host: 'localhost', port, path: '/page', agent: kept });
  assert.notEqual(third.socket, first.socket);
  assert.equal(third.socket.isSessionReused(), true);
  kept.destroy();
});

test('http2 speaks over it', async (t) => {
  const server = http2.createSecureServer({ cert: pki.server.cert, key: pki.server.key }, (request, response) => response.end(`h2 ${request.url}`));
  t.after(() => server.close());
  const port = await listen(server);
  const session = http2.connect(`https://localhost:${port}`, { createConnection: () => connect(t, { port, ALPNProtocols: ['h2'] }) });
  const request = session.request({ ':path': '/x' });
  assert.equal((await readAll(request)).toString(), 'h2 /x');
  session.close();
});

// --- What was agreed ---

test('it tells what was agreed, and with whom', async (t) => {
  const port = await nodeServer(t, { ALPNProtocols: ['h2', 'http/1.1'] }, (socket) => socket.end());
  const socket = await secure(t, { port, ALPNProtocols: ['http/1.1'], servername: 'localhost' });
  assert.equal(socket.authorized, true);
  assert.equal(socket.authorizationError, null);
  assert.equal(socket.encrypted, true);
  assert.equal(socket.alpnProtocol, 'http/1.1');
  assert.equal(socket.servername, 'localhost');
  assert.equal(socket.getProtocol(), 'TLSv1.3');
  assert.deepEqual(Object.keys(socket.getCipher()), ['name', 'standardName', 'version']);
  assert.equal(socket.getPeerCertificate().subject.CN, 'server');
  assert.equal(socket.remotePort, port);
  assert.equal(socket.isSessionReused(), false);
});

test('without ALPN there is no protocol', async (t) => {
  const socket = await secure(t, { port: await nodeServer(t, {}) });
  assert.equal(socket.alpnProtocol, false);
});

test('a protocol that the server lacks ends the handshake', async (t) => {
  const port = await opensslServer(t, '-alpn', 'h2'); // Node's own server goes on without one until Node 20
  const error = await failure(connect(t, { port, ALPNProtocols: ['http/1.1'] }));
  assert.equal(error.code, 'ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL');
});

for (const version of ['TLSv1.2', 'TLSv1.3']) {
  test(`${version} when that is what is wanted`, async (t) => {
    const port = await nodeServer(t, {}, (socket) => sayGoodbye(socket, 'hi'));
    const socket = await secure(t, { port, minVersion: version, maxVersion: version });
    assert.equal(socket.getProtocol(), version);
    assert.equal((await readAll(socket)).toString(), 'hi');
  });

  test(`a session of ${version} is resumed`, async (t) => {
    const port = await nodeServer(t, { maxVersion: version }, (socket) => socket.write('hi'));
    const first = connect(t, { port });
    first.resume();
    const [session] = await once(first, 'session');
    assert.equal(first.getSession(), session);
    first.destroy();
    const second = await secure(t, { port, session });
    assert.equal(second.isSessionReused(), true);
    assert.equal(second.authorized, true);
    assert.equal(second.getPeerCertificate().subject.CN, 'server');
  });
}

test('a session that nobody knows is no hindrance', async (t) => {
  const socket = await secure(t, { port: await nodeServer(t, {}), session: Buffer.from('nonsense') });
  assert.equal(socket.isSessionReused(), false);
});

test('ciphers of both kinds, curves', async (t) => {
  const port = await nodeServer(t, {});
  const older = await secure(t, { port, maxVersion: 'TLSv1.2', ciphers: 'TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES256-GCM-SHA384' });
  assert.equal(older.getCipher().name, 'ECDHE-ECDSA-AES256-GCM-SHA384');
  const newer = await secure(t, { port, ciphers: 'TLS_CHACHA20_POLY1305_SHA256', ecdhCurve: 'P-384' });
  assert.equal(newer.getCipher().name, 'TLS_CHACHA20_POLY1305_SHA256');
});

test('the chain and keying material can be asked for', async (t) => {
  let theirs;
  const port = await nodeServer(t, {}, (socket) => {
    theirs = socket.exportKeyingMaterial(32, 'EXPORTER-test');
    socket.write('x');
  });
  const socket = await secure(t, { port });
  await once(socket, 'readable');
  const chain = await socket.getPeerCertificateChain();
  assert.deepEqual(chain.map((cert) => cert.subject.CN), ['server', 'root']);
  assert.deepEqual(await socket.exportKeyingMaterial(32, 'EXPORTER-test'), theirs);
});

// --- Whom it trusts ---

const UNTRUSTED = [
  ['of another CA', 'stranger', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
  ['signed by itself', 'selfSigned', 'DEPTH_ZERO_SELF_SIGNED_CERT'],
  ['that has expired', 'expired', 'CERT_HAS_EXPIRED'],
  ['of another host', 'elsewhere', 'ERR_TLS_CERT_ALTNAME_INVALID'],
];

// What Node itself says of the same server.
async function nodesWord(port) {
  const socket = tls.connect({ host: HOST, servername: 'localhost', port, ca });
  const error = await failure(socket);
  socket.destroy();
  return error;
}

for (const [what, name, code] of UNTRUSTED) {
  test(`a server with a certificate ${what} is refused, in Node's own code`, async (t) => {
    const port = await nodeServer(t, { cert: pki[name].cert, key: pki[name].key });
    const socket = connect(t, { port, servername: 'localhost' });
    socket.on('secureConnect', () => assert.fail('it was let in'));
    const error = await failure(socket);
    assert.equal(error.code, code);
    assert.equal(error.code, (await nodesWord(port)).code);
  });

  test(`a server with a certificate ${what} is let in by who says so`, async (t) => {
    const port = await nodeServer(t, { cert: pki[name].cert, key: pki[name].key }, (socket) => sayGoodbye(socket, 'hi'));
    const socket = await secure(t, { port, rejectUnauthorized: false });
    assert.deepEqual([socket.authorized, socket.authorizationError], [false, code]);
    assert.equal((await readAll(socket)).toString(), 'hi');
  });
}

test('a wrong host has what Node tells of one', async (t) => {
  const port = await nodeServer(t, { cert: pki.elsewhere.cert, key: pki.elsewhere.key });
  const error = await failure(connect(t, { port }));
  assert.equal(error.host, 'localhost');
  assert.equal(error.cert.subject.CN, 'elsewhere');
  assert.match(error.message, /altnames/);
});

test('an address is checked as one', async (t) => {
  const port = await nodeServer(t, {});
  assert.equal((await secure(t, { host: HOST, port })).authorized, true);
  const wrong = await nodeServer(t, { cert: pki.wild.cert, key: pki.wild.key });
  assert.equal((await failure(connect(t, { host: HOST, port: wrong }))).code, 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('checkServerIdentity has the last word', async (t) => {
  const port = await nodeServer(t, { cert: pki.elsewhere.cert, key: pki.elsewhere.key });
  const asked = [];
  const willing = (host, cert) => {
    asked.push(host, cert.subject.CN);
  };
  assert.equal((await secure(t, { port, checkServerIdentity: willing })).authorized, true);
  assert.deepEqual(asked, ['localhost', 'elsewhere']);
  const reason = Object.assign(new Error('not today'), { code: 'ERR_NOT_TODAY' });
  assert.equal(await failure(connect(t, { port, checkServerIdentity: () => reason })), reason);
});

test('checkServerIdentity is not asked about an untrusted server', async (t) => {
  const port = await nodeServer(t, { cert: pki.stranger.cert, key: pki.stranger.key });
  const error = await failure(connect(t, { port, checkServerIdentity: () => undefined }));
  assert.equal(error.code, 'UNABLE_TO_VERIFY_LEAF_SIGNATURE');
});

test('a name that is not sent is checked all the same', async (t) => {
  let asked = 'nothing';
  const port = await nodeServer(t, {}, (socket) => {
    asked = socket.servername;
    socket.write('x');
  });
  const socket = await secure(t, { port, servername: '' });
  await once(socket, 'readable');
  assert.deepEqual([socket.authorized, asked], [true, false]);
  const wrong = await nodeServer(t, { cert: pki.elsewhere.cert, key: pki.elsewhere.key });
  assert.equal((await failure(connect(t, { port: wrong, servername: '' }))).code, 'ERR_TLS_CERT_ALTNAME_INVALID');
});

test('a client shows its certificate', async (t) => {
  let shown;
  const port = await nodeServer(t, { requestCert: true, ca }, (socket) => {
    shown = socket.getPeerCertificate().subject.CN;
    sayGoodbye(socket, 'hi');
  });
  const socket = await secure(t, { port, cert: pki.client.cert, key: pki.client.key });
  assert.equal((await readAll(socket)).toString(), 'hi');
  assert.equal(shown, 'client');
});

test('a client without a certificate learns that it lacks one', async (t) => {
  const port = await nodeServer(t, { requestCert: true, ca });
  const socket = connect(t, { port, maxVersion: 'TLSv1.2' });
  assert.match((await failure(socket)).code, /^ERR_SSL_.*ALERT_HANDSHAKE_FAILURE$/);
});

test('what makes no sense is refused in words', async (t) => {
  const port = await nodeServer(t, {});
  const error = await failure(connect(t, { port, cert: 'nonsense', key: 'nonsense' }));
  assert.deepEqual([error.code, error.item], ['ERR_SSL_PEM_LIB', 'pairs[0].chain']);
  assert.throws(() => tlsagent.createSecureContext({ pfx: Buffer.alloc(1) }), { code: 'ERR_TLSAGENT_UNSUPPORTED' });
  assert.throws(() => tlsagent.createSecureContext({ minVersion: 'TLSv9' }), { code: 'ERR_INVALID_ARG_VALUE' });
  assert.throws(() => tlsagent.connect({ port, servername: HOST }), { code: 'ERR_INVALID_ARG_VALUE' });
});

test('a peer that speaks no TLS is no TLS peer', async (t) => {
  const server = net.createServer((socket) => socket.end('220 hello\r\n'));
  t.after(() => server.close());
  assert.equal((await failure(connect(t, { port: await listen(server) }))).code, 'ERR_SSL_WRONG_VERSION_NUMBER');
});

// --- Bytes ---

test('16 MiB each way arrive as they were, at the same time', async (t) => {
  const port = await nodeServer(t, {}, (socket) => socket.pipe(socket));
  const socket = await secure(t, { port });
  const sent = noise(MEBIBYTES_16);
  sent.stream.pipe(socket);
  const got = await hashAll(socket);
  assert.deepEqual(got, { length: MEBIBYTES_16, digest: sent.digest() });
  assert.deepEqual([socket.bytesRead, socket.bytesWritten], [MEBIBYTES_16, MEBIBYTES_16]);
});

test('a socket given as any Duplex carries it: TLS in TLS', async (t) => {
  const inner = await nodeServer(t, {}, (socket) => sayGoodbye(socket, 'deep'));
  const outer = await nodeServer(t, {}, (socket) => {
    const upstream = net.connect(inner, HOST);
    socket.pipe(upstream).pipe(socket);
  });
  const tunnel = await secure(t, { port: outer });
  const socket = await secure(t, { socket: tunnel });
  assert.equal((await readAll(socket)).toString(), 'deep');
});

test('a Duplex that is no socket at all', async (t) => {
  const port = await nodeServer(t, {}, (socket) => sayGoodbye(socket, 'hi'));
  const below = net.connect(port, HOST);
  const plain = new Duplex({
    read() {
      below.resume();
    },
    write: (data, _, callback) => below.write(data, callback),
    final: (callback) => below.end(callback),
    destroy: (error, callback) => {
      below.destroy();
      callback(error);
    },
  });
  below.on('data', (data) => plain.push(data) || below.pause());
  below.on('end', () => plain.push(null));
  const socket = await secure(t, { socket: plain });
  assert.equal((await readAll(socket)).toString(), 'hi');
});

test('half of it can be closed', async (t) => {
  const port = await nodeServer(t, { allowHalfOpen: true }, async (socket) => {
    const question = await readAll(socket);
    sayGoodbye(socket, `${question} is heard`);
  });
  const socket = await secure(t, { port, allowHalfOpen: true });
  socket.end('the question');
  assert.equal((await readAll(socket)).toString(), 'the question is heard');
});

test('who does not read makes the peer wait', async (t) => {
  let written = 0;
  const port = await nodeServer(t, {}, (socket) => {
    const more = () => {
      written += 65536;
      socket.write(Buffer.alloc(65536), (error) => error || more());
    };
    more();
  });
  const socket = await secure(t, { port });
  await once(socket, 'readable');
  assert.ok((await settled(() => written)) > 0);
  assert.ok(socket.readableLength < 1 << 20, `${socket.readableLength} bytes wait in the socket`);
});

test('who writes is made to wait for a peer that does not read', async (t) => {
  const port = await nodeServer(t, {}, (socket) => socket.pause());
  const socket = await secure(t, { port });
  const PARTS = 64;
  let taken = 0;
  for (let i = 0; i < PARTS; i += 1) {
    socket.write(Buffer.alloc(1 << 20), () => {
      taken += 1;
    });
  }
  const parts = await settled(() => taken);
  assert.ok(parts < PARTS, 'everything was taken, and nobody read it');
});

// --- Ends ---

test('a stream that is cut off is an error, and no end', async (t) => {
  const port = await nodeServer(t, {}, (socket) => socket.write('the beginning'));
  const cut = await between(t, port, (client, upstream) => {
    client.pipe(upstream);
    upstream.pipe(client);
    client.on('cut', () => client.end());
    t.cut = () => client.end();
  });
  const socket = await secure(t, { port: cut });
  socket.on('end', () => assert.fail('it looked like the end'));
  socket.once('data', () => t.cut());
  assert.equal((await failure(socket)).code, 'ECONNRESET');
});

test('a peer that leaves in the handshake is ECONNRESET', async (t) => {
  const server = net.createServer((socket) => socket.end());
  t.after(() => server.close());
  const error = await failure(connect(t, { port: await listen(server) }));
  assert.equal(error.code, 'ECONNRESET');
  assert.match(error.message, /before the TLS connection was established/);
});

test('nobody there is ECONNREFUSED', async (t) => {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  assert.equal((await failure(connect(t, { host: HOST, port }))).code, 'ECONNREFUSED');
});

test('it can be destroyed at any moment of the handshake', async (t) => {
  const port = await nodeServer(t, {});
  for (const moment of [null, 'lookup', 'connect', 'ready', 'secureConnect']) {
    const socket = connect(t, { port });
    if (moment) {
      await once(socket, moment);
    }
    socket.destroy();
    await once(socket, 'close');
    assert.equal(socket.getPeerCertificate(), null);
  }
});

test('what was destroyed with an error says so', async (t) => {
  const socket = connect(t, { port: await nodeServer(t, {}) });
  const reason = new Error('changed my mind');
  socket.destroy(reason);
  assert.equal(await failure(socket), reason);
});

test('a silent peer is a timeout', async (t) => {
  const server = net.createServer();
  t.after(() => server.close());
  const sockets = [];
  server.on('connection', (socket) => sockets.push(socket));
  const socket = connect(t, { port: await listen(server), timeout: 50 });
  await once(socket, 'timeout');
  assert.equal(socket.destroyed, false);
  socket.destroy();
  sockets.forEach((one) => one.destroy());
});

test('an exception of the user is his own', async (t) => {
  const port = await nodeServer(t, {}, (socket) => socket.write('x'));
  const socket = connect(t, { port });
  socket.on('error', (error) => assert.fail(error));
  const thrown = new Error("the user's");
  const others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  const caught = new Promise((resolve) => process.once('uncaughtException', resolve));
  socket.on('data', () => {
    throw thrown;
  });
  assert.equal(await caught, thrown);
  others.forEach((listener) => process.on('uncaughtException', listener));
});
