'use strict';
// What `node --test` has to tell, as the XML that Bazel reads and tools/test counts: a test case for each test.

const path = require('path');

const NAMED = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', '\n': '&#10;' };

function escape(text) {
  return String(text)
    .replace(/[^\t\n\x20-\ud7ff\ue000-\ufffd]/g, '?')
    .replace(/[&<>"\n]/g, (character) => NAMED[character]);
}

// A file is an event too: when it fails though its tests don't, it says that of itself.
function isFile(data) {
  return /\.test\.js$/.test(data.name);
}

function words(error) {
  const cause = (error && error.cause) || error;
  return String((cause && (cause.stack || cause.message)) || cause);
}

function testcase(event) {
  const { data } = event;
  const file = path.basename(data.file || 'node', '.js');
  const head = `<testcase classname="${escape(file)}" name="${escape(data.name)}" time="${(data.details.duration_ms || 0) / 1000}"`;
  if (data.skip !== undefined && data.skip !== false) {
    return `${head}><skipped/></testcase>\n`;
  }
  if (event.type === 'test:pass') {
    return `${head}/>\n`;
  }
  return `${head}><failure message="${escape(data.name)}">${escape(words(data.details.error))}</failure></testcase>\n`;
}

module.exports = async function* xmlReporter(events) {
  yield '<?xml version="1.0" encoding="utf-8"?>\n<testsuites><testsuite name="node">\n';
  for await (const event of events) {
    const counts = event.type === 'test:fail' || (event.type === 'test:pass' && !isFile(event.data));
    if (counts) {
      yield testcase(event);
    }
  }
  yield '</testsuite></testsuites>\n';
};
