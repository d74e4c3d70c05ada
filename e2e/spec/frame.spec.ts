// The frame around the views: search, colours, what we cost, what is missing, and what happens when the agent or the
// engine goes away and comes back.

import path from 'node:path';

import { Agent } from './support/agent';
import { Grid } from './support/grid';
import { OUT } from './support/stage';
import { type Locator, type Page, ahead, expect, ready, test } from './support/test';

test('the search finds views, containers and processes, and leads there', async ({ page }) => {
  await page.goto('?view=scoreboard');
  await ready(page);
  const search = page.getByRole('combobox', { name: 'Search' });
  const hits = page.getByRole('listbox', { name: 'Found' }).getByRole('option');
  await page.keyboard.press('Control+k');
  await expect(search).toBeFocused();
  await expect(hits).toHaveText([
    /Containers/,
    /Processes/,
    /Map/,
    /Network/,
    /Wire/,
    /Namespaces/,
    /Confinement/,
    /Findings/,
    /Scoreboard/,
    /Limits/,
    /Disk/,
    /DNS/,
    /Host/,
  ]);
  await search.fill('never-reaped');
  await expect(hits.first()).toHaveText(/process.*never-reaped.*in zombie/);
  await search.fill('worker');
  await expect(hits.first()).toHaveText(/container.*worker/);
  await search.press('ArrowDown');
  await expect(hits.nth(1)).toHaveAttribute('aria-selected', 'true');
  await search.press('ArrowUp');
  await search.press('Enter');
  await expect(page).toHaveURL(/[?&]sel=c:[0-9a-f]{64}/);
  await expect(page.getByRole('complementary', { name: 'Inspector' })).toContainText('worker');
  await expect(page.getByRole('listbox', { name: 'Found' })).toHaveCount(0);
  await page.keyboard.press('/');
  await search.fill('processes');
  await search.press('Enter');
  await expect(new Grid(page, 'Processes').root).toBeVisible();
});

test('the theme follows the system until one is chosen, then the URL and this browser keep it', async ({ page, another }) => {
  const background = (of: Page) => of.evaluate(() => getComputedStyle(document.body).backgroundColor);
  await page.emulateMedia({ colorScheme: 'dark' });
  await page.goto('');
  const toggle = page.getByTitle(/^Colours/);
  await expect(toggle).toHaveText('Theme: auto');
  const dark = await background(page);
  await page.emulateMedia({ colorScheme: 'light' });
  await expect.poll(() => background(page)).not.toBe(dark);
  const light = await background(page);
  await toggle.click();
  await expect(page).toHaveURL(/[?&]theme=dark/);
  await expect.poll(() => background(page)).toBe(dark);
  const second = await another();
  await second.emulateMedia({ colorScheme: 'light' });
  await second.goto('');
  await expect.poll(() => background(second)).toBe(dark);
  await second.close();
  await page.keyboard.press('t');
  await expect(page).toHaveURL(/[?&]theme=light/);
  await expect.poll(() => background(page)).toBe(light);
  await page.goto('?theme=dark');
  await expect.poll(() => background(page)).toBe(dark);
});

test('host vitals and our own cost are figures that lead somewhere', { tag: '@lab' }, async ({ page }) => {
  // Narrower, some make room.
  await page.setViewportSize({ width: 1600, height: 900 });
  await page.goto('');
  const vitals = page.getByRole('navigation', { name: 'Host vitals' });
  for (const [name, figure] of [['cpu', /\d+ %/], ['mem', /[\d.]+ \/ [\d.]+ GiB/], ['load', /\d\.\d\d \/ \d+ cpu/], ['psi', /psi (cpu|mem|io) *\d+ %/], ['containers', /\d+/]] as const) {
    await expect(vitals.getByRole('link', { name: new RegExp(`^${name}`) })).toHaveText(figure);
  }
  // Where nothing is pointed at, the timeline reads the same moment.
  const readings = () => page.evaluate(() => ['.v-cpu b', '.timeline .values b'].map((s) => document.querySelector(s)?.textContent));
  await expect.poll(async () => new Set(await readings()).size).toBe(1);
  const cost = page.getByRole('link', { name: /^own/ });
  await expect(cost).toHaveText(/[\d.]+ %.*[\d.]+ MiB.*[\d.]+ k?B\/s/);
  await cost.click();
  const grid = new Grid(page, 'Processes');
  await expect.poll(() => grid.column('Name')).toEqual(['glasshull']);
});

