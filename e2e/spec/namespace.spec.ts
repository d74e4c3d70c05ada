// Namespaces against the links of the containers' inits: the matrix, all namespaces, the inspector.

import { execFileSync, spawn } from 'node:child_process';
import { readlinkSync } from 'node:fs';

import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { expect, test } from './support/test';

const KINDS = ['mnt', 'pid', 'net', 'ipc', 'uts', 'user', 'cgroup', 'time'];

/** `net:[4026531840]`. */
const link = (pid: number | string, kind: string) => readlinkSync(`/proc/${pid}/ns/${kind}`);
const inode = (pid: number | string, kind: string) => /\d+/.exec(link(pid, kind))![0];

test('the matrix tells own, host and shared as the links do', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=namespaces&cols=who,mnt,pid,net,ipc,uts,user,cgroup,time,root,init');
  const grid = new Grid(page, 'Isolation matrix');
  for (const name of ['web', 'hostlike', 'pod-a', 'pod-b']) {
    await expect.poll(async () => (await grid.find('Container', name))?.cells['net']).toBeTruthy();
    const row = (await grid.find('Container', name))!;
    const pid = lab.inspect(name).State.Pid;
    for (const kind of KINDS) {
      const ours = row.cells[kind]!;
      expect(row.titles[kind], `${name} ${kind}`).toContain(link(pid, kind));
      expect(ours.includes('host'), `${name} ${kind}: ${ours}`).toBe(link(pid, kind) === link('self', kind));
    }
    expect(row.cells['Init']).toBe(String(pid));
  }
  // The same letter is the same namespace.
  const [a, b] = [(await grid.find('Container', 'pod-a'))!, (await grid.find('Container', 'pod-b'))!];
  expect(a.cells['net']).toMatch(/shared [A-Z]/);
  expect(a.cells['net']).toBe(b.cells['net']);
  expect(a.titles['net']).toContain('shared with pod-b');
  expect(a.cells['pid']).toContain('own');
});

test('the filter finds who has the host’s, and the key says what that means', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=namespaces&f=net:host%20pid:host');
  const grid = new Grid(page, 'Isolation matrix');
  await expect.poll(() => grid.column('Container')).toContain('hostlike');
  expect(await grid.column('Container')).not.toContain('web');
  await page.getByText('What the columns mean').click();
  const key = page.locator('.ns-legend');
  await expect(key.getByRole('row').filter({ hasText: '--network host' })).toContainText('links, addresses');
});

test('a row leads to the container, its cells to the namespaces, and Back returns', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id, State: state } = lab.inspect('pod-a');
  await page.goto(`?view=namespaces&sel=c:${id}&tab=isolation`);
  const inspector = new Inspector(page);
  const net = inspector.root.locator('.isolation li').filter({ has: page.locator('code', { hasText: /^net$/ }) });
  await expect(net).toContainText('shared with pod-b');
  await net.getByRole('button').click();
  await expect(page).toHaveURL(new RegExp(`sel=n:net:${inode(state.Pid, 'net')}`));
  await expect(inspector.root.getByRole('heading', { name: link(state.Pid, 'net') })).toBeVisible();
  await expect(inspector.root).toContainText('pod-a');
  await expect(inspector.root).toContainText('pod-b');
  await expect(inspector.root.getByRole('button', { name: String(state.Pid) })).toBeVisible();
  const commands = await inspector.commands();
  const which = commands.find((line) => line.comment === 'which it is')!;
  expect(execFileSync('sh', ['-c', which.command], { encoding: 'utf8' }).trim()).toBe(link(state.Pid, 'net'));
  await page.goBack();
  await expect(inspector.root.locator('.isolation')).toBeVisible();
});

test('one that no process is in is told with what holds it', { tag: '@lab' }, async ({ page }) => {
  const name = `gh-spec-${process.pid}`;
  execFileSync('ip', ['netns', 'add', name]);
  try {
    const own = execFileSync('ip', ['netns', 'exec', name, 'readlink', '/proc/self/ns/net'], { encoding: 'utf8' });
    const number = /\d+/.exec(own)![0];
    await page.goto(`?view=namespaces&table=all&f=${encodeURIComponent(`inode:${number}`)}`);
    const grid = new Grid(page, 'All namespaces');
    await expect.poll(() => grid.column('Held by')).toEqual(['bind mount']);
    const row = (await grid.rows())[0]!;
    expect(row.cells['Processes']).toBe('0');
    expect(row.cells['Whose']).toBe(name);
    expect(row.titles['Held by']).toContain(`/run/netns/${name}`);
    // Somebody goes in: it is no longer held by the mount alone.
    const inside = spawn('ip', ['netns', 'exec', name, 'sleep', '60'], { stdio: 'ignore' });
    try {
      await expect.poll(async () => (await grid.rows())[0]?.cells['Processes']).toBe('1');
    } finally {
      inside.kill('SIGKILL');
    }
    await expect.poll(async () => (await grid.rows())[0]?.cells['Processes']).toBe('0');
  } finally {
    execFileSync('ip', ['netns', 'delete', name]);
  }
  await expect.poll(() => new Grid(page, 'All namespaces').count()).toBe(0);
});
