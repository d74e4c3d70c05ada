// The host view against the kernel and the classic tools.

import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import os from 'node:os';

import { type Locator, type Page, expect, test } from './support/test';

/** A panel by its heading. */
function panel(page: Page, heading: string): Locator {
  return page.getByRole('main').locator('section').filter({ has: page.getByRole('heading', { name: heading, exact: true }) });
}

/** The value beside a name in the panel "System". */
function fact(page: Page, name: string): Locator {
  const term = panel(page, 'System').locator('dt').filter({ hasText: new RegExp(`^${name}$`) });
  return term.locator('xpath=following-sibling::dd[1]');
}

test('what the host is, as uname and the kernel say', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=host');
  await expect(fact(page, 'host')).toHaveText(os.hostname());
  await expect(fact(page, 'kernel')).toHaveText(`${os.release()} ${execFileSync('uname', ['-m'], { encoding: 'utf8' }).trim()}`);
  await expect(fact(page, 'cpus')).toHaveText(execFileSync('nproc', ['--all'], { encoding: 'utf8' }).trim());
  const booted = Number(/^btime (\d+)$/m.exec(readFileSync('/proc/stat', 'utf8'))![1]) * 1000;
  const shown = async () => Date.parse((await fact(page, 'booted').textContent())!.replace(' ', 'T'));
  // The kernel rounds btime down, and up.
  await expect.poll(async () => Math.abs((await shown()) - booted) <= 2_000).toBe(true);
  const cores = await page.getByText(/^cpu\d+$/).allTextContents();
  expect(cores.length).toBe(os.cpus().length);
});

test('memory as free prints it', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=host');
  const row = panel(page, 'Memory').getByRole('row').filter({ hasText: 'Mem:' });
  await expect(row.getByRole('cell').first()).toHaveAttribute('title', /bytes/);
  const bytes = async () => {
    const titles = await row.getByRole('cell').evaluateAll((cells) => cells.map((cell) => (cell as HTMLElement).title));
    return titles.map((title) => Number(title.replace(/\D/g, '')));
  };
  // Both are read again until nothing else on this host moves much between them.
  await expect(async () => {
    const page = await bytes();
    const free = /^Mem: +(.*)$/m.exec(execFileSync('free', ['-b'], { encoding: 'utf8' }))![1]!.split(/ +/).map(Number);
    expect(page[0]).toBe(free[0]);
    // used, free, shared, buff/cache, available: within a hundredth of the whole.
    for (let i = 1; i < 6; i += 1) expect(Math.abs(page[i]! - free[i]!), `figure ${i}`).toBeLessThan(free[0]! / 100);
  }).toPass({ timeout: 60_000 });
});

test('cpu by mode adds up, and pressure is there where the kernel tells it', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=host');
  const cpu = panel(page, 'CPU');
  await expect(cpu).toContainText(/[\d.]+ % busy/);
  for (const mode of ['user', 'nice', 'system', 'iowait', 'irq', 'softirq', 'steal', 'guest']) {
    await expect(cpu.getByRole('listitem').filter({ hasText: new RegExp(`^${mode}`) }).first()).toHaveText(/[\d.]+ %/);
  }
  for (const resource of ['cpu', 'memory', 'io']) {
    const row = panel(page, 'Pressure').getByRole('row').filter({ has: page.getByRole('rowheader', { name: resource, exact: true }) });
    await expect(row).toHaveText(/[\d.]+/);
  }
});

test('the engine of the lab and every source are listed', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=host');
  const engine = panel(page, 'Engines').getByRole('row').filter({ hasText: lab.endpoint });
  await expect(engine).toContainText('connected');
  await expect(engine.getByRole('cell').last()).toHaveText(String(lab.all().size));
  await engine.getByRole('link').click();
  await expect(page.getByRole('complementary', { name: 'Inspector' })).toContainText(lab.docker('version', '--format', '{{.Server.Version}}').trim());
  const sources = panel(page, 'Where it comes from').getByRole('row');
  for (const name of ['process', 'container', 'cgroup', 'host']) {
    await expect(sources.filter({ hasText: name }).first()).toBeVisible();
  }
});
