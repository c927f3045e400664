'use strict';
// From an open transport to an established session, and what was found out about the peer on the way.

const net = require('net');
const tls = require('tls');
const certificates = require('./certificate');
const { failureOf } = require('./session');
const { optionError, verifyError, withCode } = require('./errors');

const ALERT_INTERNAL_ERROR = 80;
const ISSUER_UNKNOWN = 20; // X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY
const LEAF_UNVERIFIED = 21; // X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE
const LEAF_MESSAGE = 'unable to verify the first certificate';
const NO_CERTIFICATE = 'UNABLE_TO_GET_ISSUER_CERT'; // what Node calls a client that showed none

/**
 * Who the server has to be, and who checks that: the daemon, before a byte is sent, or this process afterwards, when
 * the check is the caller's own, or the name isn't to be sent.
 */
function expectation(options) {
  const { servername } = options;
  if (servername !== undefined && servername !== '' && net.isIP(servername)) {
    throw optionError('options.servername must be a name, and it is an address: give that as options.host');
  }
  const host = servername || options.host || 'localhost';
  const own = options.checkServerIdentity;
  if (own !== undefined && typeof own !== 'function') {
    throw optionError('options.checkServerIdentity must be a function', 'ERR_INVALID_ARG_TYPE');
  }
  const hidden = servername === '' && !net.isIP(host);
  const verify = options.rejectUnauthorized !== false;
  const check = own || tls.checkServerIdentity;
  return { host, sent: hidden ? '' : host, verify, check, checkHost: verify && !hidden && check === tls.checkServerIdentity };
}

/** Why a server that was let in isn't who it should be; null when it is. */
function identityFault(expected, peer, cert) {
  if (!peer || !cert) {
    return withCode('the server showed no certificate', NO_CERTIFICATE);
  }
  if (Number(peer.verifyCode) !== 0) {
    return verifyError(peer.verifyCode, peer.verifyMessage, expected.host, cert);
  }
  return expected.checkHost ? null : expected.check(expected.host, cert) || null;
}

/** Why a client isn't authorized; null when it is. */
function clientFault(peer) {
  if (!peer) {
    return withCode('the client showed no certificate', NO_CERTIFICATE);
  }
  return Number(peer.verifyCode) === 0 ? null : verifyError(peer.verifyCode, peer.verifyMessage);
}

// The daemon's answer as the socket keeps it.
function established(answer) {
  const { negotiated, peer } = answer;
  return {
    negotiated,
    peer,
    cert: peer && peer.certificate ? certificates.describe(peer.certificate) : null,
  };
}

// OpenSSL stops at the first thing that is wrong, and Node shows the last: of a certificate that came alone, and whose
// issuer isn't trusted, that is another. Nobody is let in or kept out by it.
async function nodesView(session, peer) {
  if (!peer || Number(peer.verifyCode) !== ISSUER_UNKNOWN) {
    return peer;
  }
  const chain = await session.ask('PeerCertificate').then((found) => found.unverifiedChain, () => []);
  return chain.length === 1 ? { ...peer, verifyCode: LEAF_UNVERIFIED, verifyMessage: LEAF_MESSAGE } : peer;
}

async function failureFor(session, answer, host) {
  const { error } = answer.progress;
  if (error && error.kind === 'ERROR_KIND_VERIFY') {
    Object.assign(error, await nodesView(session, { verifyCode: error.verifyCode, verifyMessage: error.verifyMessage }));
  }
  return failureOf(answer, { host, cert: failedPeer(answer) });
}

function failedPeer(answer) {
  return answer.peer && answer.peer.certificate ? certificates.describe(answer.peer.certificate) : undefined;
}

// A server's choice of context, by the name that the client asked for.
async function decide(session, decision, decideServerName) {
  const name = decision.serverName ? decision.serverName.value : '';
  let chosen;
  try {
    chosen = await decideServerName(name);
  } catch (error) {
    await session.handshake({ refuseWithAlert: ALERT_INTERNAL_ERROR });
    throw error;
  }
  if (chosen) {
    await session.link.contexts.use(chosen, (context) => session.ask('SetContext', { context }));
  }
  return session.handshake({ proceed: {} });
}

/**
 * Drives a session from its opening call's answer to the end of the handshake.
 *
 * @param {import('./session').Session} session
 * @param {object} opened the answer of Connect or Accept
 * @param {{host?: string, decideServerName?: (name: string) => Promise<any>}} about
 */
async function drive(session, opened, about) {
  let answer = opened;
  for (;;) {
    const failure = await failureFor(session, answer, about.host);
    if (failure) {
      throw failure;
    }
    switch (answer.progress.state) {
      case 'STATE_DONE':
        return established(answer);
      case 'STATE_WANT_DECISION':
        answer = await decide(session, answer.progress.decision, about.decideServerName);
        break;
      case 'STATE_WANT_READ':
        await session.input();
        answer = await session.handshake();
        break;
      default:
        throw withCode('the peer ended the connection before the handshake was done', 'ECONNRESET');
    }
  }
}

// What the daemon gave for resumption may be from before it was restarted, or of other settings.
function refusesResumption(answer) {
  const { error } = answer.progress;
  return error && error.item === 'resumption';
}

async function openClient(session, context, expected, resumption) {
  const request = { context, serverName: expected.sent };
  if (!resumption) {
    return session.connect(request);
  }
  const answer = await session.connect({ ...request, resumption: { value: resumption } });
  return refusesResumption(answer) ? session.connect(request) : answer;
}

/** A client's handshake: what was agreed, and the fault of a server that needn't be authorized. */
async function shakeAsClient(session, secureContext, expected, options) {
  const wanted = secureContext.for('client', {
    verify: expected.verify,
    checkHost: expected.checkHost,
    alpn: options.ALPNProtocols,
  });
  const opened = await session.link.contexts.use(wanted, (context) =>
    openClient(session, context, expected, options.session),
  );
  const found = await drive(session, opened, { host: expected.host });
  const fault = identityFault(expected, await nodesView(session, found.peer), found.cert);
  return { ...found, fault, refused: fault !== null && expected.verify };
}

function serverUse(options) {
  return {
    verify: options.rejectUnauthorized !== false,
    requestCert: Boolean(options.requestCert),
    alpn: options.ALPNProtocols,
    askServerName: Boolean(options.decideServerName),
  };
}

/** A server's handshake, once the client has said something: before that it costs the daemon nothing. */
async function shakeAsServer(session, secureContext, options) {
  const use = serverUse(options);
  await session.input();
  const opened = await session.link.contexts.use(secureContext.for('server', use), (context) =>
    session.accept({ context }),
  );
  const found = await drive(session, opened, {
    decideServerName: async (name) => {
      const chosen = await options.decideServerName(name);
      return chosen && chosen.for('server', { ...use, askServerName: false });
    },
  });
  const fault = use.requestCert ? clientFault(found.peer) : null;
  return { ...found, fault, refused: fault !== null && use.verify, unasked: !use.requestCert };
}

module.exports = { expectation, shakeAsClient, shakeAsServer };
