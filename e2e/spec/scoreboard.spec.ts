// The scoreboard against /proc: a letter per process, dots up to pids.max, and what a letter leads to.

import { stat, threadStates } from './support/lab';
import type { Scene } from './support/stage';
import { type Locator, type Page, expect, test } from './support/test';

/** The block of a container. */
function block(page: Page, scene: Scene, name: string): Locator {
  return page.getByRole('main').locator('section').filter({ has: page.locator(scene.link(name)) });
}

/** Its letters. */
function letters(page: Page, scene: Scene, name: string): Locator {
  return block(page, scene, name).getByRole('group');
}

/** How often each character occurs, without open slots. */
function counted(characters: Iterable<string>): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const c of characters) if (c !== '·') counts[c] = (counts[c] ?? 0) + 1;
  return counts;
}

// Containers whose processes stay in their states.
const STABLE = ['zombie', 'stopped', 'dstate', 'db', 'hostile', 'deleted', 'pod-a'];

test('the letters of each container are its processes\' states', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto('?view=scoreboard');
  for (const name of STABLE) {
    // The states are read anew each time: a writer may wait for its disk for a moment.
    await expect(async () => {
      const kernel = counted(lab.pids(name).map((pid) => stat(pid)?.state ?? '?'));
      expect(counted((await letters(page, scene, name).textContent()) ?? ''), name).toEqual(kernel);
    }).toPass({ timeout: 30_000 });
  }
});

test('what waits, has died or stands still is there', async ({ page, scene }) => {
  await page.goto('?view=scoreboard');
  await expect(letters(page, scene, 'zombie')).toHaveText(/Z/);
  await expect(letters(page, scene, 'stopped')).toHaveText(/T/);
  await expect(letters(page, scene, 'dstate')).toHaveText(/D/);
  // D says in what: the block holds the kernel function.
  await expect(block(page, scene, 'dstate')).toContainText(/D in \w+/);
});

test('open slots are drawn up to pids.max', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto('?view=scoreboard');
  const limit = lab.inspect('limited').HostConfig.PidsLimit!;
  const text = async () => (await letters(page, scene, 'limited').textContent()) ?? '';
  await expect.poll(async () => (await text()).length).toBe(limit);
  expect([...(await text())].filter((c) => c === '·').length).toBe(limit - lab.pids('limited').length);
  // No limit, no dots.
  await expect(letters(page, scene, 'zombie')).not.toHaveText(/·/);
});

test('threads are letters of their own on demand', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto('?view=scoreboard');
  const pids = lab.pids('paused');
  const text = async () => (await letters(page, scene, 'paused').textContent()) ?? '';
  await expect.poll(async () => (await text()).length).toBe(pids.length);
  const threads = pids.flatMap(threadStates);
  expect(threads.length).toBeGreaterThan(pids.length);
  const toggle = page.getByRole('button', { name: 'Threads', exact: true });
  await toggle.click();
  await expect(toggle).toHaveAttribute('aria-pressed', 'true');
  await expect(page).toHaveURL(/[?&]threads=1(&|$)/);
  await expect.poll(async () => counted(await text())).toEqual(counted(threads));
  await toggle.click();
  await expect.poll(async () => (await text()).length).toBe(pids.length);
});

test('a letter tells of its process and leads to it', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto('?view=scoreboard');
  const pid = lab.pidOf('zombie', 'never-reaped');
  const letter = letters(page, scene, 'zombie').locator('i', { hasText: 'Z' });
  await letter.hover();
  await expect(page.getByRole('status').filter({ hasText: 'never-reaped' })).toContainText(`pid ${pid}`);
  await letter.click();
  await expect(page).toHaveURL(new RegExp(`[?&]sel=p:${pid}:`));
  await expect(page.getByRole('complementary', { name: 'Inspector' })).toContainText('never-reaped');
});

test('by keyboard: arrows go through the letters, Enter opens', async ({ page, scene }) => {
  await page.goto('?view=scoreboard');
  const group = letters(page, scene, 'worker');
  await expect(group).toHaveText(/S/);
  await group.focus();
  await page.keyboard.press('ArrowRight');
  await page.keyboard.press('ArrowRight');
  await expect(page.getByRole('status').filter({ hasText: /^pid / })).toBeVisible();
  await page.keyboard.press('Enter');
  await expect(page.getByRole('complementary', { name: 'Inspector' })).toBeVisible();
});

test('by trouble, what waits comes first', async ({ page, scene }) => {
  await page.goto('?view=scoreboard');
  await page.getByRole('radio', { name: 'By trouble' }).click();
  await expect(page).toHaveURL(/[?&]sort=trouble/);
  // Before anything merely dead or stopped; what else waits on this host may stand before it.
  const order = async (name: string) => {
    const blocks = await page.getByRole('main').locator('section').all();
    const own = await Promise.all(blocks.map((b) => b.locator(scene.link(name)).count()));
    return own.indexOf(1);
  };
  await expect.poll(async () => (await order('dstate')) < (await order('zombie'))).toBe(true);
  await expect.poll(async () => (await order('zombie')) < (await order('stopped'))).toBe(true);
  await expect.poll(async () => (await order('stopped')) < (await order('db'))).toBe(true);
});
