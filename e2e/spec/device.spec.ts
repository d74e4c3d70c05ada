// Disk: block devices against lsblk and a loop device that dd writes to, and who writes.

import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { readFileSync, realpathSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import path from 'node:path';

import { Grid } from './support/grid';
import { Inspector, processSelection } from './support/inspector';
import { stat } from './support/lab';
import { OUT } from './support/stage';
import { type Locator, type Page, expect, test } from './support/test';

test('devices are those lsblk lists, with size and what they lie on', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=disk&table=devices&cols=name,kind,on,size');
  const grid = new Grid(page, 'Block devices');
  const listed = JSON.parse(
    execFileSync('lsblk', ['--json', '--bytes', '--list', '--output', 'NAME,SIZE,PKNAME'], { encoding: 'utf8' }),
  ) as { blockdevices: { name: string; size: number; pkname: string | null }[] };
  const disks = listed.blockdevices.filter(({ size, name }) => size > 0 && !name.startsWith('loop'));
  expect(disks.length).toBeGreaterThan(0);
  for (const { name, pkname } of disks) {
    await expect.poll(async () => (await grid.find('Device', name))?.cells['Lies on']).toBe(pkname ?? '');
    expect((await grid.find('Device', name))!.cells['Size']).toMatch(/\d.*B$/);
  }
  // The stack above the other tables names the same.
  await page.getByRole('radio', { name: 'Processes' }).click();
  for (const { name } of disks) await expect(stackLine(page, name)).toBeVisible();
});

test('who writes is found, with the device it makes busy', { tag: '@lab' }, async ({ page }) => {
  const file = path.join(OUT, 'disk.img');
  writeFileSync(file, '');
  truncateSync(file, 16 << 20);
  const node = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
  const writer = spawn(
    'sh',
    ['-c', `for i in $(seq 2000); do dd if=/dev/zero of=${node} bs=64k count=256 oflag=direct conv=notrunc; done`],
    { stdio: 'ignore' },
  );
  try {
    const name = node.replace('/dev/', '');
    await page.goto('?view=disk&f=comm:sh');
    await expect(stackLine(page, name)).toContainText(/[1-9][\d.]* %/);
    const doers = new Grid(page, 'Processes by I/O');
    // The kernel adds what a child wrote to the shell that waited for it.
    await expect.poll(async () => (await doers.find('PID', String(writer.pid)))?.cells['Written']).toMatch(/[1-9].*B\/s$/);
    await doers.row(String(writer.pid)).click();
    await expect(new Inspector(page).root.getByRole('heading', { name: 'sh' })).toBeVisible();
    await page.goto(`?view=disk&table=devices&f=${name}`);
    const grid = new Grid(page, 'Block devices');
    // Of one interval: in the next it may rest.
    await expect.poll(async () => (await grid.find('Device', name))?.cells ?? {}).toMatchObject({
      Writes: expect.stringMatching(/[1-9].*\/s$/),
      'W wait': expect.stringMatching(/\d.*s$/),
      'Busy %': expect.stringMatching(/[1-9]/),
    });
  } finally {
    writer.kill('SIGKILL');
    await expect
      .poll(() => {
        try {
          execFileSync('losetup', ['--detach', node], { stdio: 'ignore' });
          return true;
        } catch {
          return false;
        }
      })
      .toBe(true);
    rmSync(file);
  }
});

test('a device is inspected: its figures, where it is mounted, and commands that work', { tag: '@lab' }, async ({ page }) => {
  const root = JSON.parse(
    execFileSync('findmnt', ['--json', '--first-only', '--types', 'ext4,xfs,btrfs', '--output', 'TARGET,MAJ:MIN'], {
      encoding: 'utf8',
    }),
  ) as { filesystems: { target: string; 'maj:min': string }[] };
  const { target, 'maj:min': number } = root.filesystems[0]!;
  const name = path.basename(realpathSync(`/sys/dev/block/${number}`));
  await page.goto(`?view=disk&sel=d:${number}`);
  await expect(stackLine(page, name)).toHaveAttribute('aria-current', 'true');
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name })).toBeVisible();
  await expect(inspector.fact('busy')).toHaveText(/\d %/);
  await inspector.tab('Mounts');
  await expect(inspector.root.getByRole('row').filter({ hasText: 'host' }).filter({ hasText: target }).first()).toBeVisible();
  for (const { command } of await inspector.commands()) {
    const ran = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    // `fuser` complains of whom it may not look at, and tells pids.
    const fuser = command.startsWith('fuser');
    if (!fuser) expect.soft(ran.stderr, command).toBe('');
    expect.soft(ran.status, command).toBe(0);
    if (!fuser && !command.startsWith('cat')) expect.soft(ran.stdout, command).toContain(name);
  }
});

