#!/usr/bin/env node
// serve.js CERT.pem KEY.pem [PORT]: serves a page that tells its reader what was agreed.
//
// TLS is tlsagentd's: the key goes there once, and no key ever comes back out. With PORT 0 the system chooses one.
'use strict';

const fs = require('fs');
const tlsagent = require('../../node'); // require('tlsagent'), where it is installed

const [certFile, keyFile, port = '8443'] = process.argv.slice(2);
if (!keyFile) {
  console.error('usage: serve.js CERT.pem KEY.pem [PORT]');
  process.exit(2);
}

const options = { cert: fs.readFileSync(certFile), key: fs.readFileSync(keyFile) };

const server = tlsagent.createHttpsServer(options, (request, response) => {
  const { socket } = request;
  response.setHeader('Content-Type', 'text/plain');
  response.end(`${request.method} ${request.url} over ${socket.getProtocol()}, ${socket.getCipher().name}\n`);
});

server.on('tlsClientError', (error) => console.error(`serve.js: ${error.message} (${error.code})`));
server.on('error', (error) => {
  console.error(`serve.js: ${error.message}`);
  process.exitCode = 1;
});
server.listen(Number(port), () => console.log(`serving at https://localhost:${server.address().port}/`));

process.on('SIGTERM', () => server.close());
