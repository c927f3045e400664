'use strict';
// What becomes of sockets when the daemon isn't there, goes away, is full or doesn't answer; and does it keep nothing?

const assert = require('assert/strict');
const crypto = require('crypto');
const { once } = require('events');
const { after, before, test } = require('node:test');
const path = require('path');
const tlsagent = require('..');
const { Daemon, eventually } = require('./support/daemon');
const { HOST, listen, nodeServer, run } = require('./support/peers');
const pki = require('./support/pki');
const { failure, readAll } = require('./support/streams');

const ca = pki.root.cert;

let daemon;
before(async () => {
  daemon = await new Daemon().start();
  process.env.TLSAGENT_SOCKET = daemon.address;
});
after(() => daemon.stop());

async function another(t, ...args) {
  const started = await new Daemon(...args).start();
  t.after(() => started.stop());
  return started;
}

function connect(t, options) {
  const socket = tlsagent.connect({ host: 'localhost', ca, ...options });
  socket.on('error', () => {}); // who waits for one has a listener of his own
  t.after(() => socket.destroy());
  return socket;
}

const echo = (socket) => socket.pipe(socket);

async function counters(address) {
  const { counters: list } = await new tlsagent.Agent(address).call('AgentService.Counters', {});
  return Object.fromEntries(list.map(({ name, value }) => [name, Number(value)]));
}

test('a daemon that is not there is named', async (t) => {
  const port = await nodeServer(t, {});
  const error = await failure(connect(t, { port, tlsagent: 'unix:/nonexistent/tlsagent.sock' }));
  assert.equal(error.code, 'ERR_TLSAGENT_UNAVAILABLE');
  assert.match(error.message, /no connection to tlsagentd at unix:\/nonexistent\/tlsagent\.sock/);
});

test('a daemon that ends takes its sockets along, idle or not, and its successor serves', async (t) => {
  const mortal = await another(t);
  const agent = new tlsagent.Agent(mortal.address);
  const port = await nodeServer(t, {}, echo);
  const [idle, busy] = [connect(t, { port, tlsagent: agent }), connect(t, { port, tlsagent: agent })];
  await Promise.all([once(idle, 'secureConnect'), once(busy, 'secureConnect')]);
  busy.resume();
  const write = () => busy.write(Buffer.alloc(65536), (error) => error || write());
  write();
  const failures = Promise.all([failure(idle), failure(busy)]);
  await mortal.kill();
  for (const error of await failures) {
    assert.equal(error.code, 'ERR_TLSAGENT_UNAVAILABLE');
  }
  await mortal.start();
  const next = connect(t, { port, tlsagent: agent });
  next.end('on');
  assert.equal((await readAll(next)).toString(), 'on');
});

test('a server goes on with the next daemon', async (t) => {
  const mortal = await another(t);
  const server = tlsagent.createServer({ cert: pki.server.cert, key: pki.server.key, tlsagent: mortal.address }, (socket) => {
    socket.on('error', () => {});
    socket.end('served');
  });
  t.after(() => server.close());
  const port = await listen(server);
  assert.equal((await readAll(connect(t, { port }))).toString(), 'served');
  await mortal.kill();
  const refused = once(server, 'tlsClientError');
  await failure(connect(t, { port }));
  assert.equal((await refused)[0].code, 'ERR_TLSAGENT_UNAVAILABLE');
  await mortal.start();
  assert.equal((await readAll(connect(t, { port }))).toString(), 'served');
});

test('a session of an earlier daemon is no hindrance', async (t) => {
  const mortal = await another(t);
  const port = await nodeServer(t, {}, (socket) => socket.write('x'));
  const first = connect(t, { port, tlsagent: mortal.address });
  first.resume();
  const [session] = await once(first, 'session');
  await Promise.all([failure(first), mortal.kill()]);
  await mortal.start();
  const second = connect(t, { port, tlsagent: mortal.address, session });
  await once(second, 'secureConnect');
  assert.equal(second.isSessionReused(), false);
});