test('what is missing is listed behind one button', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('');
  await page.getByTitle('Connection and sources').click();
  const dialog = page.getByRole('dialog', { name: 'What is missing here' });
  await expect(dialog).toContainText('Connection to the agent: live');
  await expect(dialog).toContainText(lab.endpoint);
  await expect(dialog).toContainText('connected');
  await expect(dialog).toContainText('CAP_SYS_PTRACE');
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect(dialog).toBeHidden();
});

test('keys lead to every view', async ({ page }) => {
  await page.goto('');
  await ready(page);
  await page.keyboard.press('?');
  const keys = page.getByRole('dialog', { name: 'Keys' });
  await expect(keys).toBeVisible();
  const chords = await keys.getByRole('term').filter({ hasText: /^g / }).allTextContents();
  await page.keyboard.press('Escape');
  const links = page.getByRole('navigation', { name: 'Views' }).getByRole('link');
  expect(chords.length).toBe(await links.count());
  for (const [i, chord] of chords.entries()) {
    await page.keyboard.press('g');
    await page.keyboard.press(chord.trim().split(/\s+/)[1]!);
    await expect(links.nth(i)).toHaveAttribute('aria-current', 'page');
  }
});

test('going from view to view leaves no row of the one before', async ({ page }) => {
  await page.goto('');
  await ready(page);
  const rail = page.getByRole('navigation', { name: 'Views' }).getByRole('link');
  const views = await rail.all();
  const rows = page.getByRole('main').locator('[role=row][data-slot]');
  const show = async (view: Locator) => {
    await view.click();
    await expect(view).toHaveAttribute('aria-current', 'page');
    await expect(page.getByRole('main').locator('.view')).toHaveCount(1);
  };
  test.slow();
  // Not every pair: a view more would cost twice as many.
  for (const [i, from] of views.entries()) {
    for (const to of [1, 5].map((step) => views[(i + step) % views.length]!)) {
      await show(from);
      // A wire is looked into when somebody says where: it has no rows yet.
      const empty = (await from.getAttribute('href'))!.includes('view=wire');
      if (!empty && (await page.getByRole('grid').count()) > 0) await expect(rows.filter({ visible: true }).first()).toBeVisible();
      await rows.evaluateAll((all) => all.forEach((row) => row.setAttribute('data-before', '')));
      await show(to);
      await expect(page.locator('[data-before]')).toHaveCount(0);
      const wrong = await rows.evaluateAll((all) => {
        const headings = document.querySelectorAll('main [role=columnheader]').length;
        return all.filter((row) => row.querySelectorAll('[role=gridcell]').length !== headings).length;
      });
      expect(wrong, 'rows with cells of other columns').toBe(0);
    }
  }
});

test('the timeline takes every view back to what was, and to now again', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=containers');
  await ready(page);
  const grid = new Grid(page, 'Containers');
  const image = lab.inspect('web').Config.Image;
  // Something must be kept of the time before.
  await grid.filled();
  await page.waitForTimeout(15_000);
  const before = Date.now();
  lab.docker('run', '--detach', '--name', 'zzz-latecomer', '--network', 'none', '--stop-timeout', '0', image, 'sleep', '300');
  try {
    await expect.poll(async () => (await grid.find('Name', 'zzz-latecomer')) !== undefined).toBe(true);
    const chart = page.getByRole('group', { name: /last 15 minutes/ });
    const box = (await chart.boundingBox())!;
    // A bar is four seconds, counted from the epoch, the newest of 225 on the right. Two back from the start, however long
    // that took.
    const bar = (millis: number) => Math.floor(millis / 4_000);
    const back = bar(Date.now()) - (bar(before) - 2);
    await chart.click({ position: { x: box.width * (1 - (back + 0.5) / 225), y: box.height / 2 } });
    const banner = page.locator('.banner.past');
    await expect(banner).toContainText(/As of \d\d:\d\d:\d\d.* ago/);
    await expect.poll(async () => (await grid.find('Name', 'zzz-latecomer')) === undefined).toBe(true);
    expect(await grid.find('Name', 'web')).toBeDefined();
    await expect(page.getByTitle('Connection and sources')).toHaveText('the past');
    // Other views show the same moment; this one was on no screen then.
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Host' }).click();
    await expect(banner).toBeVisible();
    await page.goBack();
    await banner.getByRole('button', { name: 'Back to now' }).click();
    await expect(banner).toHaveCount(0);
    await expect.poll(async () => (await grid.find('Name', 'zzz-latecomer')) !== undefined).toBe(true);
    // By keys: read, go back, return.
    await chart.focus();
    for (let i = 0; i < 4; i += 1) await page.keyboard.press('ArrowLeft');
    await page.keyboard.press('Enter');
    await expect(banner).toBeVisible();
    await page.keyboard.press('Escape');
    await page.keyboard.press('Escape');
    await expect(banner).toHaveCount(0);
  } finally {
    lab.docker('rm', '--force', 'zzz-latecomer');
  }
});

