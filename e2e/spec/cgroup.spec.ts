// Limits, the tree of control groups and OOM kills, as the lab's containers have them.

import { Grid } from './support/grid';
import { Inspector, commands } from './support/inspector';
import { expect, test } from './support/test';

test('limits are those of the engine, the fullest first', { tag: '@lab' }, async ({ page, lab }) => {
  const limited = lab.inspect('limited');
  await page.goto('?view=limits&f=name:limited');
  const grid = new Grid(page, 'Limits');
  await grid.filled();
  await expect.poll(() => grid.column('CPU %')).toEqual([expect.stringMatching(/ \/ 5$/)]);
  await expect.poll(() => grid.column('Memory')).toEqual([expect.stringMatching(/ \/ 64\.0 MiB$/)]);
  await expect.poll(() => grid.column('Tasks')).toEqual([expect.stringMatching(/ \/ 32$/)]);
  expect(limited.HostConfig.Memory).toBe(64 * 1024 * 1024);
  await grid.row('limited').click();
  const inspector = new Inspector(page);
  await inspector.tab('Limits');
  await expect(inspector.root).toContainText('64.0 MiB, its own');
  for (const resource of ['cpu', 'memory', 'pids']) {
    await expect(inspector.root.locator('.rooms li').filter({ hasText: resource })).toHaveCount(1);
  }
  const lines = (await commands(inspector.root)).map((c) => c.command);
  expect(lines.some((line) => line.includes(`${limited.Id}/memory.`))).toBe(true);
});

test('a kill is told with its victim', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=limits&table=kills&f=container:oomed');
  const grid = new Grid(page, 'OOM kills');
  await grid.filled();
  await expect.poll(async () => (await grid.column('Victim'))[0]).toBe('eater');
});

test('the tree shows who is frozen', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=limits&table=tree&f=container:paused+freezer:frozen');
  const grid = new Grid(page, 'Control groups');
  await grid.filled();
  await expect.poll(async () => (await grid.column('Freezer')).at(-1)).toContain('frozen');
});
