'use strict';
// The daemon's contexts of one connection. They cost the daemon memory and time, and a session can only be resumed on
// the context that it was made on: equal settings share one, and those that were used last stay.

const { tlsError } = require('./errors');

const KEPT_MAX = 64;

class ContextCache {
  #link;
  #entries = new Map(); // by the digest of the settings; the one used last is at the end

  constructor(link) {
    this.#link = link;
  }

  /**
   * Runs a function with the handle of a context. It is not dropped meanwhile; sessions that were made from it go on
   * after that.
   *
   * @template T
   * @param {{key: string, request: () => object}} wanted
   * @param {(handle: string) => Promise<T>} work
   * @returns {Promise<T>}
   */
  async use(wanted, work) {
    const entry = this.#take(wanted);
    entry.users += 1;
    try {
      return await work(await entry.handle);
    } finally {
      entry.users -= 1;
      this.#trim();
    }
  }

  #take(wanted) {
    const entry = this.#entries.get(wanted.key) || { users: 0, handle: this.#create(wanted) };
    this.#entries.delete(wanted.key);
    this.#entries.set(wanted.key, entry);
    return entry;
  }

  async #create(wanted) {
    try {
      const answer = await this.#link.call('ContextService.Create', wanted.request());
      if (answer.error) {
        throw tlsError(answer.error);
      }
      return answer.context;
    } catch (error) {
      this.#entries.delete(wanted.key);
      throw error;
    }
  }

  #trim() {
    for (const [key, entry] of this.#entries) {
      if (this.#entries.size <= KEPT_MAX) {
        return;
      }
      if (entry.users === 0) {
        this.#entries.delete(key);
        this.#release(entry);
      }
    }
  }

  // A failure says that the handle is gone, which is what was wanted.
  #release(entry) {
    entry.handle
      .then((context) => this.#link.call('ContextService.Release', { context }))
      .catch(() => {});
  }
}

module.exports = { ContextCache };
