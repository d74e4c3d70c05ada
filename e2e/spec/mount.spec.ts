// Mounts in the inspector and as a table, against findmnt in the same namespace.

import { execFileSync } from 'node:child_process';
import path from 'node:path';

import { Grid } from './support/grid';
import { Inspector, processSelection } from './support/inspector';
import { expect, test } from './support/test';

/** Mountpoints that findmnt tells of the namespace of a process. */
const findmnt = (pid: number) =>
  execFileSync('findmnt', ['-N', String(pid), '-l', '-n', '-o', 'TARGET'], { encoding: 'utf8' }).trim().split('\n').sort();

test('the tree holds every mount, and says what lies beneath another', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id, State: state } = lab.inspect('exposed');
  await page.goto(`?view=containers&sel=c:${id}&tab=mounts`);
  const { root } = new Inspector(page);
  const points = root.locator('.mounts.tree .point > code');
  await expect.poll(async () => (await points.allTextContents()).sort()).toEqual(findmnt(state.Pid));
  const hidden = root.locator('.mounts.tree > li').filter({ hasText: 'beneath another mount' });
  await expect(hidden).toHaveCount(1);
  await expect(hidden).toContainText('/srv');
  await expect(hidden).toContainText('tmpfs beneath');
  // Layers are shown on demand.
  await expect(root.locator('.layers li').first()).toBeHidden();
  await root.getByText(/layers, topmost first/).click();
  await expect(root.locator('.layers li').first()).toContainText(/upper .*\/diff/);
});

test('what of the host is mounted in stands first', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id } = lab.inspect('exposed');
  await page.goto(`?view=containers&sel=c:${id}&tab=mounts`);
  const { root } = new Inspector(page);
  const dir = path.dirname(lab.endpoint.replace('unix://', ''));
  const first = root.locator('.mounts').first().locator(':scope > li');
  await expect(first).toHaveCount(2);
  await expect(first.nth(0)).toContainText(`host ${dir}/docker.sock`);
  await expect(first.nth(0)).toContainText('engine socket');
  await expect(first.nth(1)).toContainText(`host ${dir}/shared`);
  await expect(first.nth(1)).toContainText('host path');
  await expect(first.nth(1)).toContainText('writable');
  await page.goto(`?view=confinement&table=mounts&f=${encodeURIComponent(`id:${id} host:docker.sock access:writable`)}`);
  const grid = new Grid(page, 'Mounts');
  await expect.poll(async () => (await grid.find('Mountpoint', '/run/docker.sock'))?.cells['On the host']).toBe(`${dir}/docker.sock`);
});

test('a mount made meanwhile appears, and goes when it is undone', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id } = lab.inspect('exposed');
  await page.goto(`?view=containers&sel=c:${id}&tab=mounts`);
  const { root } = new Inspector(page);
  const line = root.locator('.mounts.tree > li').filter({ hasText: '/www' });
  await expect(root.locator('.mounts.tree > li').first()).toBeVisible();
  await expect(line).toHaveCount(0);
  lab.docker('exec', 'exposed', 'mount', '-t', 'tmpfs', '-o', 'ro', 'meanwhile', '/www');
  try {
    await expect(line).toContainText('tmpfs meanwhile');
    await expect(line).toContainText('read-only');
  } finally {
    lab.docker('exec', 'exposed', 'umount', '/www');
  }
  await expect(line).toHaveCount(0);
});

test('a process shows the mounts of its namespace', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('web').State.Pid;
  await page.goto(`?view=processes&sel=${processSelection(pid)}&tab=mounts`);
  const points = new Inspector(page).root.locator('.mounts.tree .point > code');
  await expect.poll(async () => (await points.allTextContents()).sort()).toEqual(findmnt(pid));
});
