// Sockets in the network view and in the inspector of a container, against `ss` inside the containers' namespaces.

import { execFileSync, spawn } from 'node:child_process';
import { statSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';

import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { cut, outside, pale } from './support/layout';
import { OUT } from './support/stage';
import { type Page, expect, test } from './support/test';

/** Inode of a container's network namespace: others on this host may bear the same name. */
const netns = (pid: number) => statSync(`/proc/${pid}/ns/net`).ino;

/** Lines of `ss ARGS` in the network namespace of a process. */
const ss = (pid: number, ...args: string[]) =>
  execFileSync('nsenter', [`--net=/proc/${pid}/ns/net`, 'ss', ...args], { encoding: 'utf8' }).trim().split('\n');

const open = async (page: Page, table: 'Sockets' | 'Closed connections', filter: string) => {
  const id = table === 'Sockets' ? 'sockets' : 'closed';
  await page.goto(`?view=network&table=${id}&f=${encodeURIComponent(filter)}`);
  const grid = new Grid(page, table);
  await grid.filled();
  return grid;
};

test('who listens in a container is who ss says, and leads to the process', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('web').State.Pid;
  const grid = await open(page, 'Sockets', `netns:${netns(pid)} state:LISTEN protocol:tcp`);
  const told = ss(pid, '-Htlnp').map((line) => line.trim().split(/\s+/));
  await expect.poll(() => grid.count()).toBe(told.length);
  const ends = told.map((fields) => fields[3]!.replace(/^\*:/, '[::]:')).sort();
  expect((await grid.column('This end')).sort()).toEqual(ends);
  // The engine, which knows the container's name, answers a moment after the kernel.
  await expect.poll(async () => (await grid.find('This end', '[::]:80'))?.cells['Container']).toBe('web');
  const { cells } = (await grid.find('This end', '[::]:80'))!;
  const httpd = lab.pidOf('web', 'httpd');
  expect(cells).toMatchObject({ In: 'web', Protocol: 'tcp', State: 'LISTEN', 'Other end': '', Process: `httpd ${httpd}` });
  // The server of names in there is the engine's.
  const resolver = (await grid.rows()).find((row) => row.cells['This end']!.startsWith('127.0.0.11:'))!;
  expect(resolver.cells['Process']).toMatch(/^dockerd \d+$/);
  expect(resolver.cells['Container']).toBe('');
  await grid.row('[::]:80').click();
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'httpd' })).toBeVisible();
  await expect(inspector.fact('pid')).toHaveText(new RegExp(`^${httpd}\\b`));
});

test('a connection is found by the port of either end, with its bytes and its way', { tag: '@lab' }, async ({ page, another }) => {
  // Ends are told from the moment on at which somebody looks; what containers fetch shows that it has come.
  const closed = await open(await another(), 'Closed connections', '');
  const server = net.createServer((socket) => socket.on('data', () => socket.write('y'.repeat(3000))));
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as net.AddressInfo;
  const client = net.connect(port, '127.0.0.1');
  try {
    await new Promise((resolve) => client.once('connect', resolve));
    client.write('x'.repeat(2000));
    await new Promise((resolve) => client.once('data', resolve));
    await page.goto(`?view=network&table=sockets&f=port:${port}&cols=in,protocol,state,local,remote,process,rtt,received,sent`);
    const grid = new Grid(page, 'Sockets');
    await expect.poll(() => grid.count()).toBe(3);
    // Who listens first, as the default order has it.
    expect((await grid.column('State'))[0]).toBe('LISTEN');
    const far = `127.0.0.1:${port}`;
    const mine = (await grid.find('Other end', far))!;
    expect(mine.cells).toMatchObject({ State: 'ESTAB', 'This end': `127.0.0.1:${client.localPort}`, Sent: '2.0 KiB', Received: '2.9 KiB' });
    expect(mine.cells['RTT']).toMatch(/^\d+(\.\d)? (µs|ms)$/);
    expect(mine.cells['Process']).toContain(String(process.pid));
    const [, shown] = ss(process.pid, '-tinH', 'sport', '=', `:${client.localPort}`);
    expect(shown).toContain('bytes_sent:2000');
    // Closed, it moves to the other table, with the very bytes. Of a busy table only some rows are drawn.
    await closed.root.page().getByRole('searchbox', { name: 'filter' }).fill(`port:${port}`);
    client.end();
    await expect.poll(async () => (await closed.find('Other end', far))?.cells['Sent']).toBe('2.0 KiB');
  } finally {
    client.destroy();
    server.close();
  }
});

