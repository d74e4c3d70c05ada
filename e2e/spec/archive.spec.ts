// Files of containers in the inspector, against `docker cp` and the files' own bytes: a container whose names are hostile, one
// that has exited, its image, what is refused, and what is said where files are not given out.

import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';

import { Agent } from './support/agent';
import { Inspector } from './support/inspector';
import { cut, outside, pale } from './support/layout';
import { OUT, stage } from './support/stage';
import { type Locator, type Page, expect, test } from './support/test';

const NAME = 'spec-files';
const SCRIPT = '<script>alert(1)<';
const RTL = 'evil\u202Etxt.exe';
const LINE = 'two\nlines';
const LONG = 'n'.repeat(200);
/** Made inside: a program's text, links of both kinds, a pipe, a tree, names as nobody wants them, and more than a page holds. */
const MAKE = `set -e; mkdir -p /scene/tree/below /scene/empty /scene/many && cd /scene
printf 'first line\\nsecond\\tline <b>no markup</b>\\n' > plain.txt; chown 1000:50 plain.txt; chmod 4751 plain.txt
touch -d '2001-02-03 04:05:06' plain.txt
head -c 300000 /dev/zero | tr '\\0' 'x' > wide.txt; printf '\\177ELF\\0\\1\\2' > binary
ln -s plain.txt link; ln -s /scene/tree away; ln -s ../../../../../etc up; ln -s nowhere dangling; ln plain.txt second; mkfifo pipe
printf deep > tree/below/file; printf text > "$1"; printf text > "$2"; printf text > "$3"; printf text > "$4"
for n in $(seq 350); do : > "many/$n"; done`;

