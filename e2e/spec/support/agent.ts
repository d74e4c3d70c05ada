// A `glasshull` process: started with arguments, found by the address it prints, ended with the run whatever happens.

import { type ChildProcess, spawn } from 'node:child_process';
import fs from 'node:fs';
import readline from 'node:readline';

import { program } from './stage';

/** No start takes nearly this long; beyond it the agent hangs. Milliseconds. */
const START_LIMIT = 60_000;
/** After SIGTERM it has a second by contract; this is when we stop hoping. Milliseconds. */
const END_LIMIT = 10_000;

/** A running `glasshull serve` or `glasshull replay`. */
export class Agent {
  private constructor(
    /** `http://127.0.0.1:PORT/` */
    readonly address: string,
    private readonly child: ChildProcess,
  ) {}

  /** Starts one and waits for its address. `log` takes what it says. */
  static async start(args: string[], log: string): Promise<Agent> {
    const child = spawnWithUs(args, log);
    const address = new Promise<string>((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error('it printed no address')), START_LIMIT);
      readline.createInterface({ input: child.stdout! }).on('line', (line) => {
        fs.appendFileSync(log, `${line}\n`);
        const found = /http:\/\/\S+/.exec(line);
        if (found === null) return;
        clearTimeout(timer);
        resolve(found[0]);
      });
      child.once('error', reject);
      child.once('exit', (code, signal) => reject(new Error(`it ended with ${code ?? signal}`)));
    });
    try {
      return new Agent(await address, child);
    } catch (error) {
      child.kill('SIGKILL');
      throw new Error(`glasshull ${args.join(' ')}: ${String(error)}; it said:\n${fs.readFileSync(log, 'utf8')}`);
    }
  }

  /** Its pid. */
  get pid(): number {
    return this.child.pid!;
  }

  /** Port it listens on. */
  get port(): number {
    return Number(new URL(this.address).port);
  }

  /** Ends it as a service manager would. */
  async stop(): Promise<void> {
    await this.end('SIGTERM');
  }

  /** Ends it as a crash would. */
  async kill(): Promise<void> {
    await this.end('SIGKILL');
  }

  private async end(signal: NodeJS.Signals): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const ended = new Promise<void>((resolve) => this.child.once('exit', () => resolve()));
    this.child.kill(signal);
    const timer = setTimeout(() => this.child.kill('SIGKILL'), END_LIMIT);
    await ended;
    clearTimeout(timer);
  }
}

/** Runs `glasshull` to its end; throws with what it said when it fails. */
export async function run(args: string[], log: string): Promise<void> {
  const child = spawnWithUs(args, log);
  child.stdout!.resume();
  const code = await new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('exit', (code, signal) => resolve(code ?? signal));
  });
  if (code !== 0) throw new Error(`glasshull ${args.join(' ')} ended with ${code}; it said:\n${fs.readFileSync(log, 'utf8')}`);
}

/** A child that the kernel ends with us, also when we are killed. */
function spawnWithUs(args: string[], log: string): ChildProcess {
  const out = fs.openSync(log, 'a');
  try {
    const command = ['--pdeathsig', 'KILL', program('glasshull'), ...args];
    return spawn('setpriv', command, { stdio: ['ignore', 'pipe', out] });
  } finally {
    fs.closeSync(out);
  }
}
