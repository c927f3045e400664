'use strict';
// What tests do with sockets.

const crypto = require('crypto');
const { once } = require('events');
const { Readable } = require('stream');
const { setTimeout: sleep } = require('timers/promises');

/** All that it says to its end. It isn't destroyed then, as `for await` would: its other half may go on. */
async function readAll(stream) {
  const parts = [];
  stream.on('data', (part) => parts.push(part));
  await once(stream, 'end');
  return Buffer.concat(parts);
}

/** The error that it ends with. */
async function failure(socket) {
  const [error] = await once(socket, 'error');
  return error;
}

/** So many bytes, different in each part, and the hash of what went through. */
function noise(length) {
  const hash = crypto.createHash('sha256');
  let left = length;
  const stream = new Readable({
    read() {
      const part = crypto.randomBytes(Math.min(left, 50000));
      left -= part.length;
      hash.update(part);
      this.push(part.length ? part : null);
    },
  });
  return { stream, digest: () => hash.digest('hex') };
}

async function hashAll(stream) {
  const hash = crypto.createHash('sha256');
  let length = 0;
  for await (const part of stream) {
    hash.update(part);
    length += part.length;
  }
  return { digest: hash.digest('hex'), length };
}

/** A number that grows, once it no longer does. */
async function settled(read) {
  let last = -1;
  for (let same = 0; same < 5; same = last === read() ? same + 1 : 0) {
    last = read();
    await sleep(100);
  }
  return last;
}

/** A page by http or https.request. */
async function get(module, options) {
  const request = module.get(options);
  const [response] = await once(request, 'response');
  return { status: response.statusCode, body: (await readAll(response)).toString(), socket: request.socket };
}

module.exports = { failure, get, hashAll, noise, readAll, settled };
