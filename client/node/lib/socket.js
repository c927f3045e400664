'use strict';
// A Duplex of plaintext whose TLS is done by the daemon, with the face of tls.TLSSocket.

const { Duplex } = require('stream');
const { agentOf } = require('./agent');
const { describe } = require('./certificate');
const { SecureContext } = require('./context');
const { tlsError, withCode } = require('./errors');
const { expectation, shakeAsClient, shakeAsServer } = require('./handshake');
const { Session, failureOf } = require('./session');
const { connected, destroyAfterFlush, drained } = require('./transport');

const UNSENT_MAX = 1 << 20; // of answers to a peer that keeps asking and doesn't read, and that nobody wrote
const TICKET_READS_MAX = 8; // after so many reads a server that wanted to send a ticket has

const ADDRESSES = ['remoteAddress', 'remotePort', 'remoteFamily', 'localAddress', 'localPort', 'localFamily'];
const PASSED_ON = ['setNoDelay', 'setKeepAlive', 'ref', 'unref'];
const HEARD_FROM_BELOW = ['lookup', 'connect', 'ready'];

function deferred() {
  const made = {};
  made.promise = new Promise((resolve, reject) => Object.assign(made, { resolve, reject }));
  made.promise.catch(() => {}); // who waits for it sees the failure; nobody has to
  return made;
}

// Runs what calls the user's code: what that throws is his, and no failure of the socket.
function outside(work) {
  return new Promise((resolve) => process.nextTick(() => resolve(work())));
}

function settle(promise, callback) {
  promise.then(
    () => process.nextTick(callback),
    (error) => process.nextTick(callback, error),
  );
}

class TLSSocket extends Duplex {
  #transport;
  #options;
  #expected = null;
  #session = null;
  #ready = deferred();
  #wanted = false; // plaintext, by who reads
  #reading = false;
  #failed = false; // its last bytes are an alert
  #writing = null; // the end of the write under way
  #established = null;
  #resumption;
  #ticketReads = 0;
  #timer = null;
  #bytesRead = 0;
  #bytesWritten = 0;

  static {
    for (const name of ADDRESSES) {
      Object.defineProperty(this.prototype, name, {
        configurable: true,
        get() {
          return this.#transport[name];
        },
      });
    }
    for (const name of PASSED_ON) {
      this.prototype[name] = function passOn(...args) {
        if (typeof this.#transport[name] === 'function') {
          this.#transport[name](...args);
        }
        return this;
      };
    }
  }

