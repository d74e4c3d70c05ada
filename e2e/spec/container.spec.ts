// The container view against `docker inspect` of the lab: every container, as it is, and as it changes.

import { Grid, type Row } from './support/grid';
import { Inspector } from './support/inspector';
import type { Inspected } from './support/lab';
import { expect, note, test } from './support/test';

const COLUMNS = 'cols=state,image,project,health,cpu_ratio,memory_bytes,pids,uptime,id,ports';

/** What the state column says of a container. */
function stateText({ State: state }: Inspected): string {
  const ended = state.Status === 'exited' || state.Status === 'dead';
  return `${state.Status}${ended ? ` ${state.ExitCode}` : ''}${ended && state.OOMKilled ? ' OOM' : ''}`;
}

/** A cell without the shape before its words. */
function words(cell: string | undefined): string {
  return (cell ?? '').replace(/^[^\p{L}\d]+ /u, '');
}

/** Bytes of a text such as `12.3 / 64.0 MiB`: what stands after the stroke. */
function limitBytes(cell: string): number {
  const [, figure, unit] = /\/ ([\d.]+) (\w+)$/.exec(cell) ?? [];
  return Number(figure) * 1024 ** ['B', 'KiB', 'MiB', 'GiB'].indexOf(unit ?? '');
}

test('every container of the engine has a row that says what docker inspect says', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.setViewportSize({ width: 1920, height: 1400 });
  await page.goto(`?view=containers&${COLUMNS}&f=${scene.containers()}`);
  const grid = new Grid(page, 'Containers');
  await grid.filled();
  // Health checks go on: both sides are asked until they agree.
  await expect(async () => {
    const truth = lab.all();
    const rows = new Map((await grid.rows()).map((row) => [row.cells['Name']!, row]));
    expect([...rows.keys()].sort()).toEqual([...truth.keys()].sort());
    for (const [name, inspected] of truth) {
      const cells = rows.get(name)!.cells;
      expect(words(cells['State']), `state of ${name}`).toBe(stateText(inspected));
      expect(cells['Image'], `image of ${name}`).toBe(inspected.Config.Image);
      expect(cells['Id'], `id of ${name}`).toBe(inspected.Id.slice(0, 12));
      expect(words(cells['Health']), `health of ${name}`).toBe(inspected.State.Health?.Status ?? '');
      const ended = inspected.State.Status === 'exited';
      expect(cells['Up'], `time of ${name}`).toMatch(ended ? /^\d.* ago$/ : inspected.State.Status === 'created' ? /^–$/ : /^\d.*[^o]$/);
      if (ended) expect([cells['CPU %'], rows.get(name)!.titles['CPU %']], `cpu of ${name}`).toEqual(['–', 'it does not run']);
      expect(cells['Project'], `project of ${name}`).toBe(inspected.Config.Labels['com.docker.compose.project'] ?? '');
    }
  }).toPass({ timeout: 60_000 });
});

test('limits are those of the engine', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto(`?view=containers&${COLUMNS}&f=${scene.containers('limited')}`);
  const grid = new Grid(page, 'Containers');
  const { HostConfig: limits } = lab.inspect('limited');
  await expect(async () => {
    const row = await grid.find('Name', 'limited');
    expect(limitBytes(row!.cells['Memory']!)).toBe(limits.Memory);
    expect(row!.cells['Tasks']).toMatch(new RegExp(`^\\d+ / ${limits.PidsLimit}$`));
    expect(row!.titles['CPU %']).toContain(`limit ${(limits.NanoCpus / 1e9).toFixed(2)} cores`);
    // It spins against a quota of a twentieth: it must be seen to be held back.
    expect(row!.cells['CPU %']).toMatch(new RegExp(`^[\\d.]+ / ${limits.NanoCpus / 1e7}$`));
    expect(row!.titles['CPU %']).toMatch(/throttled \d/);
  }).toPass({ timeout: 30_000 });
});

test('published ports are those of docker inspect', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto(`?view=containers&${COLUMNS}&f=${scene.containers('web')}`);
  const { NetworkSettings: network } = lab.inspect('web');
  const [inside, bindings] = Object.entries(network.Ports)[0]!;
  const cell = async () => (await new Grid(page, 'Containers').find('Name', 'web'))?.cells['Ports'];
  await expect.poll(cell).toContain(bindings![0]!.HostPort);
  expect(await cell()).toContain(inside.split('/')[0]!);
});

test('containers stand under their compose project, and a project folds', async ({ page, scene }) => {
  await page.setViewportSize({ width: 1440, height: 1400 });
  await page.goto(`?view=containers&group=project&f=${scene.containers('client-1', 'client-2', 'db', 'web', 'worker', 'zombie')}`);
  const grid = new Grid(page, 'Containers');
  const members = (rows: Row[]) => {
    const from = rows.findIndex((row) => row.group && row.cells['Name']!.startsWith('shop '));
    const to = rows.findIndex((row, i) => i > from && row.group);
    return rows.slice(from + 1, to < 0 ? undefined : to).map((row) => row.cells['Name']!);
  };
  await expect.poll(async () => members(await grid.rows()).sort()).toEqual(['client-1', 'client-2', 'db', 'web', 'worker']);
  const shop = grid.root.getByRole('row', { name: /^[▾▸]?\s*shop / });
  await expect(shop).toContainText('5 containers');
  await shop.click();
  await expect.poll(async () => members(await grid.rows())).toEqual([]);
  await expect(shop).toHaveAttribute('aria-expanded', 'false');
  await shop.click();
  await expect.poll(async () => members(await grid.rows()).length).toBe(5);
});

