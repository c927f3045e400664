'use strict';
// tls.connect's many forms, and https on top of it.

const https = require('https');
const net = require('net');
const { TLSSocket } = require('./socket');

const SESSIONS_KEPT_MAX = 100;

// port[, host][, options][, callback] | path[, options][, callback] | options[, callback]
function readArguments(args) {
  const rest = args.filter((arg) => arg !== undefined && arg !== null);
  const callback = typeof rest[rest.length - 1] === 'function' ? rest.pop() : undefined;
  const options = {};
  if (typeof rest[0] !== 'object') {
    const first = rest.shift();
    Object.assign(options, isPort(first) ? { port: first } : { path: first });
    if (typeof rest[0] === 'string') {
      options.host = rest.shift();
    }
  }
  return { options: Object.assign(options, ...rest), callback };
}

function isPort(value) {
  return typeof value === 'number' || /^\d+$/.test(value);
}

// Only our own side ends it: close_notify is still to be sent when the peer's end has come.
function dial(options) {
  const { timeout, ...rest } = options; // the TLSSocket's: it sees the plaintext's bytes and the transport's
  return net.connect({ ...rest, allowHalfOpen: true });
}

/**
 * As tls.connect: a client's socket, which emits 'secureConnect' when the server is verified.
 *
 * @param {...any} args port[, host][, options][, callback], path[, options][, callback] or options[, callback]
 * @returns {TLSSocket}
 */
function connect(...args) {
  const { options, callback } = readArguments(args);
  const transport = options.socket || dial(options);
  let socket;
  try {
    socket = new TLSSocket(transport, { ...options, isServer: false });
  } catch (error) {
    transport.destroy();
    throw error;
  }
  if (callback) {
    socket.once('secureConnect', callback);
  }
  return socket;
}

/**
 * What https.request takes as `createConnection`.
 *
 * @param {object} options the request's
 * @returns {TLSSocket}
 */
function createConnection(options) {
  const { agent, path, socketPath, ...rest } = options; // http's own: its path is the page's
  return connect(socketPath ? { ...rest, path: socketPath } : rest);
}

/** An https.Agent whose connections are ours; sessions are resumed, as by Node's own. */
class HttpsAgent extends https.Agent {
  #sessions = new Map(); // by the name that the agent has for equal connections

  createConnection(options) {
    const name = this.getName(options);
    const socket = createConnection({ ...options, session: options.session || this.#sessions.get(name) });
    socket.on('session', (session) => this.#keep(name, session));
    socket.once('error', () => this.#sessions.delete(name));
    return socket;
  }

  #keep(name, session) {
    this.#sessions.delete(name);
    this.#sessions.set(name, session);
    if (this.#sessions.size > SESSIONS_KEPT_MAX) {
      this.#sessions.delete(this.#sessions.keys().next().value);
    }
  }
}

module.exports = { connect, createConnection, HttpsAgent };
