// Flows in the browser: a known transfer between two containers of the lab, the busiest talk in the tables, the matrix and the
// inspector of its link; that packets are captured only while somebody looks; and what a recording without packets says.

import fs, { statSync } from 'node:fs';
import path from 'node:path';

import { Agent } from './support/agent';
import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { type IpLink, ip } from './support/ip';
import { type Lab, readProc } from './support/lab';
import { OUT } from './support/stage';
import { type Page, expect, test } from './support/test';

/** Bytes as the tables print them. */
function bytes(text: string): number {
  const parts = /^([\d.]+) ([kKMGT]?)i?B(\/s)?$/.exec(text.trim());
  if (parts === null) return NaN;
  return Number(parts[1]) * (parts[3] ? 1000 : 1024) ** ['', 'K', 'M', 'G', 'T'].indexOf(parts[2]!.toUpperCase());
}

/** Packets are seen: the capture is open, and the clients of the lab talk. */
const captured = (page: Page) => expect(page.locator('.capture')).toContainText(/^[1-9][\d ,.\u202f]* packets since/);

/** `eth0` of a container, as the inspector selects it. */
function eth0(lab: Lab, name: string): string {
  const pid = lab.inspect(name).State.Pid;
  const { ifindex } = ip<IpLink>(pid, 'link').find((link) => link.ifname === 'eth0')!;
  return `l:${statSync(`/proc/${pid}/ns/net`).ino}:${ifindex}`;
}

test('a known transfer is counted and named at both ends', { tag: '@lab' }, async ({ page, lab }) => {
  const sent = 3_000_000;
  await page.goto('?view=network&table=talkers&f=container:proxy+port:9000+protocol:tcp');
  await captured(page);
  expect(Number(lab.docker('exec', 'proxy', 'send', 'store', '9000', String(sent)))).toBe(sent);
  const grid = new Grid(page, 'Talkers');
  const row = async () => (await grid.rows()).find(({ cells }) => bytes(cells['Bytes']!) > sent * 0.95)?.cells;
  await expect.poll(row).toBeDefined();
  const cells = (await row())!;
  expect(cells['From']).toMatch(/^proxy\./);
  expect(cells['To']).toMatch(/^sink\./);
  expect(cells['Destination']).toMatch(/:9000$/);
  // With the heads of its packets, on each link by itself.
  expect(bytes(cells['Bytes']!)).toBeLessThan(sent * 1.06);
});

test('the busiest talk stands first, in its cell of the matrix and in the inspector of its link', { tag: '@lab' }, async ({ page, lab }) => {
  // A thousand datagrams a second, as far as the machine lets it, and their echoes.
  lab.docker('exec', '--detach', 'proxy', 'timeout', '80', 'chatter', 'store', '9000', '1', '1400');
  await page.goto('?view=network&table=talkers&f=container:sink');
  await captured(page);
  const talkers = new Grid(page, 'Talkers');
  const first = async () => (await talkers.rows())[0]?.cells ?? {};
  await expect.poll(async () => (await first())['From']).toMatch(/^proxy\./);
  await expect.poll(async () => (await first())['To']).toMatch(/^sink\./);
  await expect.poll(async () => bytes((await first())['Sent/s'] ?? '')).toBeGreaterThan(20_000);

  await page.goto('?view=network&table=matrix');
  const cell = page.getByRole('table', { name: 'Who sends to whom' }).getByRole('link', { name: /^proxy to sink: / });
  await expect.poll(async () => bytes((await cell.textContent())!)).toBeGreaterThan(20_000);
  await cell.click();
  await expect(page).toHaveURL(/table=talkers/);
  await talkers.filled();
  for (const from of await talkers.column('From')) expect(from).toMatch(/^(proxy|sink)\b/);

  await page.goto(`?view=network&sel=${eth0(lab, 'sink')}&tab=flows`);
  const { root } = new Inspector(page);
  const flow = root.locator('.flows > li').first();
  await expect(flow).toContainText(/proxy\..* → .*sink\./);
  // Who sends is known by its socket; the other takes datagrams of all comers.
  await expect(flow).toContainText(/chatter \d+ → /);
  const sent = () => flow.locator('.flow-passed').first().textContent().then((text) => text!.replace(/^sent /, '').split(' · ')[0]!);
  await expect.poll(async () => bytes(await sent())).toBeGreaterThan(20_000);
  // The pair is captured at the host's end alone; both ends see the same.
  await expect(root).toContainText(/Its other end sees the same packets: veth\w+ in host/);
  await expect(root.getByRole('link', { name: 'Look into this wire' })).toBeVisible();
  await page.screenshot({ path: path.join(OUT, 'shots', 'flow-link.png') });
  await root.getByRole('link', { name: /in the view Network$/i }).click();
  await expect(page).toHaveURL(/table=talkers/);
  await talkers.filled();

  await page.goto(`?view=containers&sel=c:${lab.inspect('sink').Id}&tab=flows`);
  await expect(flow).toContainText(':9000');
  await page.screenshot({ path: path.join(OUT, 'shots', 'flow-container.png') });
  await flow.getByRole('link', { name: ':9000' }).click();
  await expect(page).toHaveURL(/view=wire/);
  await expect(page.getByRole('searchbox', { name: 'BPF filter' })).toHaveValue(/^udp and host .* port 9000$/);
});

test('packets are captured only while the tab is open', { tag: '@lab' }, async ({ page, lab }) => {
  const log = path.join(OUT, 'log', 'flow.log');
  fs.writeFileSync(log, '');
  const agent = await Agent.start(['serve', '--engine', lab.endpoint, '--bind', '127.0.0.1:0'], log);
  // A thread may end between its name and its file.
  const capturing = () =>
    fs.readdirSync(`/proc/${agent.pid}/task`).some((task) => readProc(agent.pid, `task/${task}/comm`).startsWith('flow'));
  try {
    await page.goto(`${agent.address}?view=network&sel=${eth0(lab, 'web')}`);
    const inspector = new Inspector(page);
    await expect(inspector.fact('MTU')).toBeVisible();
    expect(capturing()).toBe(false);
    await inspector.tab('Flows');
    await captured(page);
    expect(capturing()).toBe(true);
    // The clients of the lab are seen without being asked for.
    await expect(inspector.root.locator('.flows > li').first()).toContainText('client-');
    await inspector.tab('Overview');
    await expect.poll(capturing).toBe(false);
  } finally {
    await page.goto('about:blank');
    await agent.stop();
  }
});

test('flows of a recording are shown, or that it holds none', { tag: '@replay' }, async ({ page }) => {
  await page.goto('?view=network&table=talkers');
  const rows = page.getByRole('grid', { name: 'Talkers', exact: true }).locator('[role=row][data-slot]:not([hidden])');
  const none = page.getByText('No packet has passed since we look.');
  await expect(rows.first().or(none)).toBeVisible();
  await page.getByRole('radio', { name: 'Matrix', exact: true }).click();
  await expect(page.getByRole('table', { name: 'Who sends to whom' }).or(none)).toBeVisible();
});