  /**
   * @param {Duplex} transport what the ciphertext travels on; it belongs to this socket from now on
   * @param {object} [options] see index.d.ts
   */
  constructor(transport, options = {}) {
    super({ allowHalfOpen: Boolean(options.allowHalfOpen), highWaterMark: options.highWaterMark });
    this.#transport = transport;
    this.#options = options;
    this.#expected = options.isServer ? null : expectation(options);
    this.encrypted = true;
    this.secureConnecting = true;
    this.authorized = false;
    this.authorizationError = null;
    this.alpnProtocol = null;
    this.servername = null;
    if (options.timeout) {
      this.setTimeout(options.timeout);
    }
    this.#listen();
    this.#begin(agentOf(options.tlsagent), options.secureContext || new SecureContext(options)).catch((error) =>
      this.#fail(error),
    );
  }

  // --- The transport ---

  #listen() {
    const transport = this.#transport;
    transport.on('error', (error) => this.destroy(error));
    transport.on('close', () => this.#transportClosed());
    for (const event of HEARD_FROM_BELOW) {
      transport.on(event, (...args) => this.emit(event, ...args));
    }
  }

  // Its bytes are taken from when there is a session for them; until then they wait in the transport.
  #pump(session) {
    const transport = this.#transport;
    session.on('output', (data) => this.#send(data));
    session.on('full', () => transport.pause());
    session.on('room', () => transport.resume());
    session.on('failed', (error) => this.destroy(error));
    transport.on('data', (data) => {
      this.#touch();
      session.give(data);
    });
    transport.on('end', () => session.giveEnd());
    if (transport.readableEnded) {
      session.giveEnd();
    }
  }

  #send(data) {
    this.#touch();
    if (this.#transport.writable) {
      this.#transport.write(data);
    }
  }

  #transportClosed() {
    if (this.#session) {
      this.#session.giveEnd();
    } else {
      this.destroy(this.#disconnected());
    }
  }

  #disconnected() {
    const { host, port, path } = this.#options;
    return withCode('the peer disconnected before the TLS connection was established', 'ECONNRESET', { host, port, path });
  }

  // --- The handshake ---

  async #begin(agent, secureContext) {
    const [link] = await Promise.all([agent.link(), connected(this.#transport)]);
    if (this.destroyed) {
      return;
    }
    this.#session = new Session(link);
    this.#pump(this.#session);
    this.#becomeSecure(await this.#shake(secureContext));
  }

  async #shake(secureContext) {
    try {
      return this.#expected
        ? await shakeAsClient(this.#session, secureContext, this.#expected, this.#options)
        : await shakeAsServer(this.#session, secureContext, this.#options);
    } catch (error) {
      throw error.code === 'ECONNRESET' ? Object.assign(this.#disconnected(), { cause: error }) : error;
    }
  }

  #becomeSecure(found) {
    if (this.destroyed) {
      return;
    }
    const { negotiated, fault } = found;
    this.#established = found;
    this.secureConnecting = false;
    this.authorized = fault === null && !found.unasked;
    this.authorizationError = fault && (fault.code || fault.message);
    this.alpnProtocol = negotiated.alpn.length ? negotiated.alpn.toString('latin1') : false;
    this.servername = negotiated.serverName || (this.#expected ? null : false);
    if (found.refused) {
      throw fault;
    }
    process.nextTick(() => this.#tellSecure());
  }

  #tellSecure() {
    if (this.destroyed) {
      return;
    }
    this.emit('secure');
    if (this.#expected) {
      this.emit('secureConnect');
      this.#seekTicket().catch((error) => this.#fail(error));
    }
    this.#ready.resolve();
    this.read(0); // so that the peer's end is noticed by who only writes
  }

  // --- Plaintext in ---

  _read() {
    this.#wanted = true;
    if (!this.#reading) {
      this.#reading = true;
      this.#readOn().catch((error) => this.#fail(error));
    }
  }

  async #readOn() {
    await this.#ready.promise;
    while (this.#wanted && !this.destroyed) {
      if (this.#transport.writableLength > UNSENT_MAX) {
        await drained(this.#transport);
      }
      const answer = await this.#session.read();
      await this.#take(answer);
    }
    this.#reading = false;
  }

  #give(data) {
    return outside(() => {
      this.#wanted = this.push(data);
    });
  }

  async #take(answer) {
    const failure = failureOf(answer);
    if (failure) {
      throw failure;
    }
    if (this.#expected && this.#resumption === undefined && this.#ticketReads < TICKET_READS_MAX) {
      await this.#seekTicket();
    }
    switch (answer.progress.state) {
      case 'STATE_DONE':
        this.#touch();
        this.#bytesRead += answer.data.length;
        await this.#give(answer.data);
        break;
      case 'STATE_CLOSED':
        await this.#give(null);
        this.read(0); // 'end' comes to those too who don't read, when there was nothing to read
        break;
      default:
        await this.#session.input();
    }
  }

  // Nobody pays for tickets that nobody listens for.
  async #seekTicket() {
    if (this.listenerCount('session') === 0) {
      return;
    }
    this.#ticketReads += 1;
    const found = await this.#session.ask('GetResumption');
    if (found.resumption && found.hasTicket && this.#resumption === undefined) {
      this.#resumption = found.resumption.value;
      await outside(() => this.emit('session', this.#resumption));
    }
  }

  // --- Plaintext out ---

  _write(chunk, encoding, callback) {
    this.#writeNow(chunk, callback);
  }

  _writev(chunks, callback) {
    this.#writeNow(Buffer.concat(chunks.map(({ chunk }) => chunk)), callback);
  }

  #writeNow(data, callback) {
    const written = this.#writeAll(data).finally(() => {
      this.#writing = null;
    });
    this.#writing = written.catch(() => {});
    settle(written, callback);
  }

  async #writeAll(data) {
    let left = data;
    let fed = false;
    await this.#ready.promise;
    for (let first = true; left.length > 0 && (first || !this.destroyed); first = false) {
      await drained(this.#transport);
      const answer = await this.#session.write(left, fed);
      const failure = failureOf(answer);
      if (failure) {
        throw this.#markFailed(failure);
      }
      left = left.subarray(Number(answer.accepted));
      this.#bytesWritten += Number(answer.accepted);
      fed = answer.progress.state === 'STATE_WANT_READ';
      if (fed) {
        await this.#session.change();
      }
    }
    await drained(this.#transport);
  }

  _final(callback) {
    settle(this.#finish(), callback);
  }

  // close_notify, and then the transport's end. The peer may go on sending.
  async #finish() {
    await this.#ready.promise;
    await this.#session.shutdown();
    await new Promise((resolve) => {
      this.#transport.once('close', resolve);
      this.#transport.end(resolve);
    });
  }

  // --- The end ---

  #markFailed(error) {
    this.#failed = true;
    return error;
  }

  #fail(error) {
    this.destroy(this.#markFailed(error));
  }

  _destroy(error, callback) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#ready.reject(error || withCode('the socket was closed', 'ERR_STREAM_DESTROYED'));
    if (this.#writing && !this.secureConnecting && !this.#transport.writableNeedDrain) {
      this.#writing.then(() => this.#leave(true));
    } else {
      this.#leave(this.#failed);
    }
    callback(error);
  }

  // What was written just before, as http.Server does with its last word, would be on its way already if the TLS were
  // done in this process: a first part of it goes out.
  #leave(flush) {
    if (this.#session) {
      this.#session.close();
    }
    if (flush) {
      destroyAfterFlush(this.#transport);
    } else {
      this.#transport.destroy();
    }
  }

  /** Ends it when what was written is sent. */
  destroySoon() {
    if (this.writable) {
      this.end();
    }
    if (this.writableFinished) {
      this.destroy();
    } else {
      this.once('finish', () => this.destroy());
    }
  }

  // --- Time ---

  #touch() {
    if (this.#timer) {
      this.#timer.refresh();
    }
  }

  /**
   * Emits 'timeout' after so many milliseconds without a byte either way; 0 never does.
   *
   * @param {number} milliseconds
   * @param {() => void} [callback]
   */
  setTimeout(milliseconds, callback) {
    clearTimeout(this.#timer);
    this.timeout = milliseconds;
    this.#timer = milliseconds > 0 && !this.destroyed ? setTimeout(() => this.emit('timeout'), milliseconds) : null;
    if (this.#timer) {
      this.#timer.unref();
    }
    if (callback && milliseconds > 0) {
      this.once('timeout', callback);
    } else if (callback) {
      this.removeListener('timeout', callback);
    }
    return this;
  }

  // --- What is known ---

  get connecting() {
    return Boolean(this.#transport.connecting);
  }

  get pending() {
    return Boolean(this.#transport.pending);
  }

  get bytesRead() {
    return this.#bytesRead;
  }

  get bytesWritten() {
    return this.#bytesWritten;
  }

  address() {
    return typeof this.#transport.address === 'function' ? this.#transport.address() : {};
  }

  /** The peer's certificate: {} when it showed none, null once the socket is destroyed. */
  getPeerCertificate() {
    if (this.destroyed) {
      return null;
    }
    return (this.#established && this.#established.cert) || {};
  }

  /**
   * The peer's chain, its own certificate first: the one that verified, or, when none did, what it sent.
   *
   * @returns {Promise<object[]>}
   */
  async getPeerCertificateChain() {
    await this.#ready.promise;
    const found = await this.#session.ask('PeerCertificate', { decode: true });
    const verified = found.verifiedCertificates;
    return (verified.length ? verified : found.unverifiedCertificates).map(describe);
  }

  getCipher() {
    const cipher = this.#established && this.#established.negotiated.cipher;
    return cipher ? { name: cipher.name, standardName: cipher.standardName, version: cipher.protocol } : undefined;
  }

  getProtocol() {
    return this.#established ? this.#established.negotiated.versionName : null;
  }

  isSessionReused() {
    return Boolean(this.#established && this.#established.negotiated.resumed);
  }

  /** What options.session of a later connection takes: known once 'session' was emitted, to a listener. */
  getSession() {
    return this.#resumption;
  }

  /**
   * Keying material of the connection (RFC 5705).
   *
   * @param {number} length
   * @param {string} label
   * @param {Buffer} [context]
   * @returns {Promise<Buffer>}
   */
  async exportKeyingMaterial(length, label, context) {
    await this.#ready.promise;
    const contextValue = context && { value: context };
    const found = await this.#session.ask('ExportKeyingMaterial', { length, label, contextValue });
    if (found.error) {
      throw tlsError(found.error);
    }
    return found.data;
  }
}

module.exports = { TLSSocket };
