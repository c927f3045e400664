'use strict';
// Do the types fit what people write, and what is there?

const assert = require('assert/strict');
const fs = require('fs');
const path = require('path');
const { test } = require('node:test');
const tlsagent = require('..');
const { run } = require('./support/peers');

const folder = path.join(__dirname, '..');

test('what people write compiles', async () => {
  const compiler = require.resolve('typescript/bin/tsc');
  const done = await run(process.execPath, [compiler, '--project', path.join(__dirname, 'types')]).catch((error) => error);
  assert.equal(done.stdout, '');
  assert.equal(done.stderr, '');
});

const exported = [...fs.readFileSync(path.join(folder, 'index.d.ts'), 'utf8').matchAll(/^export (?:class|function) (\w+)/gm)];

test('everything that has a type is there, and the other way round', () => {
  assert.deepEqual([...new Set(exported.map(([, name]) => name))].sort(), Object.keys(tlsagent).sort());
});

for (const name of ['Agent', 'TLSSocket', 'Server', 'HttpsServer']) {
  test(`the methods of ${name} are there`, () => {
    const text = fs.readFileSync(path.join(folder, 'index.d.ts'), 'utf8');
    const [, body] = new RegExp(`^export class ${name} [^]*?\\{\\n([^]*?)\\n\\}`, 'm').exec(text);
    for (const [, method] of body.matchAll(/^ {2}(\w+)\(/gm)) {
      assert.equal(typeof (method === 'constructor' ? tlsagent[name] : tlsagent[name].prototype[method]), 'function', method);
    }
  });
}