test('containers are told by what passes block devices for them', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=disk&table=containers&cols=name,written,processes');
  const grid = new Grid(page, 'Containers by I/O');
  // Its writer appends all the time.
  await expect.poll(async () => (await grid.find('Name', 'db'))?.cells['Written']).toMatch(/[1-9].*B\/s$/);
  expect((await grid.find('Name', 'db'))!.cells['Processes']).toBe(String(lab.pids('db').length));
  await grid.row('db').click();
  await expect(page).toHaveURL(new RegExp(`sel=c:${lab.inspect('db').Id}`));
});

test('a device tells which container is at it, and the container which devices', { tag: '@lab' }, async ({ page, lab }) => {
  const file = path.join(OUT, 'counted.img');
  writeFileSync(file, '');
  truncateSync(file, 16 << 20);
  const node = execFileSync('losetup', ['--find', '--show', file], { encoding: 'utf8' }).trim();
  const [name, disk] = ['spec-device-writer', node.replace('/dev/', '')];
  try {
    const line = 'while :; do dd if=/dev/zero of=/dev/disk bs=64k count=64 oflag=direct conv=notrunc; done';
    // A limit has the kernel count, also where cgroup v1 otherwise does not.
    lab.docker('run', '--detach', '--name', name, '--network', 'none', '--device', `${node}:/dev/disk`,
      '--device-write-bps', `${node}:4mb`, 'glasshull-lab:1', 'sh', '-c', line);
    const number = readFileSync(`/sys/block/${disk}/dev`, 'utf8').trim();
    await page.goto(`?view=disk&table=containers&cols=name,device,written_total&f=device:${disk}&sel=d:${number}&tab=users`);
    const grid = new Grid(page, 'Containers by I/O');
    await expect.poll(async () => (await grid.find('Name', name))?.cells['By device']).toMatch(new RegExp(`^${disk} [1-9].*B/s`));
    const inspector = new Inspector(page);
    const user = inspector.root.getByRole('row').filter({ hasText: name });
    await expect(user).toContainText(/[1-9][\d.]* .?B\/s/);
    await user.getByRole('link').click();
    await inspector.tab('Limits');
    await expect(inspector.root.getByRole('row').filter({ hasText: disk })).toContainText(/[1-9][\d.]* .?B\/s/);
  } finally {
    lab.docker('rm', '--force', name);
    execFileSync('losetup', ['--detach', node]);
    rmSync(file);
  }
});

test('file systems are as full as df says, on the host and in containers', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=disk&table=mounts&f=container%3Dhost&cols=at,container,size,used,available');
  const grid = new Grid(page, 'File systems');
  await expect.poll(async () => (await grid.find('Mounted on', '/'))?.cells['Used %']).toMatch(/\d/);
  const row = (await grid.find('Mounted on', '/'))!;
  const df = execFileSync('df', ['--output=pcent', '/'], { encoding: 'utf8' });
  // df rounds up to whole per cent.
  expect(Math.abs(Number(/(\d+)%/.exec(df)![1]) - Number.parseFloat(row.cells['Used %']!))).toBeLessThanOrEqual(1.1);
  await grid.row('/').click();
  await expect(new Inspector(page).fact('name')).toHaveText(/^\/dev\//);
  await page.goto('?view=disk&table=mounts&f=container:db+at%3D/data');
  await expect.poll(async () => (await grid.find('Mounted on', '/data'))?.cells['In'] ?? (await grid.rows()).length).toBe(0);
});

