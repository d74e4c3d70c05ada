// "In the shell": every command that a page offers is typed into a real shell on this host, must succeed, and must say
// what the page says.

import { spawn, spawnSync } from 'node:child_process';
import { dirname } from 'node:path';

import { type Command, Inspector, commands, processSelection } from './support/inspector';
import { type Lab, stat } from './support/lab';
import { type Page, expect, test } from './support/test';

/** What a command's output must agree with, by what the command answers. */
type Checks = Record<string, (output: string, command: string) => void>;

/** A command that only ends by Ctrl-C is given this long to fail, milliseconds. */
const ENDLESS = 3_000;
/** Said by a person who was led into a container. */
const INSIDE = 'cat /proc/1/comm';

/** Runs all of them; those that `checks` names must be among them. */
async function runAll(offered: Command[], checks: Checks): Promise<void> {
  const comments = offered.map((c) => c.comment);
  expect(comments).toEqual(expect.arrayContaining(Object.keys(checks)));
  for (const { comment, command, reads } of offered) {
    await test.step(`${comment}: ${command}`, () => {
      const endless = / (events|ss -\w*E)$/.test(command);
      const child = spawnSync('bash', ['-c', command], {
        encoding: 'utf8',
        input: `${INSIDE}\n`,
        // Ours is on the path of who installed it.
        env: { ...process.env, PATH: `${dirname(process.env['GLASSHULL_BIN']!)}:${process.env['PATH']}` },
        timeout: endless ? ENDLESS : 60_000,
      });
      expect.soft(child.stderr, `what \`${command}\` complains about`).toBe('');
      // Stopped by us: a shell ends by the signal, docker says so by its exit code.
      const stopped = endless && (child.signal === 'SIGTERM' || child.status === 143);
      expect.soft(stopped ? 0 : child.status, `exit code of \`${command}\``).toBe(0);
      expect.soft(reads, `what is read instead of \`${command}\``).not.toBe('');
      checks[comment]?.(child.stdout, command);
    });
  }
}

async function select(page: Page, selection: string): Promise<{ inspector: Inspector; facts: Record<string, string> }> {
  await page.goto(`?view=processes&sel=${encodeURIComponent(selection)}`);
  const inspector = new Inspector(page);
  // The first tab is open; its last fact comes with the agent's answer where there is one.
  await expect(inspector.fact(selection.startsWith('p:') ? 'pid' : 'state')).toHaveText(/\w/);
  if (selection.startsWith('p:')) await expect(inspector.fact('directory')).toHaveText(/./);
  // An engine is asked for the first time when the first page looks.
  if (selection.startsWith('e:')) await expect(inspector.fact('version')).toHaveText(/\d/);
  return { inspector, facts: await inspector.facts() };
}

/** Checks that hold for every process that has memory. */
function ofProcess(pid: number, facts: Record<string, string>): Checks {
  return {
    'who it is and what it uses': (out) => {
      const row = out.trim().split('\n').at(-1)!.trim().split(/\s+/);
      expect.soft(row.slice(0, 2)).toEqual([String(pid), String(stat(pid)!.ppid)]);
      expect.soft(row[3]![0]).toBe(facts['state']![0]);
    },
    'its parents': (out) => {
      for (const [, comm, parent] of facts['parents']!.matchAll(/(\S+) (\d+)/g)) expect.soft(out).toContain(`${comm}(${parent})`);
      expect.soft(out).toContain(`(${pid})`);
    },
    'its control group': (out) => expect.soft(out).toContain(facts['cgroup']!),
    'its pid inside': (out) => {
      expect.soft(facts['pid']).toContain(`${out.trim().split(/\s+/).at(-1)} inside`);
    },
    'its threads': (out) => expect.soft(String(out.trim().split('\n').length - 1)).toBe(facts['threads']),
    'exact memory': (out) => expect.soft(out).toMatch(/^Pss: +\d+ kB$/m),
    'its memory, region by region': (out) => expect.soft(out).toMatch(/\[stack\]$/m),
    'bytes to and from disks': (out) => expect.soft(out).toMatch(/^read_bytes: \d+$/m),
    'its binary': (out) => expect.soft(out.trim()).toBe(facts['binary']),
    'its namespaces': (out) => expect.soft(out).toMatch(/ pid\b/),
    'go inside': (out) => expect.soft(out.trim()).not.toBe(stat(1)!.comm),
    'its container': (out) => expect.soft(out.split('\n').map((line) => line.trim().split(/\s+/)[1])).toContain(String(pid)),
  };
}

