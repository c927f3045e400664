'use strict';
// tls.createServer and https.createServer, with the daemon's TLS.

const http = require('http');
const net = require('net');
const { agentOf } = require('./agent');
const { SecureContext } = require('./context');
const { optionError, withCode } = require('./errors');
const { TLSSocket } = require('./socket');

const HANDSHAKE_TIMEOUT_MS = 120000;

// What a user listens for, and http.Server tells.
const HTTP_EVENTS = ['request', 'checkContinue', 'checkExpectation', 'clientError', 'connect', 'dropRequest', 'upgrade', 'timeout'];
const HTTP_SETTINGS = ['headersTimeout', 'keepAliveTimeout', 'maxHeadersCount', 'maxRequestsPerSocket', 'requestTimeout', 'timeout'];

// "*.example.org" is for one label: a.example.org, and neither example.org nor a.b.example.org.
function pattern(hostname) {
  const escaped = hostname.replace(/[.*+?^${}()|[\]\\]/g, '\\$&').replace(/^\\\*\\\./, '[^.]+\\.');
  return new RegExp(`^${escaped}$`, 'i');
}

// A connection's failure before there was a socket to hand out.
function handshakeError(error) {
  return error || withCode('the connection was closed during the handshake', 'ECONNRESET');
}

class Server extends net.Server {
  #options;
  #contexts = []; // [pattern, SecureContext], the newest last
  #secureContext;

  /**
   * @param {object} [options] see index.d.ts
   * @param {(socket: TLSSocket) => void} [listener] for 'secureConnection'
   */
  constructor(options = {}, listener) {
    super({ ...options, allowHalfOpen: true, pauseOnConnect: false });
    if (typeof options === 'function') {
      throw optionError('createServer takes options first: a server needs a certificate', 'ERR_INVALID_ARG_TYPE');
    }
    this.#options = options;
    this.setSecureContext(options.secureContext || options);
    this.on('connection', (transport) => this.#greet(transport));
    if (listener) {
      this.on('secureConnection', listener);
    }
  }

  // Asked by the daemon only when there is something to choose from.
  #decideServerName() {
    const { SNICallback } = this.#options;
    if (!SNICallback && this.#contexts.length === 0) {
      return undefined;
    }
    return (name) => (SNICallback ? askCallback(SNICallback, name) : Promise.resolve(this.#contextFor(name)));
  }

  #contextFor(name) {
    const found = this.#contexts.filter(([host]) => host.test(name)).pop();
    return found ? found[1] : null;
  }

  #greet(transport) {
    const { timeout, secureContext, ...options } = this.#options;
    const socket = new TLSSocket(transport, {
      ...options,
      isServer: true,
      tlsagent: agentOf(options.tlsagent),
      secureContext: this.#secureContext,
      decideServerName: this.#decideServerName(),
    });
    this.#await(socket);
  }

  #await(socket) {
    const timeoutMs = this.#options.handshakeTimeout || HANDSHAKE_TIMEOUT_MS;
    const late = () => socket.destroy(withCode('TLS handshake timeout', 'ERR_TLS_HANDSHAKE_TIMEOUT'));
    const timer = setTimeout(late, timeoutMs);
    let failure = null;
    const onError = (error) => {
      failure = error;
    };
    const onClose = () => {
      clearTimeout(timer);
      this.emit('tlsClientError', handshakeError(failure), socket);
    };
    socket.on('error', onError);
    socket.once('close', onClose);
    socket.once('secure', () => {
      clearTimeout(timer);
      socket.off('error', onError);
      socket.off('close', onClose);
      this.emit('secureConnection', socket);
    });
  }

  /** Shows another certificate to clients that ask for this name; "*.example.org" is for each name below it. */
  addContext(hostname, context) {
    if (typeof hostname !== 'string' || hostname === '') {
      throw optionError('addContext takes a host name', 'ERR_TLS_REQUIRED_SERVER_NAME');
    }
    this.#contexts.push([pattern(hostname), toContext(context)]);
  }

  /** For connections to come; those that are there keep the one that they have. */
  setSecureContext(options) {
    this.#secureContext = toContext(options);
  }
}

function toContext(given) {
  return given instanceof SecureContext ? given : new SecureContext(given);
}

function askCallback(callback, name) {
  return new Promise((resolve, reject) => {
    callback(name, (error, context) => (error ? reject(error) : resolve(context ? toContext(context) : null)));
  });
}

/** An http.Server's requests over a Server's connections. */
class HttpsServer extends Server {
  /** The http.Server that reads the requests: it never listens. */
  http;

  constructor(options = {}, listener) {
    super(options);
    this.http = http.createServer(options);
    this.on('secureConnection', (socket) => this.http.emit('connection', socket));
    this.on('newListener', (event) => this.#passOn(event));
    this.once('listening', () => this.http.emit('listening')); // begins its watch over slow requests
    this.once('close', () => this.http.close());
    if (listener) {
      this.on('request', listener);
    }
  }

  // For some events http.Server does something of its own unless somebody listens.
  #passOn(event) {
    if (HTTP_EVENTS.includes(event) && this.listenerCount(event) === 0 && this.http.listenerCount(event) === 0) {
      this.http.on(event, (...args) => this.emit(event, ...args));
    }
  }

  setTimeout(milliseconds, callback) {
    if (callback) {
      this.on('timeout', callback);
    }
    this.http.setTimeout(milliseconds);
    return this;
  }

  closeIdleConnections() {
    this.http.closeIdleConnections();
  }

  closeAllConnections() {
    this.http.closeAllConnections();
  }

  close(callback) {
    super.close(callback);
    this.closeIdleConnections();
    return this;
  }
}

for (const name of HTTP_SETTINGS) {
  Object.defineProperty(HttpsServer.prototype, name, {
    configurable: true,
    get() {
      return this.http[name];
    },
    set(value) {
      this.http[name] = value;
    },
  });
}

/** As tls.createServer. */
function createServer(options, listener) {
  return new Server(options, listener);
}

/** As https.createServer. */
function createHttpsServer(options, listener) {
  return new HttpsServer(options, listener);
}

module.exports = { Server, HttpsServer, createServer, createHttpsServer };
