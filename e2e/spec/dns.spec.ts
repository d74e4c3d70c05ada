// DNS: what names lead to where they are asked, against the engine's inspect; conflicts; exports as scripts fetch them.

import { execFileSync, spawnSync } from 'node:child_process';
import path, { dirname } from 'node:path';

import { Grid } from './support/grid';
import { Inspector, commands } from './support/inspector';
import type { Lab } from './support/lab';
import { OUT } from './support/stage';
import { type Locator, type Page, expect, test } from './support/test';

/** Its address on the first of its networks. */
function address(lab: Lab, name: string): string {
  return lab.docker('inspect', '--format', '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}', name).trim().split(' ')[0]!;
}

/** The cell of a name and a container. */
function cell(page: Page, name: string, container: string): Promise<string | null | undefined> {
  const table = page.getByRole('region', { name: 'Names by container' });
  return table.evaluate(
    (region, [name, container]) => {
      const heads = [...region.querySelectorAll('thead th')].map((th) => th.textContent);
      const row = [...region.querySelectorAll('tbody tr')].find((tr) => tr.querySelector('th')?.textContent === name);
      return row?.children[heads.indexOf(container!)]?.textContent;
    },
    [name, container],
  );
}

/** The names of a container in the inspector. */
async function opened(page: Page, lab: Lab, name: string): Promise<Inspector> {
  await page.goto(`?view=dns&sel=c:${lab.inspect(name).Id}&tab=names`);
  const inspector = new Inspector(page);
  await expect(listed(inspector, 'web')).toContainText(address(lab, 'web'));
  return inspector;
}

function listed(inspector: Inspector, name: string): Locator {
  return inspector.root.locator('.dns-names').first().getByRole('row').filter({ has: inspector.root.page().getByRole('rowheader', { name, exact: true }) });
}

test('each container gets what its engine says, and the inspector opens from its column', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=dns&f=container:client-1');
  await expect.poll(() => cell(page, 'web', 'client-1')).toBe(address(lab, 'web'));
  await expect.poll(() => cell(page, 'client-1', 'client-1')).toBe(address(lab, 'client-1'));
  await page.getByRole('region', { name: 'Names by container' }).getByRole('link', { name: 'client-1' }).click();
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('tab', { name: 'Names' })).toHaveAttribute('aria-selected', 'true');
  await expect(inspector.fact('asks')).toContainText('127.0.0.11');
  await page.goto('?view=dns&table=answers&f=container:client-1 name:web');
  const grid = new Grid(page, 'All answers');
  await expect.poll(async () => (await grid.rows()).some(({ cells }) => cells['Name'] === 'web' && cells['Record'] === 'A' && cells['Answer'] === address(lab, 'web'))).toBe(true);
  await page.getByRole('searchbox', { name: 'filter' }).fill('container:client-1');
  await page.getByRole('radio', { name: 'Resolvers' }).click();
  await expect.poll(async () => (await new Grid(page, 'Resolvers').find('Container', 'client-1'))?.cells['Asks']).toBe('127.0.0.11');
});

test('one name with two answers stands on top, as long as it is so', { tag: '@lab' }, async ({ page, lab }) => {
  const image = lab.docker('inspect', '--format', '{{.Config.Image}}', 'web').trim();
  await page.goto('?view=dns&table=answers&f=name%3Dweb+record:A');
  const grid = new Grid(page, 'All answers');
  const odd = async () => (await grid.rows()).filter(({ cells }) => cells['Odd'] !== '').map(({ cells }) => cells['Odd']!);
  await expect.poll(async () => (await grid.rows()).length).toBeGreaterThan(0);
  expect(await odd()).toEqual([]);
  lab.docker('run', '-d', '--name', 'other-web', '--network', 'back', '--network-alias', 'web', '--dns', '127.0.0.1', '--stop-timeout', '0', image, 'sleep', '300');
  try {
    const [here, there] = [address(lab, 'web'), address(lab, 'other-web')];
    await expect.poll(async () => (await odd()).join('\n')).toContain(`conflict: `);
    const marked = await odd();
    expect(marked.some((text) => text.includes(`gets ${there}`) || text.includes(`gets ${here}`))).toBe(true);
    await page.getByRole('radio', { name: 'Names', exact: true }).click();
    await expect(page.getByRole('region', { name: 'Names by container' }).locator('tbody tr').first().getByRole('rowheader')).toHaveText('web');
  } finally {
    lab.docker('rm', '--force', 'other-web');
  }
  await page.getByRole('radio', { name: 'All answers' }).click();
  await expect.poll(odd).toEqual([]);
});

