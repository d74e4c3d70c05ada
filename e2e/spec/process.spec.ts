// The process view against the kernel: filter, order, tree and groups, the odd states, the inspector, links and keys.

import { existsSync, readdirSync, readlinkSync, realpathSync, statSync } from 'node:fs';

import { Grid, type Row } from './support/grid';
import { Inspector, processSelection } from './support/inspector';
import { readProc, stat } from './support/lab';
import { type Page, expect, test } from './support/test';

const open = async (page: Page, query: string) => {
  await page.goto(`?view=processes&${query}`);
  const grid = new Grid(page, 'Processes');
  await grid.filled();
  return grid;
};

test.describe('the filter', () => {
  test('by pid leaves one row, the kernel\'s', { tag: '@lab' }, async ({ page, lab }) => {
    const pid = lab.inspect('db').State.Pid;
    const grid = await open(page, `f=pid:${pid}&cols=pid,ppid,state,threads,container`);
    await expect.poll(() => grid.count()).toBe(1);
    const truth = stat(pid)!;
    // The engine, which knows the container's name, answers a moment after the kernel.
    await expect.poll(async () => (await grid.rows())[0]?.cells ?? {}).toMatchObject({
      Name: truth.comm,
      PID: String(pid),
      PPID: String(truth.ppid),
      Thr: String(truth.threads),
      Container: 'db',
    });
  });

  test('by container leaves exactly its processes', { tag: '@lab' }, async ({ page, lab, scene }) => {
    const grid = await open(page, `f=${scene.processes('worker')}&sort=pid:asc&cols=pid,pid_in_ns,user,container`);
    await expect.poll(async () => (await grid.column('PID')).map(Number)).toEqual(lab.pids('worker'));
    for (const row of await grid.rows()) {
      const inside = readProc(Number(row.cells['PID']), 'status').match(/^NSpid:.*\t(\d+)$/m)![1]!;
      expect(row.cells['PID inside'], `pid inside of ${row.cells['PID']}`).toBe(inside);
    }
  });

  test('by state finds the one that waits and says in what', { tag: '@lab' }, async ({ page, lab, scene }) => {
    const grid = await open(page, `f=${scene.processes('dstate')}+state:D&cols=pid,state,wait_channel`);
    await expect.poll(() => grid.count()).toBe(1);
    const { cells, titles } = (await grid.rows())[0]!;
    const pid = lab.pidOf('dstate', 'vfork-parent', 'D');
    expect(cells['PID']).toBe(String(pid));
    expect(cells['S']).toMatch(/^D/);
    const channel = readProc(pid, 'wchan');
    expect(channel).not.toBe('');
    expect(cells['Waits in']).toBe(channel);
    expect(titles['S']).toContain(channel);
  });

  test('typed, it narrows at once, stands in the URL, and says what it cannot read', async ({ page, scene }) => {
    const grid = await open(page, '');
    const all = await grid.count();
    const worker = scene.processes('worker');
    const box = page.getByRole('searchbox', { name: 'filter' });
    await box.fill(worker);
    await expect.poll(() => grid.count()).toBe(7);
    expect(all).toBeGreaterThan(7);
    await expect(page).toHaveURL(new RegExp(`[?&]f=${worker}(&|$)`));
    await box.fill(`${worker} nonsense:1`);
    await expect(page.getByRole('status').filter({ hasText: 'nonsense' })).toBeVisible();
    await expect(box).toHaveAttribute('aria-invalid', 'true');
    // What can be read still holds.
    await expect.poll(() => grid.count()).toBe(7);
    await box.press('Escape');
    await expect(box).toHaveValue('');
    await expect.poll(() => grid.count()).toBeGreaterThan(7);
  });
});