test('a full daemon says which limit', async (t) => {
  const small = await another(t, '--limit', 'sessions=1');
  const port = await nodeServer(t, {});
  await once(connect(t, { port, tlsagent: small.address }), 'secureConnect');
  const error = await failure(connect(t, { port, tlsagent: small.address }));
  assert.equal(error.code, 'ERR_TLSAGENT_RESOURCE_EXHAUSTED');
  assert.match(error.message, /sessions/);
});

test('a daemon that does not answer is waited for so long', async (t) => {
  const stuck = await another(t);
  const port = await nodeServer(t, {});
  const agent = new tlsagent.Agent(stuck.address, { callTimeout: 500 });
  await agent.call('AgentService.Ping', {});
  stuck.process.kill('SIGSTOP');
  t.after(() => stuck.process.kill('SIGCONT'));
  assert.equal((await failure(connect(t, { port, tlsagent: agent }))).code, 'ERR_TLSAGENT_DEADLINE_EXCEEDED');
});

test('an agent that is closed ends its sockets, and can be used again', async (t) => {
  const agent = new tlsagent.Agent(daemon.address);
  const port = await nodeServer(t, {}, echo);
  const socket = connect(t, { port, tlsagent: agent });
  await once(socket, 'secureConnect');
  const failed = failure(socket);
  await agent.close();
  assert.match((await failed).message, /closed here/);
  await once(connect(t, { port, tlsagent: agent }), 'secureConnect');
  await agent.close();
});

async function echoed(t, port, tlsagentAddress) {
  const socket = connect(t, { port, tlsagent: tlsagentAddress });
  const words = crypto.randomBytes(20000);
  socket.end(words);
  assert.deepEqual(await readAll(socket), words);
}

test('200 connections at once, of ours with a server of ours, and nothing is left of them', async (t) => {
  const own = await another(t);
  const before = await counters(own.address);
  const server = tlsagent.createServer({ cert: pki.server.cert, key: pki.server.key, tlsagent: own.address }, echo);
  t.after(() => server.close());
  const port = await listen(server);
  await Promise.all(Array.from({ length: 200 }, () => echoed(t, port, own.address)));
  await eventually(async () => {
    const now = await counters(own.address);
    return now.sessions_made === 400 && now.sessions_freed === 400;
  }, 'the sessions are freed');
  assert.equal((await counters(own.address)).contexts_made - before.contexts_made, 2, 'equal settings share a context');
});

test('contexts that nobody uses are dropped', async (t) => {
  const own = await another(t, '--limit', 'contexts=80', '--limit', 'contexts_per_owner=80');
  const port = await nodeServer(t, {});
  for (let i = 0; i < 100; i += 1) {
    const socket = connect(t, { port, tlsagent: own.address, ALPNProtocols: [`p${i}`], rejectUnauthorized: false });
    await once(socket, 'secureConnect');
    socket.destroy();
  }
  assert.ok((await counters(own.address)).contexts_made >= 100);
});

test('a handshake that is given up leaves nothing', async (t) => {
  const own = await another(t);
  const silent = require('net').createServer();
  t.after(() => silent.close());
  const ends = [];
  silent.on('connection', (socket) => ends.push(socket.on('error', () => {})));
  const port = await listen(silent);
  for (let i = 0; i < 20; i += 1) {
    const socket = connect(t, { port, tlsagent: own.address });
    setTimeout(() => socket.destroy(), i);
    await once(socket, 'close');
  }
  ends.forEach((socket) => socket.destroy());
  await eventually(async () => {
    const now = await counters(own.address);
    return now.sessions_made === now.sessions_freed;
  }, 'the sessions are freed');
});

test('a process ends when its sockets are closed', async (t) => {
  const port = await nodeServer(t, {}, echo);
  const script = `
    const tlsagent = require(${JSON.stringify(path.join(__dirname, '..'))});
    const socket = tlsagent.connect({ host: '${HOST}', port: ${port}, ca: require('fs').readFileSync('${pki.root.certPath}') });
    socket.end('the end');
    socket.pipe(process.stdout);`;
  assert.equal((await run(process.execPath, ['-e', script], { timeout: 60000 })).stdout, 'the end');
});
