'use strict';
// Does what the README and the examples show do what they say?

const assert = require('assert/strict');
const fs = require('fs');
const path = require('path');
const { after, before, test } = require('node:test');
const { Daemon, eventually, spawnTied } = require('./support/daemon');
const { PAGE, nginx, run } = require('./support/peers');
const pki = require('./support/pki');

const PACKAGE = path.join(__dirname, '..');
const EXAMPLES = path.join(PACKAGE, '..', 'examples', 'node');
const README = fs.readFileSync(path.join(PACKAGE, 'README.md'), 'utf8');
const LINES_MAX = 100;

let daemon;
before(async () => {
  // The system's trust is the daemon's: here it is the tests' root.
  process.env.SSL_CERT_FILE = pki.root.certPath;
  daemon = await new Daemon().start();
  process.env.TLSAGENT_SOCKET = daemon.address;
});
after(() => daemon.stop());

const example = (name, ...args) => run(process.execPath, [path.join(EXAMPLES, name), ...args], { timeout: 60000 });

// A server that runs until the test is over; what it says is in the answer.
function serve(t, args, options) {
  const child = spawnTied(process.execPath, args, options);
  t.after(() => child.kill('SIGKILL'));
  const said = { child, text: '' };
  child.stdout.on('data', (data) => {
    said.text += data;
  });
  return said;
}

function blocks() {
  return [...README.matchAll(/```js\n([^]*?)```/g)].map(([, code]) => code.replace(/require\('tlsagent'\)/g, `require(${JSON.stringify(PACKAGE)})`));
}

test('fetch.js fetches', async (t) => {
  const port = await nginx(t);
  for (const trust of [[], [pki.root.certPath]]) {
    const done = await example('fetch.js', `https://localhost:${port}/page`, ...trust);
    assert.equal(done.stdout, PAGE);
    assert.match(done.stderr, /^TLSv1\.3 \w+, server\n$/);
  }
});

test('fetch.js says whom it does not trust', async (t) => {
  const port = await nginx(t);
  const done = await example('fetch.js', `https://localhost:${port}/page`, pki.stranger.certPath).catch((error) => error);
  assert.equal(done.code, 1);
  assert.match(done.stderr, /UNABLE_TO_VERIFY_LEAF_SIGNATURE/);
});

test('serve.js serves, and ends', async (t) => {
  const said = serve(t, [path.join(EXAMPLES, 'serve.js'), pki.server.certPath, pki.server.keyPath, '0']);
  await eventually(() => /serving at \S+/.test(said.text), 'it serves');
  const [url] = /https:\S+/.exec(said.text);
  const done = await run('curl', ['--silent', '--show-error', '--cacert', pki.root.certPath, `${url}page`]);
  assert.match(done.stdout, /^GET \/page over TLSv1\.3, \w+\n$/);
  said.child.kill('SIGTERM');
  await eventually(() => said.child.exitCode === 0, 'it ends');
});

test('decode.js decodes', async () => {
  const { stdout } = await example('decode.js', pki.server.certPath);
  assert.match(stdout, /^subject {6}CN=server,O=tlsagent tests\nissuer {7}CN=root,/);
  assert.match(stdout, /names {8}DNS:localhost, IP Address:127\.0\.0\.1\n/);
});

test('an example fits on a page', () => {
  for (const name of fs.readdirSync(EXAMPLES)) {
    assert.ok(fs.readFileSync(path.join(EXAMPLES, name), 'utf8').split('\n').length < LINES_MAX, name);
  }
});

test("the README's clients fetch", async (t) => {
  const port = await nginx(t);
  const [plain, https] = blocks().map((code) =>
    code.replace("host: 'www.example.org', port: 443", `host: 'localhost', port: ${port}`).replace(/https:\/\/www\.example\.org\//g, `https://localhost:${port}/page`),
  );
  const first = await run(process.execPath, ['-e', plain], { timeout: 60000 });
  assert.match(first.stdout, /^true TLSv1\.3 server\nHTTP\/1\.1 /);
  const second = await run(process.execPath, ['-e', https], { timeout: 60000 });
  assert.equal(second.stdout, '200\n200\n');
});

test("the README's server serves", async (t) => {
  const folder = fs.mkdtempSync(pki.at('readme-'));
  fs.writeFileSync(path.join(folder, 'cert.pem'), pki.server.cert);
  fs.writeFileSync(path.join(folder, 'key.pem'), pki.server.key);
  const code = blocks()[2].replace('listen(8443)', 'listen(0, () => console.log(server.address().port))');
  const said = serve(t, ['-e', code], { cwd: folder });
  await eventually(() => /\d+\n/.test(said.text), 'it serves');
  const done = await run('curl', ['--silent', '--show-error', '--cacert', pki.root.certPath, `https://localhost:${Number(said.text)}/x`]);
  assert.equal(done.stdout, 'hello, /x\n');
});