test('a killed container shows, and its new start', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.goto(`?view=containers&${COLUMNS}&f=${scene.containers('hostnet')}`);
  const grid = new Grid(page, 'Containers');
  const state = async () => words((await grid.find('Name', 'hostnet'))?.cells['State']);
  await expect.poll(state).toBe('running');
  try {
    for (const [action, expected] of [['kill', 'exited 137'], ['start', 'running']] as const) {
      // The page notes when it changed, by the clock that the engine's event is stamped with.
      const shown = await page.evaluateHandle(watchFor, expected);
      lab.docker(action, 'hostnet');
      const at = await shown.evaluate((watch) => watch.at);
      await expect.poll(state).toBe(expected);
      const millis = at - lab.lastEvent('hostnet', action === 'kill' ? 'die' : 'start');
      note('latency', `hostnet ${expected}: on the page ${millis.toFixed(0)} ms after the engine's event`);
    }
  } finally {
    if (lab.inspect('hostnet').State.Status !== 'running') lab.docker('start', 'hostnet');
  }
});

test('hostile names and labels are text, and stay in their place', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto(`?view=containers&sel=c:${lab.inspect('hostile').Id}&tab=labels`);
  const inspector = new Inspector(page).root;
  const label = (name: string) => inspector.getByRole('listitem').filter({ has: page.getByText(name, { exact: true }) });
  await expect(label('script')).toContainText('<script>alert(1)</script>');
  // The engine cuts a label at its first equals sign.
  await expect(label('<img/src')).toContainText('x/onerror=alert(2)>=name');
  await expect(label('quotes')).toContainText('"\'`${HOME}`\'"; </td>&amp;');
  await expect(label('long')).toContainText('x'.repeat(4096));
  await expect(inspector.locator('script, img, td')).toHaveCount(0);
  // A mark that turns the direction of writing must not reach beyond its value: it is shown escaped, or isolated.
  const turned = await label('rtl').locator(':scope > *').last().evaluate((value) => ({
    raw: value.textContent?.includes('\u202e'),
    isolated: /isolate|plaintext/.test(getComputedStyle(value).unicodeBidi) || value.tagName === 'BDI',
  }));
  expect(turned.raw && !turned.isolated).toBe(false);
  // Four thousand letters without a space are no reason to grow.
  expect(await page.evaluate(() => document.documentElement.scrollWidth <= document.documentElement.clientWidth)).toBe(true);
  const box = (await inspector.boundingBox())!;
  expect(await inspector.evaluate((element) => element.scrollWidth <= element.clientWidth)).toBe(true);
  expect(box.x + box.width).toBeLessThanOrEqual(page.viewportSize()!.width);
});

test('the inspector says of a container what docker inspect says', { tag: '@lab' }, async ({ page, lab }) => {
  const web = lab.inspect('web');
  await page.goto(`?view=containers&sel=c:${web.Id}`);
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'web' })).toBeVisible();
  await expect(inspector.fact('id')).toHaveText(web.Id);
  await expect(inspector.fact('image')).toContainText(web.Config.Image);
  await expect(inspector.fact('init pid')).toHaveText(`${web.State.Pid} → 1 inside`);
  await expect(inspector.fact('project')).toHaveText('shop / web');
  await expect(inspector.fact('ports')).toContainText(web.NetworkSettings.Ports['80/tcp']![0]!.HostPort);
  await expect(inspector.fact('cgroup')).toContainText(web.Id);
  await inspector.tab('Processes');
  // A health check may run in it for a moment.
  const pids = () => inspector.root.locator('tbody tr td:nth-child(2)').allTextContents();
  await expect(async () => expect((await pids()).map(Number).sort()).toEqual(lab.pids('web').sort())).toPass({ timeout: 30_000 });
  await inspector.root.getByRole('link', { name: 'httpd' }).first().click();
  await expect(page).toHaveURL(/[?&]sel=p:\d+:\d+/);
  await page.goBack();
  await expect(inspector.root.getByRole('heading', { name: 'web' })).toBeVisible();
});

/** In the page: watches for a cell that ends so; `at` is when it came, milliseconds since the epoch. */
function watchFor(text: string): { at: Promise<number> } {
  const at = new Promise<number>((resolve) => {
    const look = () => {
      const cells = [...document.querySelectorAll('[role=row][data-slot]:not([hidden]) [role=gridcell]')];
      if (!cells.some((cell) => cell.textContent?.endsWith(text))) return;
      observer.disconnect();
      resolve(Date.now());
    };
    const observer = new MutationObserver(look);
    observer.observe(document.body, { subtree: true, childList: true, characterData: true, attributes: true });
    look();
  });
  return { at };
}
