// The map against the lab: who hangs on which bridge, what the selection lights, and that nobody moves when one comes.

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