test('every heading sorts, and again the other way', async ({ page }) => {
  const grid = await open(page, 'f=container:*&cols=pid,rss_bytes,started_at');
  const pids = async () => (await grid.column('PID')).map(Number);
  const heading = grid.heading('PID');
  await heading.click();
  await expect(heading).toHaveAttribute('aria-sort', 'ascending');
  await expect(page).toHaveURL(/[?&]sort=pid:asc(&|$)/);
  await expect.poll(async () => isSorted(await pids(), 1)).toBe(true);
  await heading.click();
  await expect(heading).toHaveAttribute('aria-sort', 'descending');
  await expect.poll(async () => isSorted(await pids(), -1)).toBe(true);
  await grid.heading('Name').click();
  await expect(grid.heading('Name')).toHaveAttribute('aria-sort', 'ascending');
  await expect(heading).toHaveAttribute('aria-sort', 'none');
  const names = await grid.column('Name');
  expect(names[0]!.toLowerCase() <= names.at(-1)!.toLowerCase()).toBe(true);
});

test('the tree puts children under their parents, and branches close', { tag: '@lab' }, async ({ page, lab, scene }) => {
  await page.setViewportSize({ width: 1440, height: 1400 });
  const grid = await open(page, `group=tree&f=${scene.processes('worker')}&cols=pid,ppid`);
  const init = lab.inspect('worker').State.Pid;
  const child = lab.pids('worker').find((pid) => stat(pid)?.ppid === init)!;
  await expect.poll(() => grid.find('PID', String(child))).toBeDefined();
  const rows = await grid.rows();
  const at = (pid: number) => rows.findIndex((row) => row.cells['PID'] === String(pid));
  expect(at(child)).toBeGreaterThan(at(init));
  for (const pid of lab.pids('worker')) {
    const parent = above(rows, at(pid));
    expect(parent?.cells['PID'], `the row that ${pid} stands under`).toBe(rows[at(pid)]!.cells['PPID']);
  }
  await page.getByRole('row').filter({ hasText: String(init) }).first().locator('.table-fold').click();
  await expect.poll(() => grid.find('PID', String(child))).toBeUndefined();
});

test('by container each group stands over its processes', async ({ page, scene }) => {
  await page.setViewportSize({ width: 1440, height: 1400 });
  const grid = await open(page, `group=container&f=${scene.processes('worker', 'zombie')}`);
  await expect.poll(async () => (await grid.rows()).filter((row) => row.group).length).toBe(2);
  const rows = await grid.rows();
  const groups = rows.filter((row) => row.group);
  expect(groups[0]!.cells['Name']).toMatch(/^worker +7 processes/);
  expect(groups[1]!.cells['Name']).toMatch(/^zombie +2 processes/);
  expect(rows.length).toBe(2 + 7 + 2);
});

test('a zombie names the parent that has not waited for it', { tag: '@lab' }, async ({ page, lab, scene }) => {
  const grid = await open(page, `f=${scene.processes('zombie')}+state:Z&cols=pid,ppid,state,cmdline`);
  await expect.poll(() => grid.count()).toBe(1);
  const { cells } = (await grid.rows())[0]!;
  const pid = lab.pidOf('zombie', 'never-reaped');
  const parent = stat(stat(pid)!.ppid)!;
  expect(cells).toMatchObject({ Name: 'never-reaped', PID: String(pid), PPID: String(parent.pid) });
  expect(cells['S']).toMatch(/^Z/);
  expect(cells['Command']).toContain(`parent ${parent.pid} (${parent.comm})`);
});

test('a hostile command line is text', async ({ page, scene }) => {
  const grid = await open(page, `f=${scene.processes('hostile')}&cols=pid,cmdline`);
  const commands = async () => (await grid.column('Command')).join('\n');
  await expect.poll(commands).toContain('<img src=x onerror=alert(1)>');
  expect(await commands()).toContain('two\\nlines\\ttab\\u{1b}[31mred');
  expect(await commands()).toContain('bad-utf8:\u{fffd}');
  expect(await commands()).not.toContain('\u{202e}');
  await expect(grid.root.locator('img, b')).toHaveCount(0);
});

