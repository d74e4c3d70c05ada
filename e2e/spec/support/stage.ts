// What a run plays on: the sources that setup.ts started, told to the workers through one environment variable.

import fs from 'node:fs';
import path from 'node:path';

/** The folder of the specs. */
export const ROOT = path.resolve(__dirname, '..');
/** Everything a run leaves behind; git ignores it. */
export const OUT = path.join(ROOT, 'out');

/** A lab that runs. */
export interface LabPlace {
  /** Its directory, as `glasshull-lab` takes it. */
  dir: string;
  /** `unix://…` of its engine, as `glasshull --engine` and `docker --host` take it. */
  endpoint: string;
  /** Ids of its containers by their names. */
  ids: Record<string, string>;
}

/**
 * The containers of the lab among whatever else runs or ran on the host. Names may occur twice there, so in what
 * was made from the lab of this run they are told apart by their ids; the built-in recording has names alone.
 */
export class Scene {
  constructor(private readonly lab: LabPlace | null) {}

  /** What stands for a container in filters and links. */
  private known(name: string): string {
    const id = this.lab?.ids[name];
    if (this.lab !== null && id === undefined) throw new Error(`the lab has no container ${name}`);
    return id?.slice(0, 12) ?? name;
  }

  /** The container view's filter for these containers; for all of the lab without a name. */
  containers(...names: string[]): string {
    const chosen = names.length > 0 ? names : Object.keys(this.lab?.ids ?? {});
    if (chosen.length === 0) return '';
    return `${this.lab === null ? 'name' : 'id'}:${chosen.map((name) => this.known(name)).join(',')}`;
  }

  /** The process view's filter for the processes of these containers. */
  processes(...names: string[]): string {
    return `container:${names.map((name) => this.known(name)).join(',')}`;
  }

  /** Selects links that lead to a container. */
  link(name: string): string {
    const id = this.lab?.ids[name];
    return id === undefined ? `a[title="${name}"]` : `a[href*="sel=c:${id}"]`;
  }
}

/** The sources of a run. */
export interface Stage {
  /** The lab; null where none can be made. */
  lab: LabPlace | null;
  /** Why there is no lab; null when there is one. */
  noLab: string | null;
  /** Address of the agent that watches the lab live; null without a lab. */
  live: string | null;
  /** Address of the agent that plays a recording of it (without a lab: the built-in one); null when it has none. */
  replay: string | null;
  /** Why nothing is played; null when something is. */
  noReplay: string | null;
}

const VARIABLE = 'GLASSHULL_SPEC_STAGE';

/** Hands the stage to the workers, which inherit the environment. */
export function publish(stage: Stage): void {
  process.env[VARIABLE] = JSON.stringify(stage);
}

/** The stage of this run. */
export function stage(): Stage {
  const text = process.env[VARIABLE];
  if (text === undefined) throw new Error(`${VARIABLE} is not set: run the specs through playwright, with its global setup`);
  return JSON.parse(text) as Stage;
}

/** A program under test: from the environment, else where `cargo build` puts it. */
export function program(name: 'glasshull' | 'glasshull-lab'): string {
  const variable = name === 'glasshull' ? 'GLASSHULL_BIN' : 'GLASSHULL_LAB_BIN';
  const file = path.resolve(ROOT, process.env[variable] ?? `../../target/debug/${name}`);
  if (!fs.existsSync(file)) throw new Error(`${file} is missing: build it (cargo build --workspace) or set ${variable}`);
  return file;
}
