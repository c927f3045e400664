'use strict';
// A tlsagentd of the test's own.

const { spawn } = require('child_process');
const { once } = require('events');
const fs = require('fs');
const net = require('net');
const os = require('os');
const path = require('path');
const { setTimeout: sleep } = require('timers/promises');

const PATIENCE_MS = 60000;

function program() {
  if (!process.env.TLSAGENTD) {
    throw new Error('TLSAGENTD must name the tlsagentd to test with: bazel build //server:tlsagentd');
  }
  return process.env.TLSAGENTD;
}

/** spawn(), of what ends with this process however that ends. */
function spawnTied(command, args, options) {
  return spawn('setpriv', ['--pdeathsig', 'TERM', command, ...args], options);
}

async function answers(file) {
  const socket = net.connect(file);
  try {
    await once(socket, 'connect');
    return true;
  } catch {
    return false;
  } finally {
    socket.destroy();
  }
}

/** Looks until it is so. */
async function eventually(look, what) {
  const end = Date.now() + PATIENCE_MS;
  while (!(await look())) {
    if (Date.now() > end) {
      throw new Error(`it never came to be that ${what}`);
    }
    await sleep(10);
  }
}

class Daemon {
  constructor(...args) {
    this.directory = fs.mkdtempSync(path.join(os.tmpdir(), 'tlsagent-node-'));
    this.socket = path.join(this.directory, 'agent.sock');
    this.address = `unix:${this.socket}`;
    this.args = args;
  }

  async start() {
    this.process = spawnTied(program(), ['--workers', '2', '--listen', this.address, ...this.args], { stdio: 'ignore' });
    await eventually(() => this.#listens(), 'the daemon listens');
    return this;
  }

  #listens() {
    if (this.process.exitCode !== null) {
      throw new Error(`the daemon ended with ${this.process.exitCode}: ${program()}`);
    }
    return answers(this.socket);
  }

  async kill() {
    if (this.process.exitCode === null && this.process.signalCode === null) {
      this.process.kill('SIGKILL');
      await once(this.process, 'exit');
    }
  }

  async stop() {
    await this.kill();
    fs.rmSync(this.directory, { recursive: true, force: true });
  }
}

module.exports = { Daemon, eventually, spawnTied };
