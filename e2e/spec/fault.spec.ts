// Clients that misbehave: whatever they do, another one's page stays live and the agent stays up.

import { randomBytes } from 'node:crypto';
import { readdirSync } from 'node:fs';

import { OPCODE, RawSocket } from './support/socket';
import { type Page, expect, note, test } from './support/test';

/** Waits until the page has shown this many more readings, and says it is live. */
async function staysLive(page: Page, readings: number): Promise<void> {
  const time = page.getByRole('contentinfo', { name: 'Timeline' }).locator('.time');
  for (let i = 0; i < readings; i += 1) {
    const before = await time.textContent();
    await expect(time).not.toHaveText(before ?? '');
  }
  await expect(page.getByRole('button', { name: /^(live|replay) / })).toBeVisible();
  await expect(page.getByText(/Connection lost|No reading for/)).toHaveCount(0);
}

test('a client that sends garbage is turned away, others do not notice', async ({ page, baseURL }) => {
  await page.goto('?view=processes');
  await staysLive(page, 1);
  const garbage: [string, (socket: RawSocket) => void][] = [
    ['random bytes as a message', (s) => s.send(OPCODE.binary, randomBytes(500))],
    ['another version', (s) => s.send(OPCODE.binary, Uint8Array.from([250, 0, 0]))],
    ['a message cut short', (s) => s.send(OPCODE.binary, Uint8Array.from([1, 0, 200]))],
    ['an unknown message', (s) => s.send(OPCODE.binary, Uint8Array.from([1, 99, 1]))],
    ['an empty message', (s) => s.send(OPCODE.binary, new Uint8Array())],
    ['text', (s) => s.send(OPCODE.text, Buffer.from('{"subscribe":["process"]}'))],
    ['invalid UTF-8 as text', (s) => s.send(OPCODE.text, Uint8Array.from([0xff, 0xfe, 0xc3]))],
    ['more than a client may send', (s) => s.send(OPCODE.binary, new Uint8Array(200_000).fill(1))],
    ['a reserved kind of frame', (s) => s.send(OPCODE.reserved, randomBytes(10))],
    ['bytes that are no frame', (s) => s.write(randomBytes(4096))],
    ['a frame that announces 2^62 bytes', (s) => s.write(Buffer.from([0x82, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]))],
  ];
  for (const [what, act] of garbage) {
    await test.step(what, async () => {
      const socket = await RawSocket.open(baseURL!);
      act(socket);
      await socket.closed;
      socket.destroy();
    });
  }
  await staysLive(page, 2);
});

test('clients that never read cost the others nothing', async ({ page, baseURL }) => {
  await page.goto('?view=processes');
  await staysLive(page, 1);
  const deaf = await Promise.all(Array.from({ length: 20 }, () => RawSocket.open(baseURL!)));
  try {
    for (const socket of deaf) {
      socket.subscribe(Array.from({ length: 16 }, (_, i) => i));
      socket.stopReading();
    }
    await staysLive(page, 5);
    const another = await RawSocket.open(baseURL!);
    another.subscribe([0]);
    await expect.poll(() => another.received).toBeGreaterThan(0);
    another.destroy();
  } finally {
    deaf.forEach((socket) => socket.destroy());
  }
});

test('connections come and go by the hundred', { tag: '@lab' }, async ({ page, baseURL }) => {
  await page.goto('?view=processes');
  // What findings are made from is read in the first seconds, and descriptors of cgroups are kept then.
  await staysLive(page, 10);
  const pid = await agentPid(page);
  const descriptors = () => readdirSync(`/proc/${pid}/fd`).length;
  const before = descriptors();
  for (let round = 0; round < 10; round += 1) {
    const sockets = await Promise.all(Array.from({ length: 30 }, () => RawSocket.open(baseURL!)));
    sockets.forEach((socket) => socket.subscribe([0, 1, 2]));
    sockets.forEach((socket) => socket.destroy());
  }
  await staysLive(page, 2);
  // Descriptors of processes come and go with the processes; those of 300 connections must be gone.
  await expect.poll(descriptors).toBeLessThan(before + 100);
  note('descriptors', `${before} before, ${descriptors()} after 300 connections`);
});

/** Pid of the agent, as the page's own-cost link names it. */
async function agentPid(page: Page): Promise<number> {
  const link = page.getByRole('link', { name: /^own/ });
  await expect(link).toHaveAttribute('href', /pid:\d+/);
  return Number(/pid:(\d+)/.exec((await link.getAttribute('href'))!)![1]);
}
