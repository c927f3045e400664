'use strict';
// Where tlsagentd listens: the rules of libtlsagent, so that one setting serves every client.

const PREFIX = 'unix:';
const ROOT_SOCKET = '/run/tlsagent.sock';
const USER_SOCKET = 'tlsagent.sock';
const PATH_BYTES_MAX = 107; // sockaddr_un's sun_path, less its NUL

/** @param {string} message */
function refuse(message) {
  return Object.assign(new TypeError(message), { code: 'ERR_TLSAGENT_ADDRESS' });
}

function defaultPath(environment) {
  if (process.geteuid() === 0) {
    return ROOT_SOCKET;
  }
  if (!environment.XDG_RUNTIME_DIR) {
    throw refuse(
      'nothing says where tlsagentd listens: set TLSAGENT_SOCKET to its address ' +
        "(XDG_RUNTIME_DIR, the default's place, isn't set either)",
    );
  }
  return `${environment.XDG_RUNTIME_DIR}/${USER_SOCKET}`;
}

function checkPath(path) {
  if (path === '' || path === '@') {
    throw refuse("the daemon's address is empty: give unix:PATH");
  }
  if (path.startsWith('@')) {
    // libuv fills such a name up with NULs, and what it dials then is another name.
    throw refuse(`Node can't dial a name in the abstract namespace: have tlsagentd --listen at a path too, not only at ${path}`);
  }
  if (Buffer.byteLength(path) > PATH_BYTES_MAX) {
    throw refuse(`the daemon's address is longer than the ${PATH_BYTES_MAX} bytes of a socket's path: ${path}`);
  }
  if (path.includes('\0')) {
    throw refuse("the daemon's address has a NUL in it: give unix:PATH");
  }
  return path;
}

/**
 * The daemon's address as "unix:PATH".
 *
 * @param {string} [text] "unix:PATH" or PATH; without it TLSAGENT_SOCKET counts, and then the default of the user who
 *   runs this
 * @param {NodeJS.ProcessEnv} [environment]
 */
function parseAddress(text, environment = process.env) {
  const given = text === undefined ? environment.TLSAGENT_SOCKET || defaultPath(environment) : text;
  return PREFIX + checkPath(given.startsWith(PREFIX) ? given.slice(PREFIX.length) : given);
}

module.exports = { parseAddress };