test('a link restores filter, order, columns and selection; Back goes where one was', { tag: '@lab' }, async ({ page, lab, scene }) => {
  const pid = lab.inspect('db').State.Pid;
  const grid = await open(page, `f=${scene.processes('db')}&sort=rss_bytes:asc&cols=pid,rss_bytes&sel=${processSelection(pid)}`);
  await expect(page.getByRole('searchbox', { name: 'filter' })).toHaveValue(scene.processes('db'));
  await expect(grid.heading('RSS')).toHaveAttribute('aria-sort', 'ascending');
  await expect(grid.root.getByRole('columnheader')).toHaveText([/Name/, /PID/, /RSS/]);
  await expect.poll(async () => (await grid.find('PID', String(pid)))?.selected).toBe(true);
  const inspector = new Inspector(page).root;
  await expect(inspector).toContainText(String(pid));
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Containers' }).click();
  await expect(new Grid(page, 'Containers').root).toBeVisible();
  await page.goBack();
  await expect(grid.root).toBeVisible();
  await expect(page.getByRole('searchbox', { name: 'filter' })).toHaveValue(scene.processes('db'));
  await expect(inspector).toContainText(String(pid));
});

test('a row opens the inspector with what the kernel says of it', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('worker').State.Pid;
  const grid = await open(page, `f=pid:${pid}`);
  await grid.row(String(pid)).click();
  await expect(page).toHaveURL(new RegExp(`[?&]sel=${processSelection(pid)}(&|$)`));
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'worker' })).toBeVisible();
  await expect(inspector.fact('pid')).toHaveText(`${pid} → 1 inside`);
  await expect(inspector.fact('cgroup')).toContainText(lab.inspect('worker').Id);
  await expect(inspector.fact('open files')).toHaveText(String(readdirSync(`/proc/${pid}/fd`).length));
  await expect(inspector.fact('oom score')).toHaveText(readProc(pid, 'oom_score_adj').trim());
  await inspector.tab('Memory');
  // It sleeps for good: its pages do not change.
  for (const [name, field] of [['Pss', 'Pss'], ['Rss', 'Rss'], ['swap', 'Swap']] as const) {
    const kilobytes = new RegExp(`^${field}: +(\\d+) kB$`, 'm').exec(readProc(pid, 'smaps_rollup'))![1]!;
    const exact = (Number(kilobytes) * 1024).toLocaleString('en-US');
    await expect(inspector.fact(name)).toHaveAttribute('title', new RegExp(`; ${exact} bytes$`));
  }
  await inspector.tab('Namespaces');
  for (const kind of ['pid', 'net', 'mnt', 'uts']) {
    const inode = /\[(\d+)\]/.exec(readlinkSync(`/proc/${pid}/ns/${kind}`))![1]!;
    await expect(inspector.root.getByRole('row').filter({ has: page.getByText(kind, { exact: true }) })).toContainText(inode);
  }
});

test('who can say more is asked again, a zombie is not', { tag: '@lab' }, async ({ page, lab }) => {
  const again = page.getByRole('button', { name: 'read again' });
  await open(page, `f=container:*&sel=${processSelection(lab.inspect('worker').State.Pid)}`);
  await expect(again).toBeVisible();
  await open(page, `f=container:*&sel=${processSelection(lab.pidOf('zombie', 'never-reaped'))}`);
  await expect(new Inspector(page).root.locator('.heading')).toContainText('zombie · container zombie');
  await expect(again).toBeHidden();
});

test('a recording is not asked again', { tag: '@replay' }, async ({ page, scene }) => {
  const grid = await open(page, `f=${scene.processes('worker')}`);
  await grid.root.locator('[role=row][data-slot]:not([hidden])').first().click();
  await expect(page.getByText('Binary and directories')).toBeVisible();
  await expect(page.getByRole('button', { name: 'read again' })).toBeHidden();
});

