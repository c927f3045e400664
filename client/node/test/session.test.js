'use strict';
// Is every byte from the peer shown to the daemon once more until it is taken, and is nothing asked for in vain?

const assert = require('assert/strict');
const { EventEmitter } = require('events');
const { test } = require('node:test');
const { Session } = require('../lib/session');

// A daemon that answers each call with the next of some answers.
class Script extends EventEmitter {
  constructor(...answers) {
    super();
    this.answers = answers;
    this.calls = [];
    this.lost = null;
  }

  async call(name, request) {
    this.calls.push([name.split('.')[1], request]);
    const { state = 'STATE_DONE', taken = 0, output = '', ...rest } = this.answers.shift() || {};
    const progress = { state, inputConsumed: String(taken), output: Buffer.from(output), error: null };
    return { session: '7', progress, data: Buffer.alloc(0), accepted: '0', ...rest };
  }
}

const WANTS = { state: 'STATE_WANT_READ' };
const fed = ([, request]) => request.feed.data.toString();

async function open(...answers) {
  const script = new Script({}, ...answers);
  const session = new Session(script);
  await session.connect({});
  return { script, session };
}

async function isPending(promise) {
  const turns = new Promise((resolve) => setImmediate(() => setImmediate(resolve, true)));
  return Promise.race([promise.then(() => false), turns]);
}

test('what is not taken is given again, with what has come since', async () => {
  const { script, session } = await open({ taken: 2 }, { taken: 4 });
  session.give(Buffer.from('abc'));
  await session.read();
  session.give(Buffer.from('def'));
  await session.read();
  assert.deepEqual(script.calls.slice(1).map(fed), ['abc', 'cdef']);
});

test('a write is no reason to wait for more than there is', async () => {
  const { session } = await open({ ...WANTS, taken: 3 }, { accepted: '1' });
  session.give(Buffer.from('abc'));
  await session.read();
  await session.write(Buffer.from('x'), false);
  const input = session.input();
  session.give(Buffer.from('d'));
  await input;
});

test('what the daemon has seen and not taken is no new input', async () => {
  const { session } = await open({ ...WANTS, taken: 1 });
  session.give(Buffer.from('abc'));
  await session.read();
  const input = session.input();
  assert.equal(await isPending(input), true);
  session.give(Buffer.from('d'));
  await input;
});

test('an end that changes nothing is the end', async () => {
  const { session } = await open(WANTS);
  session.giveEnd();
  await session.read();
  await assert.rejects(session.input(), { code: 'ECONNRESET' });
});

test('calls follow one another, and their output too', async () => {
  const { script, session } = await open({ output: 'one' }, { output: 'two' });
  const sent = [];
  session.on('output', (data) => sent.push(data.toString()));
  const read = session.read();
  const write = session.write(Buffer.from('x'), false);
  await read;
  assert.deepEqual(script.calls.map(([name]) => name), ['Connect', 'Read']);
  await write;
  assert.deepEqual(sent, ['one', 'two']);
});

test('a peer that sends faster than it is read is made to wait', async () => {
  const { session } = await open({ taken: 200000 });
  const heard = [];
  session.on('full', () => heard.push('full'));
  session.on('room', () => heard.push('room'));
  session.give(Buffer.alloc(200000));
  assert.deepEqual(heard, []);
  session.give(Buffer.alloc(62144));
  assert.deepEqual(heard, ['full']);
  await session.read();
  assert.deepEqual(heard, ['full', 'room']);
});

test('after the end there are no calls but the last', async () => {
  const { script, session } = await open();
  session.close();
  await assert.rejects(session.read(), { code: 'ERR_STREAM_DESTROYED' });
  await new Promise(setImmediate);
  assert.deepEqual(script.calls.map(([name]) => name), ['Connect', 'Close']);
});