test.describe('files of containers', { tag: '@engine' }, () => {
  let agent: Agent;

  test.beforeEach(async ({ lab }) => {
    const image = lab.inspect('worker').Config.Image;
    const words = [SCRIPT, RTL, LINE, LONG];
    lab.docker('run', '--name', NAME, '--network', 'none', image, 'sh', '-c', MAKE, 'sh', ...words);
    const log = path.join(OUT, 'log', 'archive.log');
    agent = await Agent.start(['serve', '--allow-files', '--files-limit', '40MiB', '--engine', stage().lab!.endpoint, '--bind', '127.0.0.1:0'], log);
  });

  test.afterEach(async ({ page, lab }) => {
    // Else the page complains that the agent is gone.
    await page.goto('about:blank');
    await agent.stop();
    lab.docker('rm', '--force', '--volumes', NAME);
  });

  const open = async (page: Page, id: string, place: string) => {
    await page.goto(`${agent.address}?view=containers&sel=c:${id}&tab=files&path=${encodeURIComponent(place)}`);
    const { root } = new Inspector(page);
    return root;
  };
  const entry = (root: Locator, name: string) => root.getByRole('row').filter({ has: root.page().getByRole('link', { name, exact: true }) });
  const names = (root: Locator) => root.locator('.file-list a.open').allTextContents();
  const saved = async (page: Page, link: Locator) => {
    const [download] = await Promise.all([page.waitForEvent('download'), link.click()]);
    return fs.readFileSync(await download.path());
  };
  /** What `docker cp` writes to standard output. */
  const cp = (what: string) => execFileSync('docker', ['--host', stage().lab!.endpoint, 'cp', `${NAME}:${what}`, '-'], { maxBuffer: 1 << 28 });

  test('of one that has exited: names, figures, bytes and trees', async ({ page, lab, complaints }) => {
    // The rest of a file whose beginning is enough is not waited for; a saved file is not the page's.
    complaints.expect(/ERR_ABORTED/);
    const { Id: id, State: state } = lab.inspect(NAME);
    expect(state.Status).toBe('exited');
    const root = await open(page, id, '/scene');
    const plain = entry(root, 'plain.txt');
    await expect(plain).toContainText('40 B');
    await expect(plain).toContainText('-rwsr-x--x');
    await expect(plain).toContainText('1000:50');
    await expect(plain).toContainText('2001-02-0');
    await expect(entry(root, 'link')).toContainText('→ plain.txt');
    await expect(entry(root, 'away')).toContainText('→ /scene/tree');
    await expect(root.getByRole('row').filter({ hasText: 'a named pipe' }).getByRole('link')).toHaveCount(0);
    const all = await names(root);
    expect(all.slice(0, 3)).toEqual(['empty/', 'many/', 'tree/']);
    expect(all).toEqual(expect.arrayContaining([SCRIPT, 'evil\\u{202e}txt.exe', 'two\\nlines', LONG]));
    await root.getByRole('button', { name: 'Size' }).click();
    expect((await names(root))[3]).toBe('wide.txt');
    await root.getByRole('searchbox', { name: 'Names with' }).fill('TXT');
    await expect.poll(() => names(root)).toEqual(['wide.txt', 'plain.txt', 'evil\\u{202e}txt.exe']);
    // Bytes: of a file from its line, of hostile names, of a tree.
    const truth = 'first line\nsecond\tline <b>no markup</b>\n';
    expect((await saved(page, root.getByRole('link', { name: 'download: plain.txt' }))).toString()).toBe(truth);
    expect((await saved(page, root.getByRole('link', { name: 'download: evil' }))).toString()).toBe('text');
    await root.getByRole('searchbox', { name: 'Names with' }).fill('');
    for (const name of [SCRIPT, 'two\\nlines', LONG]) {
      expect((await saved(page, root.getByRole('link', { name: `download: ${name}`, exact: true }))).toString(), name).toBe('text');
    }
    expect((await saved(page, root.getByRole('link', { name: 'take it as a tar: tree/' }))).equals(cp('/scene/tree'))).toBe(true);
    expect((await saved(page, root.getByRole('link', { name: 'Take all as a tar' }))).equals(cp('/scene'))).toBe(true);
    // The file by itself, with its beginning.
    await root.getByRole('link', { name: 'plain.txt', exact: true }).click();
    await expect.poll(() => root.getByLabel('Beginning of the file').textContent()).toBe(truth);
    expect(await root.locator('pre b').count()).toBe(0);
    expect((await saved(page, root.getByRole('link', { name: 'Download' }))).toString()).toBe(truth);
    await page.goBack();
    await root.getByRole('link', { name: 'wide.txt', exact: true }).click();
    await expect(root.getByText('the first 64.0 KiB of it; 1 long line is cut.')).toBeVisible();
    await page.goBack();
    await root.getByRole('link', { name: 'binary', exact: true }).click();
    await expect(root.getByLabel('Beginning of the file')).toContainText('000000  7f 45 4c 46 00 01 02');
    // More than is drawn at once.
    await open(page, id, '/scene/many');
    await expect(root.getByText('50 more are not drawn.')).toBeVisible();
    await root.getByRole('button', { name: 'Draw more' }).click();
    await expect.poll(async () => (await names(root)).length).toBe(350);
  });

  test('links lead inside, keys go down and up, and an address opens the same', async ({ page, lab, complaints }) => {
    complaints.expect(/ERR_ABORTED/);
    const { Id: id } = lab.inspect(NAME);
    const root = await open(page, id, '/scene');
    await entry(root, 'away').getByRole('link', { name: 'away' }).click();
    await expect(root.getByText('A link leads from /scene/away to /scene/tree, inside.')).toBeVisible();
    await expect(page).toHaveURL(/path=\/scene\/away/);
    await page.keyboard.press('Backspace');
    await expect(root.getByRole('link', { name: 'away', exact: true })).toBeFocused();
    // Above the root there is only the root: the container's etc, not the host's.
    await root.getByRole('link', { name: 'up', exact: true }).press('Enter');
    await expect(root.getByText('A link leads from /scene/up to /etc, inside.')).toBeVisible();
    expect(await names(root)).toContain('passwd');
    await page.goBack();
    const tree = root.getByRole('link', { name: 'tree/', exact: true });
    await tree.press('Enter');
    await expect(root.getByRole('link', { name: 'below/', exact: true })).toBeFocused();
    await page.keyboard.press('Enter');
    await expect(root.getByRole('link', { name: 'file', exact: true })).toBeFocused();
    await page.keyboard.press('Backspace');
    await expect(root.getByRole('link', { name: 'below/', exact: true })).toBeFocused();
    await page.keyboard.press('Backspace');
    await expect(tree).toBeFocused();
    await page.keyboard.press('ArrowUp');
    await expect(root.getByRole('link', { name: 'many/', exact: true })).toBeFocused();
    await root.getByRole('navigation', { name: 'Path' }).getByRole('link', { name: '/', exact: true }).click();
    await expect(root.getByRole('link', { name: 'scene/', exact: true })).toBeFocused();
    await root.getByRole('textbox', { name: 'Go to a path' }).fill('/scene/tree/below');
    await page.keyboard.press('Enter');
    await expect(root.getByRole('link', { name: 'file', exact: true })).toBeVisible();
    await page.reload();
    await expect(root.getByRole('link', { name: 'file', exact: true })).toBeVisible();
    // Another view keeps it, another container does not.
    await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Processes' }).click();
    await expect(page).toHaveURL(/path=\/scene\/tree\/below/);
  });

  test('of its image, and what a page says of what is not there', async ({ page, lab, complaints }) => {
    complaints.expect(/ERR_ABORTED|40\d/);
    const { Id: id } = lab.inspect(NAME);
    await page.goto(`${agent.address}?view=containers&sel=c:${id}`);
    const inspector = new Inspector(page);
    await inspector.fact('image').getByRole('link', { name: 'files of the image' }).click();
    await expect(inspector.root.getByRole('link', { name: 'bin/', exact: true })).toBeVisible();
    expect(await names(inspector.root)).not.toContain('scene/');
    await inspector.root.getByRole('radio', { name: 'Container' }).click();
    await expect(inspector.root.getByRole('link', { name: 'scene/', exact: true })).toBeVisible();
    // What was made to look into the image goes again.
    await expect.poll(() => lab.docker('ps', '--all', '--filter', 'label=glasshull.files', '--format', '{{.Names}}')).toBe('');
    for (const [place, title, text] of [
      ['/scene/dangling', 'Not there', 'no /scene/nowhere in spec-files; /scene is there'],
      ['/scene/plain.txt/x', 'Not there', '/scene/plain.txt is no directory'],
      ['no/absolute', 'That cannot be done', 'must be absolute'],
    ] as const) {
      const root = await open(page, id, place);
      const notice = root.getByRole('alert');
      await expect(notice).toContainText(title);
      await expect(notice).toContainText(text);
      await expect(notice.getByRole('button', { name: 'Try again' })).toBeVisible();
    }
    const root = await open(page, id, '/scene/nothing/here');
    await root.getByRole('alert').getByRole('link', { name: 'Up to /scene/nothing' }).click();
    await root.getByRole('alert').getByRole('link', { name: 'Up to /scene', exact: true }).click();
    await expect(root.getByRole('link', { name: 'tree/', exact: true })).toBeVisible();
    await open(page, id, '/scene/pipe');
    await expect(root.getByText('It is a named pipe')).toBeVisible();
    await expect(root.getByRole('link', { name: 'Download' })).toHaveCount(0);
  });

  test('fit on a screen and on a phone, in both themes', async ({ page, lab, complaints }) => {
    // Twenty rounds of two pages.
    test.slow();
    complaints.expect(/ERR_ABORTED|404/);
    const { Id: id } = lab.inspect(NAME);
    for (const [what, place] of [['list', '/scene'], ['file', '/scene/plain.txt'], ['binary', '/bin/busybox'], ['none', '/scene/none'], ['image', 'image:/etc']] as const) {
      for (const theme of ['dark', 'light']) {
        for (const size of [{ width: 1440, height: 900 }, { width: 390, height: 844 }]) {
          await page.setViewportSize(size);
          const root = await open(page, id, `${place}`);
          await page.goto(`${page.url()}&theme=${theme}`);
          await expect(root.locator('.file-list tbody tr, pre, [role=alert]').first()).toBeVisible();
          const name = `files-${what}-${theme}-${size.width}`;
          await page.screenshot({ path: path.join(OUT, 'shots', `${name}.png`) });
          expect.soft(await outside(page), `what of ${name} is outside the page`).toEqual([]);
          expect.soft(await cut(page), `what of the tables of ${name} is cut`).toEqual([]);
          expect.soft(await pale(page), `what of ${name} is too pale, with its contrast`).toEqual([]);
        }
      }
    }
  });
});

test('without leave the tab says which flag gives it, and what needs none', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id } = lab.inspect('web');
  await page.goto(`?view=containers&sel=c:${id}&tab=files`);
  const { root } = new Inspector(page);
  await expect(root.getByText('start glasshull with --allow-files')).toBeVisible();
  await expect(root.getByText('glasshull serve --allow-files')).toBeVisible();
  await expect(root.getByText(/^glasshull files --engine unix:\S+ \w{12} \/$/)).toBeVisible();
  await page.screenshot({ path: path.join(OUT, 'shots', 'files-closed.png') });
});

test('a recording says that it holds none', { tag: '@replay' }, async ({ page, scene }) => {
  await page.goto(`?view=containers&f=${scene.containers('web')}`);
  await page.getByRole('row', { name: /web/ }).first().click();
  const inspector = new Inspector(page);
  await inspector.tab('Files');
  await expect(inspector.root.getByText('A recording holds no files')).toBeVisible();
});
