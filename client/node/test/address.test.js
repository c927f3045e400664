'use strict';
// Is the daemon looked for where every other client looks for it?

const assert = require('assert/strict');
const { test } = require('node:test');
const { parseAddress } = require('../lib/address');

const GOOD = [
  ['/run/x.sock', 'unix:/run/x.sock'],
  ['unix:/run/x.sock', 'unix:/run/x.sock'],
  ['relative.sock', 'unix:relative.sock'],
];
for (const [given, wanted] of GOOD) {
  test(`${given} is ${wanted}`, () => {
    assert.equal(parseAddress(given), wanted);
    assert.equal(parseAddress(undefined, { TLSAGENT_SOCKET: given }), wanted);
  });
}

for (const bad of ['unix:', '@', 'unix:@', 'unix:@name', 'x'.repeat(108), 'a\0b']) {
  test(`${JSON.stringify(bad.slice(0, 10))} is no address`, () => {
    assert.throws(() => parseAddress(bad), { code: 'ERR_TLSAGENT_ADDRESS' });
  });
}

test('without one it is the default of the user', (t) => {
  const { geteuid } = process;
  t.after(() => {
    process.geteuid = geteuid;
  });
  process.geteuid = () => 0;
  assert.equal(parseAddress(undefined, { TLSAGENT_SOCKET: '' }), 'unix:/run/tlsagent.sock');
  process.geteuid = () => 1000;
  assert.equal(parseAddress(undefined, { XDG_RUNTIME_DIR: '/run/user/1000' }), 'unix:/run/user/1000/tlsagent.sock');
  assert.throws(() => parseAddress(undefined, {}), /TLSAGENT_SOCKET/);
});
