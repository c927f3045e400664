'use strict';
// What a TLSSocket asks of the stream below it, which is a net.Socket or any other Duplex.

const { once } = require('events');

const FLUSH_MS = 5000; // how long a failure's last bytes, an alert, may take to leave

/** Until it can be written to; it rejects when the stream closes first. */
async function connected(transport) {
  if (!transport.connecting) {
    return;
  }
  const closed = new AbortController();
  const onClose = () => closed.abort();
  transport.once('close', onClose);
  try {
    await once(transport, 'connect', { signal: closed.signal });
  } finally {
    transport.off('close', onClose);
  }
}

/** Until what was written has gone down far enough for more. */
function drained(transport) {
  if (!transport.writableNeedDrain || transport.destroyed) {
    return Promise.resolve();
  }
  return new Promise((resolve) => {
    const done = () => {
      transport.off('drain', done);
      transport.off('close', done);
      resolve();
    };
    transport.on('drain', done);
    transport.on('close', done);
  });
}

/** Ends it when what was written is sent, or at once if the other side doesn't take it. */
function destroyAfterFlush(transport) {
  if (transport.destroyed || transport.writableLength === 0) {
    transport.destroy();
    return;
  }
  const timer = setTimeout(() => transport.destroy(), FLUSH_MS);
  timer.unref();
  transport.once('close', () => clearTimeout(timer));
  transport.end(() => transport.destroy());
}

module.exports = { connected, drained, destroyAfterFlush };
