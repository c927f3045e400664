'use strict';
// The daemon as calls: who it is, how it is reached, and what happens when it goes away.
//
// An Agent is an address. A Link is one connection to it, with all that the daemon holds for that connection: when it
// ends, contexts and sessions end with it, and the Agent's next user gets a new Link.

const { EventEmitter } = require('events');
const path = require('path');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');
const { parseAddress } = require('./address');
const { ContextCache } = require('./contexts');
const { callError, isLost, lostError } = require('./errors');

const PROTOS = path.join(__dirname, '..', 'proto');
const SERVICES = ['agent', 'certificate', 'context', 'session'];
const CALL_TIMEOUT_MS = 60000; // no call that we make waits for a peer
const DAYS_24_MS = 0x7fffffff; // setTimeout's most

const CHANNEL_OPTIONS = {
  'grpc.use_local_subchannel_pool': 1, // grpc-js shares connections that look the same: ours is one client of the daemon
  'grpc.client_idle_timeout_ms': DAYS_24_MS, // a connection that rests takes our sessions along when it is closed
  'grpc.enable_retries': 0, // what was written once is not to be written again
  'grpc.max_receive_message_length': -1,
  'grpc.max_send_message_length': -1,
  'grpc.enable_http_proxy': 0,
};

let loaded;

// The method of a name, as in "SessionService.Read".
function methodOf(name) {
  loaded =
    loaded ||
    protoLoader.loadSync(
      SERVICES.map((service) => `tlsagent/v1/${service}.proto`),
      { includeDirs: [PROTOS], longs: String, enums: String, defaults: true, oneofs: true },
    );
  const [service, method] = name.split('.');
  return loaded[`tlsagent.v1.${service}`][method];
}

class Link extends EventEmitter {
  #client;
  #metadata = new grpc.Metadata();

  #callTimeoutMs;

  /**
   * @param {string} address
   * @param {number} callTimeoutMs
   */
  constructor(address, callTimeoutMs) {
    super();
    this.setMaxListeners(0); // each session hears of our end
    this.address = address;
    this.#callTimeoutMs = callTimeoutMs;
    this.lost = null;
    this.contexts = new ContextCache(this);
    this.#client = new grpc.Client(address, grpc.credentials.createInsecure(), CHANNEL_OPTIONS);
  }

  /**
   * Asks who we are. From then on every call says it: should grpc-js dial again underneath, to this daemon or another,
   * our calls are refused there, where our handles could be somebody else's.
   */
  async open() {
    const hello = await this.call('AgentService.Hello', {});
    this.#metadata.set('tlsagent-token', hello.token.toString('hex'));
    this.#client.getChannel().watchConnectivityState(grpc.connectivityState.READY, Infinity, () => {
      this.end(lostError(this.address, 'the connection ended'));
    });
    return this;
  }

  /**
   * One call. Its failure is the RPC's; that of TLS is in the answer.
   *
   * @param {string} name "SessionService.Read"
   * @param {object} request
   * @returns {Promise<any>}
   */
  call(name, request) {
    if (this.lost) {
      return Promise.reject(this.lost);
    }
    const method = methodOf(name);
    return new Promise((resolve, reject) => {
      const done = (error, answer) => (error ? reject(this.#fail(error, name)) : resolve(answer));
      this.#client.makeUnaryRequest(
        method.path,
        method.requestSerialize,
        method.responseDeserialize,
        request,
        this.#metadata,
        { deadline: Date.now() + this.#callTimeoutMs },
        done,
      );
    });
  }

  #fail(grpcError, name) {
    const error = callError(grpcError, name, this.address);
    if (isLost(grpcError)) {
      this.end(error);
    }
    return this.lost || error;
  }

  /** Ends it, and tells all sessions: 'lost' with the error. */
  end(error) {
    if (this.lost) {
      return;
    }
    this.lost = error;
    this.#client.close();
    this.emit('lost', error);
  }
}

class Agent {
  #link = null;
  #callTimeoutMs;

  /**
   * @param {string} [address] as TLSAGENT_SOCKET has it, which is the default
   * @param {{callTimeout?: number}} [options] callTimeout: milliseconds that the daemon may take for one call
   */
  constructor(address, options = {}) {
    this.address = parseAddress(address);
    this.#callTimeoutMs = options.callTimeout || CALL_TIMEOUT_MS;
  }

  /**
   * The connection, made when it is first needed and again after it was lost.
   *
   * @returns {Promise<Link>}
   */
  link() {
    this.#link = this.#link || this.#open();
    return this.#link;
  }

  #open() {
    const link = new Link(this.address, this.#callTimeoutMs);
    const opened = link.open();
    const forget = () => {
      if (this.#link === opened) {
        this.#link = null;
      }
    };
    link.once('lost', forget);
    opened.catch((error) => {
      forget();
      link.end(error);
    });
    return opened;
  }

  /** One call on the present connection. */
  async call(name, request) {
    return (await this.link()).call(name, request);
  }

  /** Ends the connection, and with it every session and context on it. */
  async close() {
    const opened = this.#link;
    this.#link = null;
    const link = await Promise.resolve(opened).catch(() => null);
    if (link) {
      link.end(lostError(this.address, 'it was closed here'));
    }
  }
}

const shared = new Map();

/**
 * The Agent that an option names: an Agent, an address, or nothing, for where TLSAGENT_SOCKET says. Those of one address
 * share a connection.
 *
 * @param {Agent | string} [which]
 * @returns {Agent}
 */
function agentOf(which) {
  if (which instanceof Agent) {
    return which;
  }
  const address = parseAddress(which);
  if (!shared.has(address)) {
    shared.set(address, new Agent(address));
  }
  return shared.get(address);
}

module.exports = { Agent, agentOf };