test('names are taken along: on the page, at an address for scripts, and by the command', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = await opened(page, lab, 'client-1');
  const text = inspector.root.getByLabel('Names in this form');
  const line = `${address(lab, 'web')}\tweb`;
  await expect(text).toContainText(line);
  const origin = new URL(page.url()).origin;
  const href = await inspector.root.getByRole('link', { name: 'Download' }).getAttribute('href');
  const fetched = await (await fetch(`${origin}${href}`)).text();
  expect(fetched.split('\n').filter((line) => !line.startsWith('#'))).toEqual((await text.textContent())!.split('\n').filter((line) => !line.startsWith('#')));
  const told = execFileSync(process.env['GLASSHULL_BIN']!, ['dns', 'client-1', '--format', 'hosts', '--engine', lab.endpoint], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  expect(told).toContain(line);
  for (const [form, holds] of [
    ['HOSTALIASES', /^web \d+-\d+-\d+-\d+\.sslip\.io$/m],
    ['curl', /^--resolve web:80:/m],
    ['connect-to', /^--connect-to web::/m],
    ['.env', /^WEB=/m],
    ['JSON', /"web":\["/],
  ] as const) {
    await inspector.root.getByRole('radio', { name: form, exact: true }).click();
    await expect(text).toHaveText(holds);
    const path = (await inspector.root.getByRole('link', { name: 'Download' }).getAttribute('href'))!;
    expect(await (await fetch(`${origin}${path}`)).text()).toMatch(holds);
  }
  expect((await fetch(`${origin}/dns/nobody-here`)).status).toBe(404);
  expect((await fetch(`${origin}/dns/client-1?format=zone`)).status).toBe(400);
  expect((await fetch(`${origin}/dns/client-1`, { headers: { 'sec-fetch-site': 'cross-site' } })).status).toBe(403);
});

test('a person asks for names, and all again', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = await opened(page, lab, 'client-1');
  const box = inspector.root.getByLabel('Names to ask for');
  await box.fill(`web ${address(lab, 'web')}`);
  await inspector.root.getByRole('button', { name: 'Ask', exact: true }).click();
  const answers = inspector.root.locator('.dns-names').nth(1).getByRole('row');
  await expect(answers.filter({ hasText: 'PTR' })).toContainText('web');
  await expect(answers.filter({ has: page.getByRole('rowheader', { name: 'web', exact: true }) })).toContainText(address(lab, 'web'));
  await box.fill('<script>alert(1)</script>');
  await box.press('Enter');
  await expect(inspector.root).toContainText('no name that a host may have');
  const age = page.locator('.totals').getByText(/^asked .* ago$/);
  const again = page.getByRole('button', { name: 'Ask again' });
  // Containers may have been asked at different times: from here on at one, and by themselves only half a minute later.
  await again.click();
  await expect(age).toHaveText(/^asked [5-9] s ago$/);
  const clicked = Date.now();
  await again.click();
  // The oldest answer is younger than the click, but for two seconds: who was asked in them is not asked again.
  const older = async () => {
    const [, count, unit] = /^asked (\d+) (\S+)/.exec((await age.textContent()) ?? '') ?? [];
    const secs = unit === 's' ? Number(count) : unit === 'ms' ? 0 : NaN;
    return secs - (Date.now() - clicked) / 1_000;
  };
  await expect.poll(older).toBeLessThanOrEqual(2);
});

test('what a container asks stands on the wire, and who asks', { tag: '@lab' }, async ({ page, lab }) => {
  await page.goto('?view=dns&table=seen&f=asker:client-1 name:web');
  const seen = new Grid(page, 'On the wire');
  const web = async () => (await seen.rows()).find(({ cells }) => cells['Name'] === 'web' && cells['Record'] === 'A')?.cells;
  await expect.poll(async () => Number((await web())?.['Asked']), { timeout: 20_000 }).toBeGreaterThan(1);
  const row = (await web())!;
  expect([row['Asked by'], row['Went wrong'], row['Answer']]).toEqual(['client-1', '', address(lab, 'web')]);
  expect(row['Latency']).toMatch(/^\d+(\.\d+)? (µs|ms|s)$/);
  await expect(page.locator('.totals')).toContainText('captured since');
  await page.screenshot({ path: path.join(OUT, 'shots', 'dns-seen.png') });
  await page.setViewportSize({ width: 390, height: 844 });
  await page.screenshot({ path: path.join(OUT, 'shots', 'dns-seen-phone.png') });
  await page.setViewportSize({ width: 1280, height: 800 });
  await page.getByRole('searchbox', { name: 'filter' }).fill('asker:client-1');
  await page.getByRole('radio', { name: 'Askers' }).click();
  const askers = new Grid(page, 'Askers');
  await expect.poll(async () => (await askers.find('Asked by', 'client-1'))?.cells['Server']).toBe('127.0.0.11 engine');
  await page.screenshot({ path: path.join(OUT, 'shots', 'dns-askers.png') });
  await askers.root.getByText('client-1', { exact: true }).first().click();
  const inspector = new Inspector(page);
  await expect(inspector.root.getByRole('tab', { name: 'Names' })).toHaveAttribute('aria-selected', 'true');
});

test('the commands beside the names work and say the same', { tag: '@lab' }, async ({ page, lab }) => {
  const inspector = await opened(page, lab, 'client-1');
  const lines = await commands(inspector.root);
  expect(lines.length).toBeGreaterThanOrEqual(3);
  for (const { comment, command } of lines) {
    const ran = spawnSync('bash', ['-c', command], {
      encoding: 'utf8',
      env: { ...process.env, PATH: `${dirname(process.env['GLASSHULL_BIN']!)}:${process.env['PATH']}` },
    });
    expect.soft(ran.status, `${command}\n${ran.stderr}`).toBe(0);
    if (comment.startsWith('all its names')) expect.soft(ran.stdout).toContain(`${address(lab, 'web')}\tweb`);
    if (comment.startsWith('how it finds')) expect.soft(ran.stdout).toContain('nameserver 127.0.0.11');
  }
});