test.describe('of a process', { tag: '@lab' }, () => {
  test('that sleeps', async ({ page, lab }) => {
    const pid = lab.inspect('worker').State.Pid;
    const { inspector, facts } = await select(page, processSelection(pid));
    await inspector.tab('Memory');
    await expect(inspector.fact('Pss')).toHaveText(/\d/);
    const pss = (await inspector.fact('Pss').getAttribute('title'))!;
    await inspector.tab('Namespaces');
    const inodes = await inspector.root.getByRole('row').locator('td.number').allTextContents();
    expect(inodes.length).toBeGreaterThan(5);
    await runAll(await inspector.commands(), {
      ...ofProcess(pid, facts),
      'exact memory': (out) => {
        const bytes = Number(/^Pss: +(\d+) kB$/m.exec(out)![1]) * 1024;
        expect.soft(Number(/([\d,]+) bytes/.exec(pss)![1]!.replaceAll(',', ''))).toBe(bytes);
      },
      'its namespaces': (out) => inodes.forEach((inode) => expect.soft(out).toContain(inode)),
    });
  });

  test('that waits uninterruptibly', async ({ page, lab }) => {
    const pid = lab.pidOf('dstate', 'vfork-parent', 'D');
    const { inspector, facts } = await select(page, processSelection(pid));
    expect(facts['state']).toMatch(/^D /);
    await runAll(await inspector.commands(), {
      ...ofProcess(pid, facts),
      'what it waits for': (out) => {
        const channel = out.split('\n')[0]!;
        expect.soft(channel).not.toBe('');
        expect.soft(facts['state']).toContain(channel);
        expect.soft(out).toMatch(/^\[<0>\] /m);
      },
    });
  });

  test('that is a zombie', async ({ page, lab }) => {
    const pid = lab.pidOf('zombie', 'never-reaped');
    await page.goto(`?view=processes&sel=${processSelection(pid)}`);
    const inspector = new Inspector(page);
    await expect(inspector.fact('state')).toHaveText(/^Z /);
    const { 'its parents': parents } = ofProcess(pid, await inspector.facts());
    await runAll(await inspector.commands(), {
      'who it is and what it uses': (out) => expect.soft(out).toContain('<defunct>'),
      'who has not waited for it': (out) => expect.soft(out).toMatch(new RegExp(`^ *${stat(pid)!.ppid} `, 'm')),
      'its parents': parents!,
    });
  });

  test('of the host', async ({ page }) => {
    const child = spawn('sleep', ['600'], { stdio: 'ignore' });
    try {
      const { inspector, facts } = await select(page, processSelection(child.pid!));
      expect(facts['container']).toBe('host');
      const { 'its pid inside': _, 'go inside': __, 'its container': ___, ...checks } = ofProcess(child.pid!, facts);
      await runAll(await inspector.commands(), checks);
    } finally {
      child.kill();
    }
  });
});

