// The network view against `ip` inside the containers' namespaces: links, their other ends, neighbours, routes, and the
// inspector that follows a cable from one end to the other.

import { spawnSync } from 'node:child_process';
import { statSync } from 'node:fs';

import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { type IpLink, ip } from './support/ip';
import { type Page, expect, test } from './support/test';

/** Inode of a container's network namespace: others on this host may bear the same name. */
const netns = (pid: number) => statSync(`/proc/${pid}/ns/net`).ino;

const open = async (page: Page, label: string, query: string) => {
  await page.goto(`?view=network&${query}`);
  const grid = new Grid(page, label);
  await grid.filled();
  return grid;
};

test('a container\'s link leads over its veth pair to the bridge', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('web').State.Pid;
  const eth0 = ip<IpLink>(pid, 'link').find((link) => link.ifname === 'eth0')!;
  const far = ip<IpLink>(0, 'link').find((link) => link.ifindex === eth0.link_index)!;
  const grid = await open(page, 'Links', `f=netns:${netns(pid)}+link:eth0`);
  await expect.poll(() => grid.count()).toBe(1);
  // The engine, which knows the network's name, answers a moment after the kernel.
  await expect.poll(() => grid.column('Network')).toEqual(['lab']);
  const { cells } = (await grid.rows())[0]!;
  expect(cells).toMatchObject({
    In: 'web',
    Link: `eth0 #${eth0.ifindex}`,
    Kind: 'veth',
    State: '● up',
    'Other end': `⇄ ${far.ifname} in host`,
    Network: 'lab',
  });
  await grid.row(cells['Link']!).click();
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('heading', { name: 'eth0' })).toBeVisible();
  await expect(inspector.fact('MAC')).toContainText(eth0.address);
  await expect(inspector.fact('MTU')).toHaveText(`${eth0.mtu} bytes`);
  // To the other end, whose bridge is the one the kernel names.
  await inspector.root.getByRole('link', { name: `${far.ifname} in host` }).click();
  await expect(inspector.root.getByRole('heading', { name: far.ifname })).toBeVisible();
  await expect(inspector.fact('port of')).toContainText(far.master!);
  await expect(inspector.fact('container')).toHaveText('web');
});

test('a link, an address or a MAC is found by the search', { tag: '@lab' }, async ({ page, lab }) => {
  const eth0 = ip<IpLink>(lab.inspect('db').State.Pid, 'link').find((link) => link.ifname === 'eth0')!;
  await page.goto('');
  const search = page.getByRole('combobox', { name: 'Search' });
  await search.fill(eth0.address);
  await expect(page.getByRole('option').first()).toContainText('in db');
  await search.press('Enter');
  await expect(new Inspector(page).root.getByRole('heading', { name: 'eth0' })).toBeVisible();
});

test('counters of the inspector lie between two looks of the kernel', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('web').State.Pid;
  const counters = () => {
    const [eth0] = ip<{ stats64: { rx: { packets: number } } }>(pid, '-s', 'link', 'show', 'dev', 'eth0');
    return eth0!.stats64.rx.packets;
  };
  const grid = await open(page, 'Links', `f=netns:${netns(pid)}+link:eth0`);
  const before = counters();
  await grid.row((await grid.rows())[0]!.cells['Link']!).click();
  const cell = new Inspector(page).root.getByRole('row', { name: /^packets \d/ }).getByRole('cell').first();
  const shown = async () => Number((await cell.textContent())!.replace(/\D/g, ''));
  await expect.poll(shown).toBeGreaterThanOrEqual(before);
  expect(await shown()).toBeLessThanOrEqual(counters());
});

test('neighbours are those of the kernel, and who they are is told', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('client-1').State.Pid;
  const web = lab.inspect('web').State.Pid;
  const [eth0] = ip<{ addr_info: { local: string }[] }>(web, 'address', 'show', 'dev', 'eth0');
  const address = eth0!.addr_info[0]!.local;
  const grid = await open(page, 'Neighbours', `table=neighbours&f=netns:${netns(pid)}+address:${address}`);
  const [neighbour] = ip<{ lladdr: string }>(pid, 'neighbour', 'show', address);
  // The engine, which knows the names, answers a moment after the kernel.
  const cells = async () => (await grid.find('Address', address))?.cells ?? {};
  await expect.poll(cells).toMatchObject({ In: 'client-1', MAC: neighbour!.lladdr, Is: 'web', On: 'eth0' });
});

test('routes and namespaces are listed, and the tables are a choice in the URL', { tag: '@lab' }, async ({ page, lab }) => {
  const pid = lab.inspect('web').State.Pid;
  const [route] = ip<{ gateway: string }>(pid, 'route', 'show', 'default');
  let grid = await open(page, 'Links', '');
  await page.getByRole('radio', { name: 'Routes' }).click();
  await expect(page).toHaveURL(/table=routes/);
  await page.getByRole('searchbox', { name: 'filter' }).fill(`in:web netns:${netns(pid)} to:default`);
  grid = new Grid(page, 'Routes');
  await expect.poll(() => grid.column('Via')).toEqual([route!.gateway]);
  const inode = netns(lab.inspect('pod-a').State.Pid);
  grid = await open(page, 'Namespaces', `table=namespaces&f=netns:${inode}`);
  await expect.poll(() => grid.column('Containers')).toEqual(['pod-a, pod-b']);
});

test('every line in the shell about a link runs', { tag: '@lab' }, async ({ page, lab }) => {
  const grid = await open(page, 'Links', `f=netns:${netns(lab.inspect('web').State.Pid)}+link:eth0`);
  await grid.row((await grid.rows())[0]!.cells['Link']!).click();
  const offered = await new Inspector(page).commands();
  expect(offered.map((c) => c.comment)).toContain('the other end');
  for (const { command } of offered) {
    const { status, stderr, stdout } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    // tcpdump says there what it does and counted.
    const said = stderr.replace(/^(tcpdump: verbose output|listening on|\d+ packets?) .*\n/gm, '');
    expect.soft({ status, said }, command).toEqual({ status: 0, said: '' });
    if (/ link show dev eth0$/.test(command)) expect.soft(stdout).toContain('eth0');
  }
});