test('connections too short for a reading are told when they have ended', { tag: '@lab' }, async ({ page, lab }) => {
  const client = lab.inspect('client-1').State.Pid;
  const grid = await open(page, 'Closed connections', `netns:${netns(client)} port:80`);
  // One a second; none of them lives as long as a reading takes to come round.
  const before = await grid.count();
  await expect.poll(() => grid.count(), { timeout: 15_000 }).toBeGreaterThan(before + 1);
  await expect.poll(() => grid.column('Container').then((all) => new Set(all))).toEqual(new Set(['client-1']));
  const { cells } = (await grid.rows())[0]!;
  expect(cells['Other end']).toMatch(/:80$/);
  expect(cells['Received']).toMatch(/^\d+ B$/);
  await grid.row(cells['This end']!).click();
  await expect(new Inspector(page).root.getByRole('heading', { name: 'client-1' })).toBeVisible();
});

test('the inspector of a container shows its sockets', { tag: '@lab' }, async ({ page, lab }) => {
  const web = lab.inspect('web');
  await page.goto(`?view=containers&sel=c:${web.Id}&tab=sockets`);
  const inspector = new Inspector(page);
  const part = (title: string) => inspector.root.locator('.part').filter({ has: page.getByRole('heading', { name: title }) });
  const httpd = `httpd ${lab.pidOf('web', 'httpd')}`;
  await expect(part('Listening').getByRole('row', { name: '[::]:80' })).toContainText(httpd);
  // Fetched by two clients once a second.
  await expect(part('Closed lately').getByRole('row').nth(2)).toContainText(':80');
  const line = (await inspector.commands()).find((c) => c.comment === 'who listens and who is connected')!;
  expect(execFileSync('bash', ['-c', line.command], { encoding: 'utf8' })).toContain('"httpd"');
});

test('the command that shows ends as they happen shows them', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id } = lab.inspect('client-1');
  await page.goto(`?view=containers&sel=c:${Id}`);
  const line = (await new Inspector(page).commands()).find((c) => c.comment === 'TCP connections as they end')!;
  // On a terminal, as a person has it: into a pipe `ss` writes whole blocks.
  const child = spawn('script', ['-qec', line.command, '/dev/null'], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    let said = '';
    child.stdout.on('data', (data: Buffer) => (said += data.toString()));
    await expect.poll(() => said, { timeout: 15_000 }).toMatch(/:80\b/);
  } finally {
    child.kill();
  }
});

for (const { width, height } of [{ width: 1440, height: 900 }, { width: 390, height: 844 }]) {
  test(`both tables fit ${width} wide`, { tag: '@lab' }, async ({ page }, info) => {
    await page.setViewportSize({ width, height });
    for (const table of ['Sockets', 'Closed connections'] as const) {
      await open(page, table, '');
      await page.screenshot({ path: path.join(OUT, 'shots', `${info.project.name}-${table.toLowerCase().replace(' ', '-')}-${width}.png`) });
      expect.soft(await outside(page), `what of ${table} is outside the page`).toEqual([]);
      expect.soft(await cut(page), `what of ${table} is cut`).toEqual([]);
      expect.soft(await pale(page), `what of ${table} is too pale`).toEqual([]);
    }
  });
}