test('what a process holds open is followed: what grows, and what is deleted but takes space', { tag: '@lab' }, async ({ page }) => {
  const file = path.join(OUT, 'unseen.log');
  const writer = spawn('sh', ['-c', `exec 9>'${file}'; rm '${file}'; while :; do head -c 100000 /dev/zero >&9; sleep 0.1; done`], {
    stdio: 'ignore',
  });
  try {
    await expect.poll(() => stat(writer.pid!) !== null).toBe(true);
    await page.goto(`?view=processes&sel=${processSelection(writer.pid!)}&tab=files`);
    // While it begins head, the shell itself writes there through 1 too.
    const line = new Inspector(page).root.getByRole('listitem').filter({ hasText: /^9w.*unseen\.log/ });
    await expect(line).toContainText('deleted: its space is free when the last holder closes it');
    await expect(line).toContainText(/grows \+[1-9].*B\/s/);
    await expect(new Inspector(page).root.getByRole('status')).toContainText(/1 deleted but open, holding [1-9]/);
  } finally {
    writer.kill('SIGKILL');
  }
});

test('the case names who makes the host wait, and none is there afterwards', { tag: '@lab' }, async ({ page }) => {
  const file = path.join(OUT, 'case.bin');
  const writer = spawn('sh', ['-c', `while :; do dd if=/dev/zero of='${file}' bs=4k count=20000 oflag=direct conv=notrunc; done`], {
    stdio: 'ignore',
    // A group of its own: its dd goes with it.
    detached: true,
  });
  try {
    await page.goto('?view=disk');
    const card = page.getByRole('region', { name: 'The case' });
    await expect(card).toBeVisible();
    await expect(card.locator('[data-kind=process]')).toContainText(/dd|sh/);
    await expect(card.locator('[data-kind=device]')).toContainText(/% busy|await/);
    await card.getByRole('button', { name: 'Evidence and doubts' }).click();
    await expect(card.locator('.case-doubt').first()).toHaveText(/\w/);
    await card.locator('[data-kind=device]').getByRole('link').click();
    await expect(new Inspector(page).fact('busy')).toHaveText(/\d/);
  } finally {
    process.kill(-writer.pid!, 'SIGKILL');
    rmSync(file, { force: true });
  }
});

test('who waits uninterruptibly has a strip, with what it waits in', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.pidOf('dstate', 'vfork-parent', 'D');
  await page.goto('?view=disk&table=waits');
  const line = page.getByRole('region', { name: 'Who waits' }).getByRole('listitem').filter({ hasText: `vfork-parent ${pid}` });
  await expect(line).toContainText('waits now');
  await expect(line).toContainText('dstate');
  await expect(line).toContainText(readFileSync(`/proc/${pid}/wchan`, 'utf8'));
  // Who is frozen with a paused container waits for nothing: it stands behind.
  const all = page.getByRole('region', { name: 'Who waits' }).getByRole('listitem');
  await expect(all.last()).toContainText('frozen: its container is paused');
  await expect(all.first()).not.toContainText('frozen');
  await expect(page.locator('.totals')).toContainText(/\d of them frozen/);
  // Each second a bar of full height.
  await expect.poll(async () => (await line.locator('path.waits').getAttribute('d'))?.match(/v-9\.0/g)?.length ?? 0).toBeGreaterThan(2);
  await line.getByRole('link').click();
  await expect(new Inspector(page).root.getByRole('heading', { name: 'vfork-parent' })).toBeVisible();
});

test('filter, order and table stand in the address, and what fails a filter is said', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=disk&table=devices&f=kind:md');
  await expect(page.locator('.table-empty')).toContainText('Nothing passes the filter');
  await page.getByRole('radio', { name: 'Processes' }).click();
  await expect(page).not.toHaveURL(/table=/);
});

/** The line of a device in the stack. */
function stackLine(page: Page, name: string): Locator {
  return page.getByRole('region', { name: 'Stack of block devices' }).getByRole('row').filter({ has: page.getByRole('link', { name, exact: true }) });
}
