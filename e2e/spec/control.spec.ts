// Cutting a container off from the inspector: asked first, done and undone where the agent allows it, and a line that says
// how to allow it where it does not.

import path from 'node:path';

import { Agent } from './support/agent';
import { Inspector } from './support/inspector';
import { type IpLink, ip } from './support/ip';
import { OUT, stage } from './support/stage';
import { expect, test } from './support/test';

/** Number of the host's end of a container's pair. */
const outside = (pid: number) => ip<IpLink>(pid, 'link').find((link) => link.ifname === 'eth0')!.link_index!;
/** Whether `ip` says that a link of the host is up. */
const up = (ifindex: number) => {
  const link = ip<IpLink & { flags: string[] }>(0, 'link').find((found) => found.ifindex === ifindex)!;
  return link.flags.includes('UP');
};

test('a container is cut off and connected again, each after a question', { tag: '@engine' }, async ({ page, lab }) => {
  const agent = await Agent.start(
    ['serve', '--allow-control', '--engine', stage().lab!.endpoint, '--bind', '127.0.0.1:0'],
    path.join(OUT, 'log', 'control.log'),
  );
  try {
    const ifindex = outside(lab.inspect('client-1').State.Pid);
    await page.goto(`${agent.address}?view=network&f=in:client-1+link:eth0`);
    await page.getByRole('row', { name: /client-1.*eth0/ }).click();
    const { root } = new Inspector(page);
    await expect(root.getByRole('heading', { name: 'eth0' })).toBeVisible();
    const ask = async (name: string) => {
      await root.getByRole('button', { name }).first().click();
      return page.getByRole('dialog');
    };
    let dialog = await ask('Cut off');
    await expect(dialog).toContainText('Cut client-1 off?');
    await expect(dialog).toContainText(/ip link set dev veth\w+ down/);
    await dialog.getByRole('button', { name: 'Leave it' }).click();
    await expect(dialog).toBeHidden();
    expect(up(ifindex)).toBe(true);
    dialog = await ask('Cut off');
    await dialog.getByRole('button', { name: 'Cut off' }).click();
    await expect(root.getByText(/of client-1 taken down/)).toBeVisible();
    expect(up(ifindex)).toBe(false);
    await expect(page.getByRole('contentinfo', { name: 'Timeline' })).toContainText('⊗');
    dialog = await ask('Connect again');
    await dialog.getByRole('button', { name: 'Connect again' }).click();
    await expect.poll(() => up(ifindex)).toBe(true);
  } finally {
    // Else the page complains that the agent is gone.
    await page.goto('about:blank');
    await agent.stop();
  }
});

test('without leave there is no button, but how to get it', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=network&f=in:web+link:eth0');
  await page.getByRole('row', { name: /web.*eth0/ }).first().click();
  const { root } = new Inspector(page);
  await expect(root.getByText(/start it with --allow-control/)).toBeVisible();
  await expect(root.getByRole('button', { name: 'Cut off' })).toHaveCount(0);
});
