// TLS by tlsagentd, with the face of Node's own tls and https.

/// <reference types="node" />

import * as http from 'http';
import * as https from 'https';
import * as net from 'net';
import { Duplex } from 'stream';

type Text = string | Buffer | NodeJS.ArrayBufferView;

export interface AgentOptions {
  /** Milliseconds that the daemon may take for one call; default 60,000. None of them waits for a peer. */
  callTimeout?: number;
}

/** The daemon at one address. Its connection is made when it is first needed, and again after it was lost. */
export class Agent {
  /** @param address "unix:PATH" or a path; default: what TLSAGENT_SOCKET says, then the place where the daemon is by default */
  constructor(address?: string, options?: AgentOptions);
  readonly address: string;
  /** One call of tlsagent.v1, as in call('AgentService.Info', {}): messages as @grpc/proto-loader has them, 64-bit numbers as strings. */
  call(method: string, request: object): Promise<any>;
  /** Ends the connection, and with it every socket over it. */
  close(): Promise<void>;
}

/** Which daemon: an Agent, or an address. Default: where TLSAGENT_SOCKET says. */
export interface DaemonOptions {
  tlsagent?: Agent | string;
}

export type Version = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

export interface KeyObject {
  pem: Text;
  passphrase?: string;
}

export interface SecureContextOptions {
  /** Whom to trust, PEM, instead of the system's store of the daemon. */
  ca?: Text | Text[];
  /** Certificate chains, PEM; each with its key. */
  cert?: Text | Text[];
  key?: Text | Array<Text | KeyObject>;
  passphrase?: string;
  crl?: Text | Text[];
  minVersion?: Version;
  maxVersion?: Version;
  /** OpenSSL's syntax; suites of TLS 1.3 are those that begin with TLS_. */
  ciphers?: string;
  ecdhCurve?: string;
  sigalgs?: string;
  /** PEM. */
  dhparam?: Text;
  /** Seconds. */
  sessionTimeout?: number;
  sessionIdContext?: string;
}

/** What sessions are made from. It is never changed, and can be used with any daemon. */
export class SecureContext {
  constructor(options?: SecureContextOptions);
}

export function createSecureContext(options?: SecureContextOptions): SecureContext;

/** A certificate as tls.PeerCertificate has it, less the public key's bytes, and with the daemon's decoding in full. */
export interface Certificate {
  subject: { [type: string]: string | string[] };
  issuer: { [type: string]: string | string[] };
  subjectaltname?: string;
  infoAccess?: { [type: string]: string[] };
  ca: boolean;
  bits: number;
  asn1Curve?: string;
  nistCurve?: string;
  valid_from: string;
  valid_to: string;
  fingerprint: string;
  fingerprint256: string;
  fingerprint512: string;
  serialNumber: string;
  raw: Buffer;
  /** tlsagent.v1.Certificate, in camelCase. */
  decoded: any;
}

export interface CipherNameAndProtocol {
  name: string;
  standardName: string;
  version: string;
}

interface SocketOptions extends SecureContextOptions, DaemonOptions {
  secureContext?: SecureContext;
  ALPNProtocols?: string[] | Uint8Array[] | Uint8Array;
  rejectUnauthorized?: boolean;
  allowHalfOpen?: boolean;
  highWaterMark?: number;
  /** Milliseconds without a byte after which 'timeout' is emitted. */
  timeout?: number;
}

export interface ClientOptions extends SocketOptions {
  /** The name to send and to check; default: host. '' sends none, and host is checked. */
  servername?: string;
  host?: string;
  /** Replaces the check of the server's name. The chain is verified all the same. */
  checkServerIdentity?(host: string, certificate: Certificate): Error | undefined;
  /** What 'session' of an earlier socket with the same settings gave. */
  session?: Buffer;
}

export interface ServerSocketOptions extends SocketOptions {
  isServer: true;
  requestCert?: boolean;
}

export interface ConnectOptions extends ClientOptions {
  port?: number;
  /** Of a Unix socket. */
  path?: string;
  /** What the ciphertext travels on, instead of a connection that is made: any Duplex. It belongs to the socket then. */
  socket?: Duplex;
  localAddress?: string;
  localPort?: number;
  family?: number;
  lookup?: net.LookupFunction;
}