test('the host path of a container\'s binary is that very file, in the layer that holds it', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('worker').State.Pid;
  await open(page, `f=pid:${pid}&sel=${processSelection(pid)}`);
  const inspector = new Inspector(page);
  const inside = readlinkSync(`/proc/${pid}/exe`);
  await expect(inspector.fact('binary')).toHaveText(inside);
  const running = statSync(`/proc/${pid}/exe`);
  const onHost = (await inspector.fact('on the host').textContent())!;
  expect(onHost.endsWith(inside)).toBe(true);
  const named = statSync(onHost);
  expect([named.dev, named.ino]).toEqual([running.dev, running.ino]);
  // The first of the overlay's directories, from the top, that has it: upper, then the lower ones in their order.
  const options = / - overlay \S+ (\S+)/.exec(readProc(pid, 'mountinfo').split('\n').find((line) => line.split(' ')[4] === '/')!)![1]!;
  const option = (name: string) => new RegExp(`${name}=([^,]+)`).exec(options)![1]!;
  const lower = option('lowerdir').split(':');
  const holder = [option('upperdir'), ...lower].find((dir) => existsSync(dir + inside))!;
  expect(realpathSync((await inspector.fact('in its layer').textContent())!)).toBe(realpathSync(holder + inside));
  await expect(inspector.fact('layer')).toHaveText(new RegExp(`^lower ${lower.indexOf(holder)}: `));
  await expect(inspector.fact('the name')).toHaveText('the file it runs');
});

test('a binary deleted or replaced under its process is said to be so', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = new Inspector(page);
  for (const [name, fate] of [['gone', /^deleted/], ['swapped', /^replaced/]] as const) {
    const pid = lab.pids('deleted').find((pid) => readProc(pid, 'cmdline').includes(`/srv/${name}\0`) && stat(pid)?.comm === 'idle')!;
    await open(page, `f=pid:${pid}&sel=${processSelection(pid)}`);
    await expect(inspector.fact('binary')).toHaveText(`/srv/${name}`);
    await expect(inspector.fact('the name')).toHaveText(fate);
  }
});

test('keys: j, k and Enter go through rows, Esc closes, / searches, ? explains', async ({ page, scene }) => {
  const grid = await open(page, `f=${scene.processes('worker')}&sort=pid:asc`);
  await expect.poll(() => grid.count()).toBe(7);
  const cursor = async () => (await grid.rows()).findIndex((row) => row.cursor);
  await page.keyboard.press('j');
  await expect.poll(cursor).toBe(0);
  await page.keyboard.press('j');
  await page.keyboard.press('j');
  await expect.poll(cursor).toBe(2);
  await page.keyboard.press('k');
  await expect.poll(cursor).toBe(1);
  await page.keyboard.press('Enter');
  const inspector = new Inspector(page).root;
  await expect(inspector).toBeVisible();
  await expect.poll(async () => (await grid.rows()).findIndex((row) => row.selected)).toBe(1);
  await page.keyboard.press('j');
  await expect.poll(async () => (await grid.rows()).findIndex((row) => row.selected)).toBe(2);
  await page.keyboard.press('Escape');
  await expect(inspector).toBeHidden();
  await page.keyboard.press('/');
  const search = page.getByRole('combobox', { name: 'Search' });
  await expect(search).toBeFocused();
  await page.keyboard.press('Escape');
  await expect(search).not.toBeFocused();
  await page.keyboard.press('?');
  const keys = page.getByRole('dialog', { name: 'Keys' });
  await expect(keys).toBeVisible();
  await page.keyboard.press('Escape');
  await expect(keys).toBeHidden();
});

/** The nearest row above that is one level higher. */
function above(rows: Row[], at: number): Row | undefined {
  return rows.slice(0, at).findLast((row) => row.level === rows[at]!.level - 1);
}

function isSorted(numbers: number[], direction: 1 | -1): boolean {
  return numbers.every((n, i) => i === 0 || direction * (n - numbers[i - 1]!) >= 0);
}