test.describe('of a container', { tag: '@lab' }, () => {
  const of = (lab: Lab, name: string) => ({ ...lab.inspect(name), pids: lab.pids(name) });

  test('that runs', async ({ page, lab }) => {
    const web = of(lab, 'web');
    const { inspector, facts } = await select(page, `c:${web.Id}`);
    const [network, address] = facts['networks']!.split(' ');
    expect(network).toBe('lab');
    await runAll(await inspector.commands(), {
      'all the engine knows': (out) => {
        const [row] = JSON.parse(out) as { Id: string; State: { Status: string } }[];
        expect.soft(row!.Id).toBe(facts['id']);
        expect.soft(facts['state']).toContain(row!.State.Status);
      },
      'its processes': (out) => expect.soft(out).toContain(` ${web.State.Pid} `),
      'what it uses': (out) => expect.soft(out).toContain(web.Id.slice(0, 12)),
      'its pid 1 from outside': (out) => expect.soft(out).toMatch(new RegExp(`^ *${web.State.Pid} `, 'm')),
      'its addresses': (out) => expect.soft(out).toContain(address!),
      'what its engine was told': (out) => expect.soft(out).toContain('Privileged=false CapAdd=null'),
      'which capabilities it may have at most': (out) => expect.soft(out).toMatch(/^0x[0-9a-f]{16}=cap_chown,/),
      'which it has': (out) => expect.soft(out).toMatch(new RegExp(`^(Capabilities for )?.?${web.State.Pid}.?: cap_chown,.*=ep$`, 'm')),
      'seccomp and no_new_privs': (out) => expect.soft(out).toMatch(/^Seccomp:\t\d$/m),
      'its resource limits': (out) => expect.soft(out).toMatch(/^Max open files +\d+/m),
      'its mounts': (out) => expect.soft(out).toMatch(/^\/ +overlay +overlay /m),
      'who listens and who is connected': (out) => {
        expect.soft(out).toMatch(new RegExp(`LISTEN .*:80 .*"httpd",pid=(${web.pids.join('|')}),`));
        // The names' server in there is the engine's own.
        expect.soft(out).toMatch(/127\.0\.0\.11:.*"dockerd"/);
      },
      'a program of this host in its network, with its names': (out) => expect.soft(out.trim()).toBe(stat(1)!.comm),
      'go inside': (out) => expect.soft(out.trim()).toBe(stat(web.State.Pid)!.comm),
    });
  });

  test('that is limited', async ({ page, lab }) => {
    const limited = of(lab, 'limited');
    const { inspector } = await select(page, `c:${limited.Id}`);
    // Counted a tick after the engine told of it.
    await expect(inspector.fact('tasks')).toHaveText(new RegExp(` of ${limited.HostConfig.PidsLimit}$`));
    await runAll(await inspector.commands(), {
      'memory and its limit': (out) => expect.soft(out).toContain(String(limited.HostConfig.Memory)),
      'tasks and their limit': (out, command) => {
        expect.soft(command).toContain(limited.Id);
        expect.soft(out).toMatch(new RegExp(`^${limited.HostConfig.PidsLimit}$`, 'm'));
      },
      'cpu time and how often its quota ran out': (out) => expect.soft(out).toMatch(/^nr_throttled [1-9]/m),
    });
  });

  for (const name of ['paused', 'exited', 'created', 'hostnet', 'pod-b']) {
    test(`that is ${name}`, async ({ page, lab }) => {
      const { inspector } = await select(page, `c:${lab.inspect(name).Id}`);
      await runAll(await inspector.commands(), {
        'all the engine knows': (out) => expect.soft(out).toContain(`"Name": "/${name}"`),
      });
    });
  }
});

test('of the host', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=host');
  const panel = page.getByRole('main').locator('section').filter({ has: page.getByRole('heading', { name: 'In the shell' }) });
  const offered = await commands(panel);
  expect(offered.length).toBeGreaterThan(4);
  await runAll(offered, {
    'memory and swap': (out) => expect.soft(out).toMatch(/^Mem:/m),
    'load and uptime': (out) => expect.soft(out).toMatch(/load average/),
  });
});

test('of an engine', { tag: '@lab' }, async ({ page, lab }) => {
  const { inspector, facts } = await select(page, `e:${lab.endpoint}`);
  await runAll(await inspector.commands(), {
    'whether it answers, and its version': (out) => expect.soft(out).toContain(facts['version']!),
    'its containers, stopped ones too': (out) => {
      expect.soft(String(out.trim().split('\n').length - 1)).toBe(facts['containers']);
    },
  });
});