/** A Duplex of plaintext, with the face of tls.TLSSocket. */
export class TLSSocket extends Duplex {
  constructor(transport: Duplex, options?: ClientOptions | ServerSocketOptions);
  readonly encrypted: true;
  readonly secureConnecting: boolean;
  readonly connecting: boolean;
  readonly pending: boolean;
  readonly authorized: boolean;
  readonly authorizationError: string | null;
  /** false when none was agreed, null before the handshake is done. */
  readonly alpnProtocol: string | false | null;
  readonly servername: string | false | null;
  readonly bytesRead: number;
  readonly bytesWritten: number;
  readonly remoteAddress?: string;
  readonly remotePort?: number;
  readonly remoteFamily?: string;
  readonly localAddress?: string;
  readonly localPort?: number;
  readonly localFamily?: string;
  timeout?: number;
  address(): net.AddressInfo | {};
  /** {} when the peer showed none, null once the socket is destroyed. */
  getPeerCertificate(): Certificate | {} | null;
  /** Own certificate first: the chain that verified, or, when none did, what the peer sent. */
  getPeerCertificateChain(): Promise<Certificate[]>;
  getCipher(): CipherNameAndProtocol | undefined;
  getProtocol(): string | null;
  isSessionReused(): boolean;
  /** What 'session' gave. */
  getSession(): Buffer | undefined;
  exportKeyingMaterial(length: number, label: string, context?: Buffer): Promise<Buffer>;
  setTimeout(milliseconds: number, callback?: () => void): this;
  setNoDelay(noDelay?: boolean): this;
  setKeepAlive(enable?: boolean, initialDelay?: number): this;
  ref(): this;
  unref(): this;
  destroySoon(): void;

  on(event: 'secureConnect' | 'secure' | 'connect' | 'ready' | 'timeout', listener: () => void): this;
  on(event: 'session', listener: (session: Buffer) => void): this;
  on(event: 'data', listener: (data: Buffer) => void): this;
  on(event: 'error', listener: (error: NodeJS.ErrnoException) => void): this;
  on(event: string | symbol, listener: (...args: any[]) => void): this;
  once(event: 'secureConnect' | 'secure' | 'connect' | 'ready' | 'timeout', listener: () => void): this;
  once(event: 'session', listener: (session: Buffer) => void): this;
  once(event: 'error', listener: (error: NodeJS.ErrnoException) => void): this;
  once(event: string | symbol, listener: (...args: any[]) => void): this;
}

/** As tls.connect. */
export function connect(options: ConnectOptions, callback?: () => void): TLSSocket;
export function connect(port: number, host?: string, options?: ConnectOptions, callback?: () => void): TLSSocket;
export function connect(port: number, options?: ConnectOptions, callback?: () => void): TLSSocket;
export function connect(port: number, callback: () => void): TLSSocket;
export function connect(port: number, host: string, callback: () => void): TLSSocket;
export function connect(path: string, options?: ConnectOptions, callback?: () => void): TLSSocket;

/** For https.request's option of that name. */
export function createConnection(options: https.RequestOptions & DaemonOptions): TLSSocket;

/** An https.Agent over these sockets. It keeps connections and resumes sessions as Node's own does. */
export class HttpsAgent extends https.Agent {
  constructor(options?: https.AgentOptions & DaemonOptions);
}

export interface ServerOptions extends SocketOptions {
  requestCert?: boolean;
  /** Milliseconds; default 120,000. */
  handshakeTimeout?: number;
  SNICallback?(
    servername: string,
    callback: (error: Error | null, context?: SecureContext | SecureContextOptions | null) => void,
  ): void;
  pauseOnConnect?: false;
}

/** As tls.Server. */
export class Server extends net.Server {
  constructor(options?: ServerOptions, listener?: (socket: TLSSocket) => void);
  addContext(hostname: string, context: SecureContext | SecureContextOptions): void;
  setSecureContext(options: SecureContext | SecureContextOptions): void;

  on(event: 'secureConnection', listener: (socket: TLSSocket) => void): this;
  on(event: 'tlsClientError', listener: (error: NodeJS.ErrnoException, socket: TLSSocket) => void): this;
  on(event: string, listener: (...args: any[]) => void): this;
}

export type HttpsServerOptions = ServerOptions & http.ServerOptions;

/** As https.Server. `http` is the server that reads the requests; it never listens. */
export class HttpsServer extends Server {
  constructor(options?: HttpsServerOptions, listener?: http.RequestListener);
  readonly http: http.Server;
  headersTimeout: number;
  keepAliveTimeout: number;
  maxHeadersCount: number | null;
  maxRequestsPerSocket: number | null;
  requestTimeout: number;
  timeout: number;
  setTimeout(milliseconds: number, callback?: (socket: TLSSocket) => void): this;
  closeIdleConnections(): void;
  closeAllConnections(): void;

  on(event: 'request', listener: http.RequestListener): this;
  on(event: string, listener: (...args: any[]) => void): this;
}

export function createServer(options: ServerOptions, listener?: (socket: TLSSocket) => void): Server;
export function createHttpsServer(options: HttpsServerOptions, listener?: http.RequestListener): HttpsServer;

/** Decodes certificates, any number in PEM or DER. */
export function decodeCertificates(data: Text, options?: DaemonOptions): Promise<Certificate[]>;
