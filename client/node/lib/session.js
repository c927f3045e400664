'use strict';
// One TLS session of the daemon on the memory path: ciphertext that came waits here until a call takes it, and what a
// call makes goes out at once. Calls follow one another, for records must leave in the order in which they were made.

const { EventEmitter, once } = require('events');
const { tlsError, withCode } = require('./errors');

const FEED_MAX = 256 * 1024; // what one call carries
const WRITE_MAX = 64 * 1024;
const INPUT_HIGH = 256 * 1024; // beyond this the peer is made to wait
const INPUT_LOW = 64 * 1024;

function closedError() {
  return withCode('the socket was closed', 'ERR_STREAM_DESTROYED');
}

/**
 * Emits 'output' with ciphertext to send, 'full' and 'room' when ciphertext from the peer is to wait and to go on,
 * 'input' when there is some, 'step' when a call has been answered, and 'failed' when there will be no more calls.
 */
class Session extends EventEmitter {
  #handle = null;
  #input = [];
  #inputLength = 0;
  #eof = false;
  #left = 0; // what the last call that took some along gave back
  #saidEof = false; // that call knew of the end
  #full = false;
  #failure = null;
  #last = Promise.resolve(); // the end of the call before the next
  #onLost = (error) => this.fail(error);

  /** @param {import('./agent').Link} link */
  constructor(link) {
    super();
    this.link = link;
    link.once('lost', this.#onLost);
  }

  // --- Ciphertext from the peer ---

  give(data) {
    this.#input.push(data);
    this.#inputLength += data.length;
    if (!this.#full && this.#inputLength >= INPUT_HIGH) {
      this.#full = true;
      this.emit('full');
    }
    this.emit('input');
  }

  giveEnd() {
    this.#eof = true;
    this.emit('input');
  }

  #feed() {
    if (this.#input.length > 1) {
      this.#input = [Buffer.concat(this.#input)];
    }
    const data = this.#input.length ? this.#input[0].subarray(0, FEED_MAX) : Buffer.alloc(0);
    return { data, eof: this.#eof && this.#inputLength <= FEED_MAX };
  }

  #drop(count) {
    if (count > 0) {
      this.#inputLength -= count;
      this.#input = this.#inputLength > 0 ? [Buffer.concat(this.#input).subarray(count)] : [];
    }
    if (this.#full && this.#inputLength <= INPUT_LOW) {
      this.#full = false;
      this.emit('room');
    }
  }

  // --- Calls ---

  // Runs one after what was asked before it.
  #inTurn(work) {
    const turn = this.#last.then(() => {
      if (this.#failure) {
        throw this.#failure;
      }
      return work();
    });
    this.#last = turn.catch(() => {});
    return turn;
  }

  // What every answer has: bytes that were taken, and bytes to send, also when it failed.
  #absorb(answer, feed) {
    const { progress } = answer;
    const taken = Number(progress.inputConsumed);
    if (feed) {
      this.#left = feed.data.length - taken;
      this.#saidEof = feed.eof;
    }
    this.#drop(taken);
    if (progress.output.length) {
      this.emit('output', progress.output);
    }
    this.emit('step');
    return answer;
  }

  async #open(name, request, feed) {
    const transport = { memory: { feed } };
    const answer = await this.link.call(`SessionService.${name}`, { ...request, transport, decodePeer: true });
    if (answer.session !== '0') {
      this.#handle = answer.session;
    }
    return this.#absorb(answer, feed);
  }

  /** @param {object} request of ConnectRequest: all but the transport */
  connect(request) {
    return this.#inTurn(() => this.#open('Connect', request));
  }

  /** @param {object} request of AcceptRequest: all but the transport */
  accept(request) {
    return this.#inTurn(() => this.#open('Accept', request, this.#feed()));
  }

  // The request is made when it is its turn: what came in the meantime goes along.
  #step(name, makeRequest) {
    return this.#inTurn(async () => {
      const request = makeRequest();
      const answer = await this.link.call(`SessionService.${name}`, { session: this.#handle, ...request });
      return this.#absorb(answer, request.feed);
    });
  }

  /** @param {object} [decision] a DecisionAnswer */
  handshake(decision) {
    return this.#step('Handshake', () => ({ feed: this.#feed(), decodePeer: true, decision }));
  }

  read() {
    return this.#step('Read', () => ({ feed: this.#feed(), maxBytes: FEED_MAX }));
  }

  /**
   * @param {Buffer} data of which as much is taken as one call carries: the answer's `accepted` tells
   * @param {boolean} fed whether the last one could not go on without the peer
   */
  write(data, fed) {
    return this.#step('Write', () => ({ data: data.subarray(0, WRITE_MAX), feed: fed ? this.#feed() : undefined }));
  }

  shutdown() {
    return this.#step('Shutdown', () => ({}));
  }

  /** A call that brings no ciphertext along. */
  ask(name, request = {}) {
    return this.#inTurn(() => this.link.call(`SessionService.${name}`, { session: this.#handle, ...request }));
  }

  // --- Waiting ---

  /** Until there is ciphertext from the peer that no call has seen, or its end. */
  async input() {
    while (!this.#failure && this.#inputLength <= this.#left && !this.#eof) {
      await once(this, 'input');
    }
    this.#check();
    if (this.#saidEof && this.#inputLength <= this.#left) {
      throw tlsError({ kind: 'ERROR_KIND_TRUNCATED' });
    }
  }

  /** Until something has changed: more ciphertext, or the answer to another call. */
  async change() {
    await Promise.race([once(this, 'input'), once(this, 'step')]);
    this.#check();
  }

  #check() {
    if (this.#failure) {
      throw this.#failure;
    }
  }

  // --- The end ---

  /** No more calls: those that wait fail with this. */
  fail(error) {
    if (this.#failure) {
      return;
    }
    this.#failure = error;
    this.link.off('lost', this.#onLost);
    this.emit('failed', error);
    this.emit('input');
    this.emit('step');
  }

  /** Drops what the daemon holds, once the call in flight is answered. */
  close() {
    this.fail(closedError());
    this.#input = [];
    this.#inputLength = 0;
    this.#last.then(() => {
      if (this.#handle !== null && !this.link.lost) {
        this.link.call('SessionService.Close', { session: this.#handle }).catch(() => {});
      }
    });
  }
}

/** The Error of an answer whose state is no success; null when it is one that the caller goes on with. */
function failureOf(answer, about) {
  return answer.progress.state === 'STATE_FAILED' ? tlsError(answer.progress.error, about) : null;
}

module.exports = { Session, failureOf };
