// What is asked about one process or one place: its memory region by region, and who holds files there.

import { spawn } from 'node:child_process';
import { mkdirSync, rmSync, statSync } from 'node:fs';
import path from 'node:path';

import { Inspector, processSelection } from './support/inspector';
import { readProc } from './support/lab';
import { OUT } from './support/stage';
import { type Page, expect, test } from './support/test';

const picture = (page: Page, name: string) => page.screenshot({ path: path.join(OUT, 'shots', `question-${name}.png`) });

/** Regions of a process: address, rights and path. */
const regions = (pid: number) =>
  readProc(pid, 'maps')
    .trim()
    .split('\n')
    .map((line) => /^(\S+) (\S+) \S+ \S+ \S+ *(.*)$/.exec(line)!.slice(1) as [string, string, string]);

test('memory is told region by region and by file, sorted and filtered', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('worker').State.Pid;
  const truth = regions(pid);
  await page.goto(`?view=processes&sel=${processSelection(pid)}&tab=memory`);
  const inspector = new Inspector(page).root;
  const lines = inspector.locator('.memory-maps tbody');
  await expect(inspector.getByRole('status')).toContainText(`${truth.length} regions, `);
  await expect(lines).toHaveCount(truth.length);
  for (const [range, rights] of truth) {
    const [start, end] = range.split('-').map((address) => address.replace(/^0+(?=.)/, ''));
    await expect(lines.filter({ hasText: `${start}-${end} ${rights}` })).toHaveCount(1);
  }
  const file = truth.find(([, , name]) => name.startsWith('/'))![2];
  const own = lines.filter({ has: page.getByText(file, { exact: true }) });
  const host = (await own.first().locator('.host code').textContent())!;
  expect(statSync(host).ino).toBe(statSync(`/proc/${pid}/exe`).ino);
  await picture(page, 'memory');
  const box = inspector.getByRole('searchbox', { name: 'only regions with these words' });
  await box.fill('[STACK]');
  await expect(lines).toHaveCount(1);
  await box.fill('no such words');
  await expect(inspector.getByText('No region has these words.')).toBeVisible();
  await box.fill('');
  await inspector.getByRole('button', { name: 'by file' }).click();
  const regionsOfFile = truth.filter(([, , name]) => name === file).length;
  await expect(own).toHaveCount(1);
  await expect(own).toContainText(`${regionsOfFile} region`);
  await inspector.getByRole('button', { name: 'size', exact: true }).click();
  await expect(inspector.getByRole('columnheader', { name: 'size' })).toHaveAttribute('aria-sort', 'descending');
  await picture(page, 'memory-by-file');
  await page.setViewportSize({ width: 390, height: 844 });
  await picture(page, 'memory-phone');
  await page.emulateMedia({ colorScheme: 'light' });
  await picture(page, 'memory-phone-light');
});

test('who has files on a mount is told while it is unfolded, with who writes first', { tag: '@lab' }, async ({ page }) => {
  const folder = path.join(OUT, 'held');
  mkdirSync(folder, { recursive: true });
  const writer = spawn('sh', ['-c', 'exec >grows; cd /; while :; do head -c 20000 /dev/zero; sleep 0.05; done'], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'ignore'],
  });
  try {
    await page.goto(`?view=processes&sel=${processSelection(writer.pid!)}&tab=mounts`);
    const inspector = new Inspector(page).root;
    // The mount that the folder lies on: the longest mount point above it.
    const places = inspector.locator('.mounts.tree > li .point code');
    await expect(places.first()).toBeVisible();
    const points = await places.allTextContents();
    const above = points.filter((point) => point === '/' || `${folder}/`.startsWith(`${point}/`));
    const point = above.sort((a, b) => b.length - a.length)[0]!;
    const mount = inspector.locator('.mounts.tree > li').filter({ has: page.locator('.point code').getByText(point, { exact: true }) }).last();
    await mount.getByRole('button', { name: 'who has files there' }).click();
    const line = mount.getByRole('listitem').filter({ hasText: new RegExp(`pid ${writer.pid}(?!\\d)`) });
    await expect(line).toContainText(/1 open file \(1 to write\)/);
    await expect(line).toContainText(/grows \+[1-9].*B\/s/);
    await expect(line).toContainText('on this mount');
    await expect(line).toContainText(path.join(folder, 'grows'));
    await picture(page, 'holders');
    await page.setViewportSize({ width: 390, height: 844 });
    await picture(page, 'holders-phone');
  } finally {
    writer.kill('SIGKILL');
    rmSync(folder, { recursive: true, force: true });
  }
});

test('a recording has no answers and says so', { tag: '@replay' }, async ({ page, scene }) => {
  await page.goto(`?view=processes&f=${scene.processes('worker')}`);
  await page.getByRole('grid', { name: 'Processes' }).locator('[role=row][data-slot]:not([hidden])').first().click();
  const inspector = new Inspector(page);
  await inspector.tab('Memory');
  await expect(inspector.root.getByRole('status')).toHaveText('a recording does not hold this');
  await expect(inspector.root.getByRole('button', { name: 'read the regions again' })).toBeHidden();
  await inspector.tab('Mounts');
  await picture(page, 'replay');
});

test('a device tells who has files on it', async ({ page }) => {
  await page.goto('?view=disk&table=devices');
  await page.getByRole('grid', { name: 'Block devices' }).locator('[role=row][data-slot]:not([hidden])').first().click();
  const inspector = new Inspector(page);
  await inspector.tab('Who has files');
  const told = inspector.root.getByRole('status');
  await expect(told).toHaveText(/a recording does not hold this|holds? (something|anything) there; [\d,]+ processes with [\d,]+ descriptors/);
  await picture(page, 'device');
});
