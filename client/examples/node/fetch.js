#!/usr/bin/env node
// fetch.js URL [CA.pem]: prints an https page; who served it goes to standard error.
//
// TLS is tlsagentd's: TLSAGENT_SOCKET says where it listens. Whom to trust is the daemon's system's matter, or CA.pem's.
'use strict';

const fs = require('fs');
const https = require('https');
const tlsagent = require('../../node'); // require('tlsagent'), where it is installed

const [url, caFile] = process.argv.slice(2);
if (!url) {
  console.error('usage: fetch.js URL [CA.pem]');
  process.exit(2);
}

const request = https.get(url, {
  createConnection: tlsagent.createConnection,
  ca: caFile && fs.readFileSync(caFile),
});

request.on('response', (response) => {
  const { socket } = request;
  console.error(`${socket.getProtocol()} ${socket.getCipher().name}, ${socket.getPeerCertificate().subject.CN}`);
  response.pipe(process.stdout);
  response.on('aborted', () => {
    process.exitCode = 1;
  });
});

request.on('error', (error) => {
  console.error(`fetch.js: ${error.message} (${error.code})`);
  process.exitCode = 1;
});
