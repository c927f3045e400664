'use strict';
// The cells by the package tlsagent, which TLSAGENT_NODE names. conformance_test.py says what each cell has to do.

const fs = require('fs');
const https = require('https');
const { once } = require('events');
const { pipeline } = require('stream/promises');
const tlsagent = require(process.env.TLSAGENT_NODE);

const HOST = 'localhost';
const A_MOMENT_MS = 500;

const say = (name, value) => console.log(`${name}=${value}`);

async function connect(options) {
  const socket = tlsagent.connect({ host: HOST, ...options });
  await once(socket, 'secureConnect');
  return socket;
}

function request(options) {
  return https.get({ host: HOST, path: '/page', createConnection: tlsagent.createConnection, ...options });
}

async function page(options) {
  const asked = request(options);
  const [response] = await once(asked, 'response');
  let body = '';
  for await (const part of response) {
    body += part;
  }
  say('status', response.statusCode);
  say('body', body.trim());
  return asked.socket;
}

async function ask(socket) {
  socket.write('question\n');
  say('then', String((await once(socket, 'data'))[0]).trim());
  socket.end();
  await once(socket, 'close');
}

const client = (port, ca) => ({ port, ca: fs.readFileSync(ca) });

const cells = {
  async get(port, ca, cert, key) {
    const pair = cert ? { cert: fs.readFileSync(cert), key: fs.readFileSync(key) } : {};
    await page({ ...client(port, ca), ...pair });
  },

  async alpn(port, ca) {
    const socket = await page({ ...client(port, ca), ALPNProtocols: ['matrix/2', 'http/1.1'] });
    say('alpn', socket.alpnProtocol);
  },

  async resume(port, ca) {
    const agent = new tlsagent.HttpsAgent(client(port, ca));
    for (let i = 0; i < 2; i += 1) {
      const socket = await page({ port, agent, createConnection: undefined });
      say('resumed', socket.isSessionReused());
    }
  },

  async cancel(port, ca) {
    const controller = new AbortController();
    const asked = request({ ...client(port, ca), signal: controller.signal });
    asked.on('socket', (socket) => socket.once('secureConnect', () => setTimeout(() => controller.abort(), A_MOMENT_MS)));
    const [error] = await once(asked, 'error');
    say('cancelled', error.name);
    await ask(await connect(client(port, ca)));
  },

  async deadline(port, ca) {
    const socket = await connect(client(port, ca));
    const tooSoon = () => socket.destroy(new Error('the peer has spoken'));
    socket.on('data', tooSoon).setTimeout(A_MOMENT_MS);
    await once(socket, 'timeout');
    say('expired', 'timeout');
    socket.off('data', tooSoon).setTimeout(0);
    await ask(socket);
  },

  async bulk(port, ca, source, target) {
    const socket = await connect(client(port, ca));
    await Promise.all([
      pipeline(fs.createReadStream(source), socket, { end: false }),
      pipeline(socket, fs.createWriteStream(target)),
    ]);
  },

  serve(cert, key) {
    const options = { cert: fs.readFileSync(cert), key: fs.readFileSync(key) };
    const server = tlsagent.createHttpsServer(options, (asked, response) => {
      say('request', `${asked.method} ${asked.url} HTTP/${asked.httpVersion}`);
      response.end('conformance\n');
    });
    server.listen(0, '127.0.0.1', () => say('port', server.address().port));
  },

  async decode(file) {
    for (const { decoded, subject, valid_to: until, subjectaltname } of await tlsagent.decodeCertificates(fs.readFileSync(file))) {
      const names = (subjectaltname || '').split(', ').filter(Boolean);
      say('cn', subject.CN);
      say('names', names.map((name) => name.slice(name.indexOf(':') + 1)).join(','));
      say('until', Date.parse(until) / 1000);
    }
  },
};

const [cell, ...args] = process.argv.slice(2);
Promise.resolve(cells[cell](...args)).catch((error) => {
  console.error(error.message);
  process.exit(1);
});
