'use strict';
// Real peers on the loopback: openssl, nginx, and Node's own tls.

const { execFile } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const net = require('net');
const path = require('path');
const tls = require('tls');
const { promisify } = require('util');
const pki = require('./pki');
const { eventually, spawnTied } = require('./daemon');

const HOST = '127.0.0.1';
const PAGE = "a page of nginx's\n";

/** Runs a program to its end: {stdout, stderr}. */
const run = promisify(execFile);

async function listen(server) {
  server.listen(0, HOST);
  await once(server, 'listening');
  return server.address().port;
}

/** Node's own TLS server; each connection is handed to the function. */
async function nodeServer(t, options, handler = () => {}) {
  const server = tls.createServer({ cert: pki.server.cert, key: pki.server.key, ...options }, (socket) => {
    socket.on('error', () => {}); // the client's test says what is wrong
    handler(socket);
  });
  server.on('tlsClientError', () => {});
  const connections = new Set();
  server.on('connection', (socket) => connections.add(socket));
  t.after(() => {
    connections.forEach((socket) => socket.destroy());
    server.close();
  });
  return listen(server);
}

/** What becomes of bytes on their way: each connection is handed to the function, with one to the port. */
async function between(t, port, handler) {
  const server = net.createServer((client) => {
    const upstream = net.connect(port, HOST);
    client.on('error', () => upstream.destroy());
    upstream.on('error', () => client.destroy());
    t.after(() => [client, upstream].forEach((socket) => socket.destroy()));
    handler(client, upstream);
  });
  t.after(() => server.close());
  return listen(server);
}

function start(t, command, args, options) {
  const child = spawnTied(command, args, options);
  t.after(() => child.kill('SIGTERM'));
  return child;
}

/** openssl s_server, which answers a GET with a page about the connection. */
async function opensslServer(t, ...args) {
  const child = start(t, 'openssl', ['s_server', '-accept', `${HOST}:0`, '-www', '-cert', pki.server.certPath, '-key', pki.server.keyPath, ...args]);
  let said = '';
  child.stdout.on('data', (data) => {
    said += data;
  });
  await eventually(() => /ACCEPT \S+:(\d+)/.test(said), 's_server listens');
  return Number(/ACCEPT \S+:(\d+)/.exec(said)[1]);
}

async function freePort() {
  const server = net.createServer();
  const port = await listen(server);
  server.close();
  return port;
}

async function answers(port) {
  const socket = net.connect(port, HOST);
  const answered = await once(socket, 'connect').then(() => true, () => false);
  socket.destroy();
  return answered;
}

function nginxConfig(directory, port, lines) {
  const user = process.getuid() === 0 ? 'user root;' : '';
  const folders = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path ${directory};`).join(' ');
  return `daemon off; ${user} pid ${directory}/pid; error_log ${directory}/error.log; worker_processes 1;
    events { worker_connections 64; }
    http { access_log off; ${folders}
      server { listen ${HOST}:${port} ssl; ssl_certificate ${pki.server.certPath};
        ssl_certificate_key ${pki.server.keyPath}; ssl_protocols TLSv1.2 TLSv1.3; root ${directory}; ${lines} } }`;
}

/** nginx with a page at /page. */
async function nginx(t, lines = '') {
  const directory = fs.mkdtempSync(pki.at('nginx-'));
  fs.chmodSync(path.dirname(directory), 0o755);
  fs.chmodSync(directory, 0o755);
  const port = await freePort();
  const config = path.join(directory, 'nginx.conf');
  fs.writeFileSync(config, nginxConfig(directory, port, lines));
  fs.writeFileSync(path.join(directory, 'page'), PAGE);
  const env = { ...process.env, PATH: `${process.env.PATH}:/usr/sbin` };
  start(t, 'nginx', ['-p', directory, '-c', config, '-e', `${directory}/error.log`], { stdio: 'ignore', env });
  await eventually(() => answers(port), 'nginx listens');
  return port;
}

module.exports = { HOST, PAGE, between, listen, nginx, nodeServer, opensslServer, run };
