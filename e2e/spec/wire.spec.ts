// Looking into web's wire: packets with their headers, the stream of a request, the file; what is told when there is nothing.

import fs, { statSync } from 'node:fs';
import path from 'node:path';

import { Agent } from './support/agent';
import { Grid } from './support/grid';
import { Inspector } from './support/inspector';
import { OUT } from './support/stage';
import { type Lab } from './support/lab';
import { type Page, expect, test } from './support/test';

/** Inode of a container's network namespace. */
const netns = (lab: Lab, name: string) => statSync(`/proc/${lab.inspect(name).State.Pid}/ns/net`).ino;

/** An agent of its own that may show payload; gone after the test. */
async function withPayload(page: Page, lab: Lab, body: (address: string) => Promise<void>): Promise<void> {
  const args = ['serve', '--engine', lab.endpoint, '--bind', '127.0.0.1:0', '--allow-payload'];
  const log = path.join(OUT, 'log', 'payload.log');
  fs.writeFileSync(log, '');
  const agent = await Agent.start(args, log);
  try {
    await body(agent.address);
  } finally {
    // A page that stays would complain that its agent is gone.
    await page.goto('about:blank');
    await agent.stop();
  }
}

const status = (page: Page) => page.locator('.wire-status');

test('from a container to its packets, a stream and a file', { tag: '@lab' }, async ({ page, lab }) => {
  await withPayload(page, lab, async (address) => {
    await page.goto(`${address}?sel=c:${lab.inspect('web').Id}`);
    await new Inspector(page).root.getByRole('link', { name: 'Look into this wire' }).click();
    await expect(page).toHaveURL(/view=wire/);
    await expect(page).toHaveURL(new RegExp(`at=${netns(lab, 'web')}`));
    // It began by itself; payload is asked for anew.
    await expect(status(page)).toContainText('headers only');
    await page.getByRole('main').getByRole('button', { name: 'payload' }).click();
    await page.getByRole('button', { name: 'Stop' }).click();
    // Its health check fetches on loopback.
    await page.getByRole('searchbox', { name: 'BPF filter' }).fill('tcp port 80 and not host 127.0.0.1');
    await page.getByRole('button', { name: 'Start' }).click();
    await expect(status(page)).toContainText('with payload');
    const grid = new Grid(page, 'Packets');
    await grid.filled();
    // An answer alone may come first.
    const asked = async () => (await grid.rows()).find((row) => row.cells['Says']?.includes('GET / HTTP/1.1'));
    await expect.poll(asked).toBeDefined();
    const request = (await asked())!;
    expect(request.cells['Is']).toBe('HTTP');
    expect(request.cells['To']).toBe('web:80');
    expect(request.cells['From']).toMatch(/^client-\d:\d+$/);
    await page.getByRole('button', { name: 'Stop' }).click();
    await expect(status(page)).toContainText('Stopped');
    await grid.row(request.cells['#']!).click();
    const pane = page.getByRole('region', { name: 'Packet' });
    await expect(pane.getByRole('heading', { name: 'TCP' })).toBeVisible();
    await expect(pane.getByText('GET / HTTP/1.1', { exact: true })).toBeVisible();
    await page.screenshot({ path: path.join(OUT, 'shots', 'wire-packet.png') });
    await pane.getByRole('button', { name: 'Follow the stream' }).click();
    const stream = page.getByRole('region', { name: 'Stream' });
    await expect(stream.locator('.wire-note').first()).toHaveText(/^GET \/ HTTP\/1.1/);
    await expect(stream.locator('.wire-said[data-side=second]').first()).toContainText('200 OK');
    await page.screenshot({ path: path.join(OUT, 'shots', 'wire-stream.png') });
    await stream.getByRole('radio', { name: 'Hex' }).click();
    await expect(stream.locator('.wire-said').first()).toContainText('47 45 54 20');
    const limit = page.getByRole('spinbutton').first();
    await limit.fill('1');
    await limit.blur();
    const coming = page.waitForEvent('download');
    await page.getByRole('link', { name: 'Download' }).click();
    const file = await coming;
    expect(file.suggestedFilename()).toMatch(/^glasshull-web-.*\.pcapng$/);
    const bytes = fs.readFileSync((await file.path())!);
    expect(bytes.subarray(0, 4).toString('hex')).toBe('0a0d0d0a');
    expect(bytes.includes('GET / HTTP/1.1')).toBe(true);
  });
});

test('a filter that is none is told under its box, and payload says its flag', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto(`?view=wire&at=${netns(lab, 'web')}&filter=tcp+prot+80`);
  await expect(page.getByText('--allow-payload')).toBeVisible();
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(page.locator('.wire-filter .filter-problems')).toContainText('syntax error');
  await expect(page.getByText('The filter is wrong')).toBeVisible();
});

test('packets that run out end the look, and the address keeps what was asked', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto(`?view=wire&at=${netns(lab, 'web')}&packets=7`);
  await page.getByRole('button', { name: 'Start' }).click();
  await expect(status(page)).toContainText('as many packets as asked for');
  await expect(status(page)).toContainText('7 of 7 packets');
  await page.reload();
  await expect(page.getByRole('spinbutton').nth(1)).toHaveValue('7');
  await expect(page.getByText('Start shows what passes from now on.')).toBeVisible();
});

test('a recording holds no packets and says so', { tag: '@replay' }, async ({ page }) => {
  await page.goto('?view=wire');
  await expect(page.getByText('A recording holds no packets')).toBeVisible();
});
