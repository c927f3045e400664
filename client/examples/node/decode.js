#!/usr/bin/env node
// decode.js FILE: what the certificates in a file say, PEM or DER. They are parsed by tlsagentd, not here.
'use strict';

const fs = require('fs');
const tlsagent = require('../../node'); // require('tlsagent'), where it is installed

const [file] = process.argv.slice(2);
if (!file) {
  console.error('usage: decode.js FILE');
  process.exit(2);
}

function show(certificate) {
  const { decoded } = certificate;
  console.log(`subject      ${decoded.subjectText}`);
  console.log(`issuer       ${decoded.issuerText}`);
  console.log(`valid        ${certificate.valid_from} to ${certificate.valid_to}`);
  console.log(`names        ${certificate.subjectaltname || '(none)'}`);
  console.log(`key          ${decoded.keyType} ${decoded.keyBits} bits, signed with ${decoded.signatureAlgorithm}`);
  console.log(`sha256       ${certificate.fingerprint256}\n`);
}

tlsagent.decodeCertificates(fs.readFileSync(file)).then(
  (certificates) => certificates.forEach(show),
  (error) => {
    console.error(`decode.js: ${error.message}`);
    process.exitCode = 1;
  },
);
