// The map against the lab: who hangs on which bridge, what the selection lights, and that nobody moves when one comes.

import { execFileSync, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { type IpLink, ip } from './support/ip';
import { type Locator, type Page, expect, test } from './support/test';

const open = async (page: Page, query = ''): Promise<Locator> => {
  await page.goto(`?view=map${query}`);
  const picture = page.getByRole('group', { name: "Map of the host's network" });
  await expect(picture.locator('.map-frame').first()).toBeVisible();
  return picture;
};

/** The frame of a container. */
const frame = (picture: Locator, name: string) =>
  picture.locator('.map-frame').filter({ has: picture.page().locator('.map-name', { hasText: new RegExp(`^${name}( \\+\\d)?$`) }) });

/** Where each frame stands, by its name. */
const places = async (picture: Locator): Promise<Record<string, string>> =>
  Object.fromEntries(
    await picture.locator('.map-frame').evaluateAll((frames) =>
      frames.map((f) => [f.querySelector('.map-name')!.textContent!, f.getAttribute('transform')!]),
    ),
  );

test('each container hangs by its veth on its bridge', { tag: '@lab' }, async ({ page, lab }) => {
  const picture = await open(page);
  const host = ip<IpLink>(0, 'link');
  for (const name of ['web', 'db', 'worker', 'client-1']) {
    const eth0 = ip<IpLink>(lab.inspect(name).State.Pid, 'link').find((link) => link.ifname === 'eth0')!;
    const far = host.find((link) => link.ifindex === eth0.link_index)!;
    await expect(frame(picture, name)).toHaveCount(1);
    await expect(picture.locator('.map-label', { hasText: far.ifname })).toHaveCount(1);
  }
  await expect(picture.locator('.map-bridge .map-name', { hasText: 'lab' })).toHaveCount(1);
  await expect(picture.locator('.map-chip', { hasText: 'hostnet' })).toHaveCount(1);
  await expect(frame(picture, 'pod-a')).toContainText('pod-a, pod-b');
  await expect(picture.getByText('no link but lo')).toBeVisible();
  // Traffic of the clients is seen on the cables.
  await expect.poll(async () => await picture.locator('.map-strand.rx:not(.is-idle)').count()).toBeGreaterThan(1);
});

test('selecting a container lights its way and dims the others', { tag: '@lab' }, async ({ page, lab }) => {
  const picture = await open(page);
  await frame(picture, 'web').click();
  await expect(page).toHaveURL(new RegExp(`sel=c:${lab.inspect('web').Id}`));
  await expect(frame(picture, 'web')).toHaveClass(/is-lit/);
  await expect(frame(picture, 'db')).toHaveClass(/is-dim/);
  await expect(picture.locator('.map-bridge.is-lit .map-name')).toHaveText('lab');
  await expect(picture.locator('.map-cable.is-lit .map-label')).toHaveCount(1);
  // And from the cable to the link.
  await picture.locator('.map-cable.is-lit .map-label').click();
  await expect(new Inspector(page).root.getByRole('heading', { name: 'eth0' })).toBeVisible();
  await expect(frame(picture, 'web')).toHaveClass(/is-lit/);
});

test('who comes takes a row of its own, and nobody moves', { tag: '@lab' }, async ({ page, lab }) => {
  const picture = await open(page);
  // A pod's owner is known once the engine has answered; until then it may have its other container's name.
  await expect(frame(picture, 'pod-a')).toHaveCount(1);
  const before = await places(picture);
  const image = lab.inspect('web').Config.Image;
  lab.docker('run', '--detach', '--name', 'aaa-newcomer', '--network', 'lab', '--dns', '127.0.0.1', image, 'sleep', '120');
  try {
    await expect(frame(picture, 'aaa-newcomer')).toHaveCount(1);
    const after = await places(picture);
    for (const [name, place] of Object.entries(before)) expect.soft(after[name], name).toBe(place);
  } finally {
    lab.docker('rm', '--force', 'aaa-newcomer');
  }
  await expect(frame(picture, 'aaa-newcomer')).toHaveCount(0);
  expect(await places(picture)).toEqual(before);
});

test('namespaces are bundled by network, and a bundle opens and closes by the address', { tag: '@lab' }, async ({ page }) => {
  const picture = await open(page, '&group=network');
  const bundle = picture.locator('.map-bundle').first();
  await expect(bundle.locator('.map-name')).toHaveText(/^▸ \d+ on this bridge$/);
  await expect(frame(picture, 'web')).toHaveCount(0);
  await bundle.click();
  await expect(page).toHaveURL(/open=b\d+/);
  await expect(bundle.locator('.map-name')).toHaveText(/^▾ /);
  await expect(frame(picture, 'web')).toHaveCount(1);
  // Who is opened stands below its bundle, each in a row of its own.
  const tops = await picture.locator('.map-frame').evaluateAll((all) => all.map((f) => f.getBoundingClientRect().top));
  expect(new Set(tops).size).toBe(tops.length);
  await page.goBack();
  await expect(frame(picture, 'web')).toHaveCount(0);
});

test('the map is saved as a file that opens without the app', { tag: '@lab' }, async ({ page, another }) => {
  const picture = await open(page);
  await expect(frame(picture, 'web')).toHaveCount(1);
  const names = await picture.locator('.map-name').allTextContents();
  const download = page.waitForEvent('download');
  await page.getByRole('button', { name: 'Save SVG' }).click();
  const file = (await (await download).path())!;
  const text = readFileSync(file, 'utf8');
  expect(text).not.toMatch(/class=|style=|var\(|href=/);
  const alone = await another();
  await alone.setContent(`<body>${text}</body>`);
  const shown = await alone.locator('svg text').allTextContents();
  for (const name of names) expect.soft(shown).toContain(name);
  const box = alone.locator('svg rect').nth(1);
  expect(await box.evaluate((rect) => getComputedStyle(rect).fill)).toMatch(/^rgb/);
  expect(await alone.locator('svg path[stroke-width]').count()).toBeGreaterThan(3);
});

test('the same as a table: each path with both ends, bridge, network and address', { tag: '@lab' }, async ({ page, lab }) => {
  await open(page);
  await page.getByRole('link', { name: 'As a table' }).click();
  const grid = new Grid(page, 'Paths');
  await grid.filled();
  const { pid, eth0, far } = pair(lab.inspect('web').State.Pid);
  await page.goto(`?view=network&table=paths&f=mac:${eth0.address}`);
  await expect.poll(() => grid.column('Network')).toEqual(['lab']);
  const { cells } = (await grid.rows())[0]!;
  const address = ip<IpAddress>(pid, 'address').find((link) => link.ifname === 'eth0')!.addr_info.find((a) => a.family === 'inet')!;
  expect(cells).toMatchObject({
    In: 'web',
    Link: `eth0 #${eth0.ifindex}`,
    "Host's end": `⇄ ${far.ifname} #${far.ifindex}`,
    Bridge: far.master!,
    Address: `${address.local}/${address.prefixlen}`,
  });
});

/** Both ends of a container's pair, as `ip` tells them. */
function pair(pid: number): { pid: number; eth0: IpLink; far: IpLink } {
  const eth0 = ip<IpLink>(pid, 'link').find((link) => link.ifname === 'eth0')!;
  return { pid, eth0, far: ip<IpLink>(0, 'link').find((link) => link.ifindex === eth0.link_index)! };
}

interface IpAddress {
  ifname: string;
  addr_info: { family: string; local: string; prefixlen: number }[];
}

test('who talks to whom is drawn while it is wanted, and a selection lights the peers', { tag: '@lab' }, async ({ page, lab }) => {
  const picture = await open(page, `&talk=1&sel=c:${lab.inspect('client-1').Id}`);
  const bow = picture.locator('.map-bow', { has: page.locator('title', { hasText: /client-1 → web|web → client-1/ }) });
  await expect(bow).toHaveCount(1);
  await expect(bow).toHaveClass(/is-lit/);
  await expect(frame(picture, 'client-1')).toHaveClass(/is-lit/);
  await expect(frame(picture, 'web')).toHaveClass(/is-peer/);
  await page.getByRole('button', { name: 'Talk' }).click();
  await expect(page).not.toHaveURL(/talk=/);
  await expect(picture.locator('.map-bow')).toHaveCount(0);
});

test('whom containers talk with beyond this host is listed below the wires and leads to the flows', { tag: '@lab' }, async ({ page, lab }) => {
  const sink = lab.inspect('sink').State.Pid;
  const edge = lab.edgeAddress();
  // Nobody has it: with a neighbour made up, packets go as far as the lab's bridge.
  const nobody = edge.replace(/\.\d+$/, '.240');
  const neighbour = (...words: string[]) =>
    execFileSync('nsenter', [`--net=/proc/${sink}/ns/net`, 'ip', 'neighbour', ...words, 'dev', 'eth0']);
  neighbour('replace', nobody, 'lladdr', '02:00:00:00:00:f0', 'nud', 'permanent');
  const pings = [edge, nobody].map((address) =>
    spawn('nsenter', [`--net=/proc/${sink}/ns/net`, 'busybox', 'ping', '-c', '60', address], { stdio: 'ignore' }),
  );
  try {
    const picture = await open(page, '&talk=1');
    const outside = picture.getByRole('link', { name: `flows with ${nobody}` });
    await expect(outside).toContainText(nobody);
    await expect(picture.getByText('beyond this host')).toBeVisible();
    // Who is on this host has a box, container or not, and an arc.
    const bow = picture.locator('.map-bow', { has: page.locator('title', { hasText: /-edge → sink|sink → .*-edge/ }) });
    await expect(bow).toHaveCount(1);
    await expect(picture.getByRole('link', { name: `flows with ${edge}` })).toHaveCount(0);
    await frame(picture, 'sink').click();
    await expect(outside.locator('.map-outside')).toHaveClass(/is-lit/);
    await outside.click();
    await expect(page).toHaveURL(/table=talkers/);
    const talkers = new Grid(page, 'Talkers');
    await talkers.filled();
    for (const row of await talkers.rows()) expect(`${row.cells['Source']} ${row.cells['Destination']}`).toContain(nobody);
  } finally {
    for (const ping of pings) ping.kill();
    neighbour('del', nobody);
  }
});

test('what is found of a thing is a mark on it that leads there', { tag: '@lab' }, async ({ page }) => {
  const picture = await open(page);
  // As above: until the engine has answered, a pod may have another name.
  await expect(frame(picture, 'pod-a')).toHaveCount(1);
  const before = await places(picture);
  const mark = picture.getByRole('link', { name: /^found: .*shares the host's namespaces/ }).filter({ hasText: '▲' });
  await expect(mark.first()).toContainText(/▲ \d/);
  // Who is throttled has a network of its own, in a box.
  const throttled = picture.getByRole('link', { name: /^found: .*(cpu|quota|throttled)/i });
  await expect(throttled.first()).toContainText(/[▲●] \d/);
  expect(await places(picture)).toEqual(before);
  await mark.first().click();
  await expect(page).toHaveURL(/view=findings/);
  await expect(page.locator('.finding-rule[data-rule=host_like]').first()).toContainText('hostlike');
});
