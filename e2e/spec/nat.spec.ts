// Published ports, NAT rules and translations: the way of a packet as the lab's containers have it.

import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { Grid } from './support/grid';
import { Inspector, commands } from './support/inspector';
import { expect, test } from './support/test';

test('a published port leads over its proxy to its listener', { tag: '@lab' }, async ({ page, lab }) => {
  const web = lab.inspect('web');
  const [published] = web.NetworkSettings.Ports['80/tcp']!;
  await page.goto(`?view=network&table=ports&f=container:web+port:${published!.HostPort}`);
  const grid = new Grid(page, 'Published ports');
  await grid.filled();
  await expect.poll(() => grid.column('State')).toEqual(['● alive']);
  const [way] = await grid.column('Way of a packet');
  const hops = way!.split(' → ');
  expect(hops[0]).toBe(`127.0.0.1:${published!.HostPort}/tcp`);
  const proxy = /^docker-proxy \((\d+)\)$/.exec(hops[1]!);
  expect(readFileSync(`/proc/${proxy![1]}/comm`, 'utf8').trim()).toBe('docker-proxy');
  const listener = /^httpd \((\d+)\) .*:80$/.exec(hops.at(-1)!);
  expect(readFileSync(`/proc/${listener![1]}/comm`, 'utf8').trim()).toBe('httpd');
  await grid.row('web').click();
  const inspector = new Inspector(page);
  await inspector.tab('Ports');
  await expect(inspector.root.locator('[data-hop]')).toHaveCount(5);
  await expect(inspector.root.locator('[data-hop=listener]')).toContainText('httpd');
});

test('the lines in the shell about a port run', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto(`?view=network&table=ports&sel=c:${lab.inspect('web').Id}&tab=ports`);
  const inspector = new Inspector(page);
  const offered = async () =>
    (await commands(inspector.root)).map((c) => c.command).filter((line) => line.includes('ss -ltnp'));
  // The engine, which knows the ports, answers a moment after the kernel.
  await expect(async () => expect(await offered()).toHaveLength(2)).toPass();
  for (const command of await offered()) {
    const { status, stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    expect.soft(status, command).toBe(0);
    expect.soft(stdout, command).toContain('LISTEN');
  }
});

test('rules and translations have tables of their own', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=network&table=ports');
  for (const [choice, name] of [['NAT', 'NAT rules'], ['Translations', 'Translations']] as const) {
    await page.getByRole('radio', { name: choice, exact: true }).click();
    await expect(page.getByRole('grid', { name, exact: true })).toBeVisible();
  }
});