test('a recording says that it is one', { tag: '@replay' }, async ({ page }) => {
  await page.goto('');
  await expect(page.getByText(/^Recording/)).toBeVisible();
  await expect(page.getByText(/made \d{4}-\d\d-\d\d \d\d:\d\d:\d\d/)).toBeVisible();
  await expect(page.getByTitle('Connection and sources')).toHaveText(/replay/);
});

test('an agent that dies is seen at once, and its return needs no reload', { tag: '@lab' }, async ({ page, lab, scene, complaints }) => {
  complaints.expect(/WebSocket connection to .* failed/);
  const log = path.join(OUT, 'log', 'mortal.log');
  const args = (port: number) => ['serve', '--engine', lab.endpoint, '--bind', `127.0.0.1:${port}`];
  let agent = await Agent.start(args(0), log);
  try {
    const come = ahead(page);
    await page.goto(`${agent.address}?view=containers&f=${scene.containers('db')}`);
    const grid = new Grid(page, 'Containers');
    await expect.poll(() => grid.column('Name')).toEqual(['db']);
    await page.evaluate(() => Object.assign(window, { mark: 'not reloaded' }));
    const state = page.getByTitle('Connection and sources');
    const main = page.getByRole('main');
    await expect(state).toHaveText(/live/);
    const before = await main.evaluate((element) => getComputedStyle(element).opacity + getComputedStyle(element).filter);
    // What comes later has come: it is fetched when nothing else is to do.
    await come();

    await agent.kill();
    await expect(state).toHaveText(/lost/);
    await expect(page.getByText(/Connection lost: .* Next attempt in \d+ s/)).toBeVisible();
    await expect(page.getByRole('button', { name: 'Connect now' })).toBeVisible();
    // What was known stays, and looks old.
    expect(await grid.column('Name')).toEqual(['db']);
    await expect
      .poll(() => main.evaluate((element) => getComputedStyle(element).opacity + getComputedStyle(element).filter))
      .not.toBe(before);

    agent = await Agent.start(args(agent.port), log);
    await expect(state).toHaveText(/live/, { timeout: 30_000 });
    await expect(page.getByText(/Connection lost/)).toHaveCount(0);
    await expect.poll(() => grid.column('Name')).toEqual(['db']);
    const time = page.getByRole('contentinfo', { name: 'Timeline' }).locator('.time');
    await expect(time).not.toHaveText((await time.textContent()) ?? '');
    expect(await page.evaluate(() => (window as unknown as { mark: string }).mark)).toBe('not reloaded');
  } finally {
    await agent.stop();
  }
});

test('a killed engine is said, its containers stay, and its return is noticed', { tag: '@engine' }, async ({ page, lab, scene }) => {
  test.setTimeout(180_000);
  await page.goto(`?view=containers&cols=state,id&f=${scene.containers()}`);
  const grid = new Grid(page, 'Containers');
  const up = async () => (await grid.rows()).filter((row) => /running|paused/.test(row.cells['State']!)).map((row) => row.cells['Id']!).sort();
  await expect.poll(up).not.toEqual([]);
  const before = await up();
  lab.engineStop();
  try {
    const dialog = page.getByRole('dialog', { name: 'What is missing here' });
    await page.getByTitle('What is missing here').click();
    const entry = dialog.locator('.entry').filter({ hasText: lab.endpoint });
    await expect(entry).toContainText(/failed|hanging/);
    await dialog.getByRole('button', { name: 'Close' }).click();
    // They go on running: the kernel still says so.
    expect(await up()).toEqual(before);
    await page.goto(`?view=processes&f=${scene.processes('db')}&cols=pid,container`);
    await expect.poll(() => new Grid(page, 'Processes').column('Container')).toEqual(['db']);
    await page.goBack();
  } finally {
    lab.engineStart();
  }
  await page.getByTitle('Connection and sources').click();
  const dialog = page.getByRole('dialog', { name: 'What is missing here' });
  await expect(dialog.locator('.entry').filter({ hasText: lab.endpoint })).toContainText('connected', { timeout: 60_000 });
  await dialog.getByRole('button', { name: 'Close' }).click();
  await expect.poll(up).toEqual(before);
  // And its events arrive again.
  lab.docker('pause', 'worker');
  try {
    await expect.poll(async () => (await grid.find('Name', 'worker'))?.cells['State']).toContain('paused');
  } finally {
    lab.docker('unpause', 'worker');
  }
});
