'use strict';

const { Agent } = require('./lib/agent');
const { decodeCertificates } = require('./lib/certificate');
const { connect, createConnection, HttpsAgent } = require('./lib/connect');
const { SecureContext, createSecureContext } = require('./lib/context');
const { Server, HttpsServer, createServer, createHttpsServer } = require('./lib/server');
const { TLSSocket } = require('./lib/socket');

module.exports = {
  Agent,
  HttpsAgent,
  HttpsServer,
  SecureContext,
  Server,
  TLSSocket,
  connect,
  createConnection,
  createHttpsServer,
  createSecureContext,
  createServer,
  decodeCertificates,
};
