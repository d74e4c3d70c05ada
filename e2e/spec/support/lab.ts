// The lab as the specs use it: its engine through the `docker` client, its containers' processes through the kernel.

import { execFileSync, spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { type LabPlace, program } from './stage';

/** What we compare of `docker inspect`. */
export interface Inspected {
  Id: string;
  Name: string;
  State: {
    Status: string;
    Pid: number;
    ExitCode: number;
    OOMKilled: boolean;
    Health?: { Status: string };
  };
  Config: { Image: string; Labels: Record<string, string> };
  HostConfig: { Memory: number; PidsLimit: number | null; NanoCpus: number; NetworkMode: string };
  NetworkSettings: { Ports: Record<string, { HostIp: string; HostPort: string }[] | null> };
}

/** Why no lab can be made here; null when it is worth trying. */
export function obstacle(): string | null {
  return process.getuid?.() === 0 ? null : 'not root: a Docker engine needs it';
}

/** Makes a lab that goes when the process `owner` has ended, however it ended. */
export function bringUp(owner: number): LabPlace {
  const up = spawnSync(program('glasshull-lab'), ['up', '--owner', String(owner)], { encoding: 'utf8' });
  if (up.status !== 0) throw new Error(up.stderr.trim() || `glasshull-lab up ended with ${up.status ?? up.signal}`);
  const made = JSON.parse(up.stdout) as { dir: string; endpoint: string; containers: Record<string, { id: string }> };
  const ids = Object.fromEntries(Object.entries(made.containers).map(([name, { id }]) => [name, id]));
  return { dir: made.dir, endpoint: made.endpoint, ids };
}

/** The lab of this run. */
export class Lab {
  constructor(private readonly place: LabPlace) {}

  /** `unix://…` of its engine. */
  get endpoint(): string {
    return this.place.endpoint;
  }

  /** Runs one `docker` command on its engine and returns what it said. */
  docker(...args: string[]): string {
    // Deaf to the client configuration of whoever runs the specs.
    const { DOCKER_CONTEXT, DOCKER_HOST, DOCKER_TLS_VERIFY, ...env } = process.env;
    const client = { ...env, DOCKER_CONFIG: path.join(this.place.dir, 'client') };
    return execFileSync('docker', ['--host', this.place.endpoint, ...args], {
      encoding: 'utf8',
      env: client,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
  }

  /** IPv4 address of the namespace at the edge: beside containers on the second network's bridge, and none itself. */
  edgeAddress(): string {
    const state = JSON.parse(fs.readFileSync(path.join(this.place.dir, 'lab.json'), 'utf8')) as { edge: { addresses: string[] } };
    return state.edge.addresses.find((address) => !address.includes(':'))!.split('/')[0]!;
  }

  /** `docker inspect` of one container. */
  inspect(name: string): Inspected {
    return (JSON.parse(this.docker('inspect', '--type', 'container', name)) as Inspected[])[0]!;
  }

  /** `docker inspect` of all containers, by name. */
  all(): Map<string, Inspected> {
    const ids = this.docker('ps', '--all', '--quiet', '--no-trunc').split('\n').filter(Boolean);
    const rows = JSON.parse(this.docker('inspect', '--type', 'container', ...ids)) as Inspected[];
    return new Map(rows.map((row) => [row.Name.replace(/^\//, ''), row]));
  }

  /** When the engine last told of an event (`start`, `die`…) of a container, milliseconds since the epoch. */
  lastEvent(name: string, event: string): number {
    const until = String(Math.ceil(Date.now() / 1000) + 1);
    const filters = ['--filter', `container=${name}`, '--filter', `event=${event}`];
    const lines = this.docker('events', '--since', '10m', '--until', until, ...filters, '--format', '{{.TimeNano}}');
    return Number(BigInt(lines.trim().split('\n').at(-1)!) / 1_000_000n);
  }

  /** Host pids of a container's processes, from the control groups: as the kernel says, without any engine. */
  pids(name: string): number[] {
    const { Id: id } = this.inspect(name);
    return pids().filter((pid) => readProc(pid, 'cgroup').includes(id));
  }

  /** The one process of a container with this command name (and, if given, in this state). */
  pidOf(name: string, comm: string, state?: string): number {
    const all = this.pids(name).map(stat);
    const found = all.filter((row) => row?.comm === comm && (state === undefined || row.state === state));
    if (found.length !== 1) throw new Error(`${found.length} processes ${comm} ${state ?? ''} in ${name}`);
    return found[0]!.pid;
  }

  /** Kills the engine; its containers go on. */
  engineStop(): void {
    this.lab('engine-stop');
  }

  /** Starts the engine again. */
  engineStart(): void {
    this.lab('engine-start');
  }

  /** Takes it all down. */
  down(): void {
    this.lab('down');
  }

  private lab(action: string): void {
    execFileSync(program('glasshull-lab'), [action, '--dir', this.place.dir], { stdio: ['ignore', 'ignore', 'pipe'] });
  }
}

/** What `/proc/PID/stat` says of a process. */
export interface Stat {
  pid: number;
  comm: string;
  /** The scheduler's letter. */
  state: string;
  ppid: number;
  threads: number;
  /** Clock ticks after boot. */
  startTime: string;
}

/** All pids of the host. */
export function pids(): number[] {
  return fs.readdirSync('/proc').filter((name) => /^\d+$/.test(name)).map(Number);
}

/** A file of `/proc/PID`; empty when the process is gone. */
export function readProc(pid: number, file: string): string {
  try {
    return fs.readFileSync(`/proc/${pid}/${file}`, 'utf8');
  } catch {
    return '';
  }
}

/** `/proc/PID/stat`; null when the process is gone. */
export function stat(pid: number): Stat | null {
  const text = readProc(pid, 'stat');
  // A command name may hold anything, also parentheses: what follows the last one is fixed.
  const open = text.indexOf('(');
  const close = text.lastIndexOf(')');
  if (open < 0 || close < 0) return null;
  const rest = text.slice(close + 2).split(' ');
  return {
    pid,
    comm: text.slice(open + 1, close),
    state: rest[0]!,
    ppid: Number(rest[1]),
    threads: Number(rest[17]),
    startTime: rest[19]!,
  };
}

/** Scheduler letters of all threads of a process. */
export function threadStates(pid: number): string[] {
  return fs.readdirSync(`/proc/${pid}/task`).map((tid) => stat(Number(tid))?.state ?? '?');
}
