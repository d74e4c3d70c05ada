// What confines containers, in its view and in the inspector, against docker inspect and the kernel's own files.

import { execFileSync } from 'node:child_process';

import { Grid } from './support/grid';
import { Inspector, processSelection } from './support/inspector';
import { type Lab, readProc } from './support/lab';
import { type Page, expect, test } from './support/test';

/** A field of `/proc/PID/status`. */
const status = (pid: number, field: string) => new RegExp(`^${field}:\\s*(.*)$`, 'm').exec(readProc(pid, 'status'))![1]!;

/** Names of a capability mask as capsh decodes it, without `CAP_`. */
const decoded = (mask: string) =>
  execFileSync('capsh', [`--decode=${mask}`], { encoding: 'utf8' })
    .trim()
    .replace(/^.*=/, '')
    .split(',')
    .filter(Boolean)
    .map((name) => name.replace(/^cap_/, '').toUpperCase())
    .sort();

/** The names under some of the headings of the tab. */
const names = async (inspector: Inspector, ...groups: string[]) => {
  const found = await Promise.all(groups.map((group) => inspector.fact(group).locator('li').allTextContents()));
  return found.flat().map((name) => name.replace(/^[^A-Z]+/, '')).sort();
};

/** The cells of a row of the inspector's tables. */
const row = (inspector: Inspector, what: string) =>
  inspector.root.getByRole('row').filter({ has: inspector.root.page().getByRole('cell', { name: what, exact: true }) });

const open = async (page: Page, lab: Lab, name: string) => {
  await page.goto(`?view=confinement&sel=c:${lab.inspect(name).Id}&tab=confinement`);
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'Capabilities' })).toBeVisible();
  return inspector;
};

test('capabilities are those the kernel holds, dangerous ones apart', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = await open(page, lab, 'exposed');
  const mask = status(lab.inspect('exposed').State.Pid, 'CapBnd');
  expect(await names(inspector, 'dangerous', 'default')).toEqual(decoded(mask));
  expect(await names(inspector, 'dangerous')).toEqual(['SYS_ADMIN']);
  expect(await names(inspector, 'dropped')).toEqual(['MKNOD']);
  await expect(row(inspector, 'seccomp')).toContainText('seccomp=unconfined');
  await expect(row(inspector, 'seccomp')).toContainText('disabled');
});

test('what was declared stands beside what is, and a change from outside is told', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = await open(page, lab, 'confined');
  const pid = lab.inspect('confined').State.Pid;
  await expect(inspector.root.getByText('none: as declared')).toBeVisible();
  await expect(row(inspector, 'root (/)').getByRole('cell')).toHaveText(['root (/)', 'read-only', 'read-only']);
  await expect(row(inspector, 'no_new_privs').getByRole('cell')).toHaveText(['no_new_privs', 'no-new-privileges', 'on']);
  await expect(row(inspector, 'nofile').getByRole('cell')).toHaveText(['nofile', '256', '512', '256 / 512']);
  await expect(row(inspector, 'user')).toContainText(`uid ${status(pid, 'Uid').split(/\s/)[1]}`);
  // As its own user: of others' processes even root may be refused.
  const prlimit = (value: string) =>
    execFileSync('setpriv', ['--reuid', '1000', '--regid', '1000', '--clear-groups', 'prlimit', '--pid', String(pid), `--nofile=${value}`]);
  prlimit('100:512');
  try {
    await expect(row(inspector, 'rlimit nofile').getByRole('cell')).toHaveText(
      ['rlimit nofile', '256 soft, 512 hard', '100 soft, 512 hard'],
      { timeout: 30_000 },
    );
  } finally {
    prlimit('256:512');
  }
  await expect(inspector.root.getByText('none: as declared')).toBeVisible({ timeout: 30_000 });
});

test('the table finds who is hardly confined', { tag: '@lab' }, async ({ page, scene }) => {
  await page.goto(`?view=confinement&f=${scene.containers('exposed')}`);
  const grid = new Grid(page, 'Confinement');
  // What was declared comes from the engine, and may come after what is.
  await expect
    .poll(async () => (await grid.find('Container', 'exposed'))?.cells)
    .toMatchObject({ 'Host paths': '2', Differs: '0', Seccomp: 'disabled', Root: 'writable', 'Beyond default': '!SYS_ADMIN' });
  await page.goto(`?view=confinement&f=${encodeURIComponent(`${scene.containers('exposed', 'web')} caps:SYS_ADMIN`)}`);
  await expect.poll(() => grid.column('Container')).toEqual(['exposed']);
  // A click leads to the rest.
  await grid.row('exposed').click();
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'exposed' })).toBeVisible();
});

test('a process tells the same of itself', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('confined').State.Pid;
  await page.goto(`?view=processes&sel=${processSelection(pid)}&tab=confinement`);
  const inspector = new Inspector(page);
  await expect(row(inspector, 'no_new_privs').getByRole('cell')).toHaveText(['no_new_privs', 'on']);
  expect(await names(inspector, 'default')).toEqual(decoded(status(pid, 'CapBnd')));
  await expect(row(inspector, 'nofile').getByRole('cell')).toHaveText(['nofile', '256', '512']);
});
