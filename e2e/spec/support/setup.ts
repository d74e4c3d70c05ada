// Before the first spec: the lab, an agent that watches it live, a recording of it and an agent that plays that. After
// the last: all of it away. What cannot be had here (a lab without root) is left out with its reason; the specs that
// need it are skipped and say why.

import fs from 'node:fs';
import path from 'node:path';

import { Agent, run } from './agent';
import { Lab, bringUp, obstacle } from './lab';
import { type LabPlace, OUT, type Stage, publish } from './stage';

const LOOPBACK = ['--bind', '127.0.0.1:0'];

export default async function setUp(): Promise<() => Promise<void>> {
  fs.mkdirSync(path.join(OUT, 'log'), { recursive: true });
  fs.rmSync(path.join(OUT, 'shots'), { recursive: true, force: true });
  const undo: (() => void | Promise<void>)[] = [];
  const tearDown = async () => {
    for (const step of undo.reverse()) await step();
  };
  try {
    const stage: Stage = { lab: null, noLab: obstacle(), live: null, replay: null, noReplay: null };
    if (stage.noLab === null) {
      // Its owner is this process: the lab goes also when we are killed.
      stage.lab = bringUp(process.pid);
      const lab = new Lab(stage.lab);
      undo.push(() => lab.down());
      const live = await Agent.start(['serve', '--engine', stage.lab.endpoint, ...LOOPBACK], log('live'));
      undo.push(() => live.stop());
      stage.live = live.address;
    }
    try {
      const replay = await Agent.start(['replay', ...(await recorded(stage.lab)), ...LOOPBACK], log('replay'));
      undo.push(() => replay.stop());
      stage.replay = replay.address;
    } catch (error) {
      // A checkout without its built-in recording still has a lab to look at; with a lab, failing here is a defect.
      if (stage.lab !== null) throw error;
      stage.noReplay = String(error);
    }
    publish(stage);
    tell(stage);
  } catch (error) {
    await tearDown();
    throw error;
  }
  return tearDown;
}

/** What to play: some seconds of the lab, or what the program holds. */
async function recorded(lab: LabPlace | null): Promise<string[]> {
  if (lab === null) return ['--demo'];
  const file = path.join(OUT, 'lab.ghrec');
  await run(['record', file, '--for', '6s', '--force', '--engine', lab.endpoint], log('record'));
  return [file];
}

/** A fresh file for what a program says. */
function log(name: string): string {
  const file = path.join(OUT, 'log', `${name}.log`);
  fs.writeFileSync(file, '');
  return file;
}

function tell(stage: Stage): void {
  const say = (line: string) => process.stderr.write(`${line}\n`);
  say(stage.lab === null ? `No lab, its specs are skipped: ${stage.noLab}` : `Lab in ${stage.lab.dir}, live on ${stage.live}`);
  say(stage.replay === null ? `No recording, its specs are skipped: ${stage.noReplay}` : `Recording on ${stage.replay}`);
}
