// Never run: does what people write compile, and what is wrong not?

import * as fs from 'fs';
import * as https from 'https';
import * as tlsagent from '../..';

const ca = fs.readFileSync('root.pem');
const agent = new tlsagent.Agent('unix:/run/tlsagent.sock', { callTimeout: 1000 });

const socket: tlsagent.TLSSocket = tlsagent.connect(
  { host: 'localhost', port: 443, ca, ALPNProtocols: ['h2'], minVersion: 'TLSv1.2', tlsagent: agent },
  () => {
    const certificate = socket.getPeerCertificate();
    if (certificate && 'subject' in certificate) {
      console.log(certificate.subject.CN, socket.getCipher()?.name, socket.alpnProtocol || 'none');
    }
  },
);
socket.on('session', (session) => tlsagent.connect(443, 'localhost', { session }));
socket.on('error', (error) => console.log(error.code));
socket.setTimeout(1000, () => socket.destroy()).setNoDelay();

https.get('https://localhost/', { createConnection: tlsagent.createConnection, ca });
https.get('https://localhost/', { agent: new tlsagent.HttpsAgent({ keepAlive: true, tlsagent: 'unix:/x' }) });

const server = tlsagent.createServer({ cert: ca, key: ca, requestCert: true }, (client) => client.pipe(client));
server.addContext('*.example.org', tlsagent.createSecureContext({ cert: ca, key: [{ pem: ca, passphrase: 'x' }] }));
server.on('tlsClientError', (error, client) => console.log(error.code, client.remoteAddress));
server.listen(443, () => server.close());

tlsagent.createHttpsServer({ cert: ca, key: ca }, (request, response) => response.end(request.url)).listen(443);
tlsagent.decodeCertificates(ca).then(([first]) => console.log(first.valid_to));

// @ts-expect-error a version that there isn't
tlsagent.connect({ port: 443, minVersion: 'TLSv9' });
// @ts-expect-error an option that there isn't
tlsagent.createSecureContext({ pfx: ca });
// @ts-expect-error a promise, and no Buffer
const chain: tlsagent.Certificate[] = socket.getPeerCertificateChain();
