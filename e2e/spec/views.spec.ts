// Every view, and every tab of the inspector, in every theme and width, whatever the rail lists: drawn, filled, inside its page, readable, without complaint. The
// pictures are left in out/shots.

import path from 'node:path';

import { cut, outside, pale } from './support/layout';
import { OUT } from './support/stage';
import { type Page, expect, test } from './support/test';

const THEMES = ['dark', 'light'] as const;
const SIZES = [
  { width: 1440, height: 900 },
  { width: 1920, height: 1080 },
  { width: 390, height: 844 },
];

for (const theme of THEMES) {
  for (const size of SIZES) {
    test(`every view, ${theme}, ${size.width} wide`, async ({ page }, info) => {
      // Many rounds, each of which waits for a reading.
      test.slow();
      await page.setViewportSize(size);
      await page.goto(`?theme=${theme}`);
      const rail = page.getByRole('navigation', { name: 'Views' }).getByRole('link');
      await expect(rail.first()).toBeVisible();
      const count = await rail.count();
      expect(count).toBeGreaterThanOrEqual(4);
      for (let i = 0; i < count; i += 1) {
        const link = rail.nth(i);
        const title = (await link.getAttribute('aria-label'))!;
        await test.step(title, async () => {
          await link.click();
          await expect(link).toHaveAttribute('aria-current', 'page');
          await expect(page).toHaveTitle(new RegExp(`· ${title} · Glasshull$`));
          await expect(page.locator('html')).toHaveAttribute('data-theme', theme);
          // A wire is looked into when somebody says where.
          if (title === 'Wire') await expect(page.locator('.table-empty')).toHaveText(/\w/);
          else await filled(page);
          await settled(page);
          await look(page, `${info.project.name}-${title.toLowerCase()}-${theme}-${size.width}`);
        });
      }
    });
  }
}

for (const theme of THEMES) {
  for (const size of SIZES.filter(({ width }) => width !== 1920)) {
    test(`every tab of the inspector, ${theme}, ${size.width} wide`, async ({ page }, info) => {
      // Many rounds, each of which waits for a reading.
      test.slow();
      await page.setViewportSize(size);
      await page.goto(`?theme=${theme}`);
      for (const name of ['worker', 'never-reaped']) {
        const search = page.getByRole('combobox', { name: 'Search' });
        await search.fill(name);
        await expect(page.getByRole('option').first()).toContainText(name);
        await search.press('Enter');
        const inspector = page.getByRole('complementary', { name: 'Inspector' });
        await expect(inspector.getByRole('heading', { name })).toBeVisible();
        for (const tab of await inspector.getByRole('tab').all()) {
          const title = (await tab.textContent())!;
          await test.step(`${title} of ${name}`, async () => {
            await tab.click();
            await expect(tab).toHaveAttribute('aria-selected', 'true');
            await expect(inspector.getByRole('tabpanel')).toHaveText(/\w/);
            await settled(page);
            await look(page, `${info.project.name}-${name}-${title.toLowerCase().replaceAll(' ', '-')}-${theme}-${size.width}`);
          });
        }
      }
      await page.keyboard.press('Escape');
      await expect(page.getByRole('complementary', { name: 'Inspector' })).toHaveCount(0);
    });
  }
}

/** Keeps a picture, then says what is wrong with it. */
async function look(page: Page, name: string): Promise<void> {
  await page.screenshot({ path: path.join(OUT, 'shots', `${name}.png`) });
  expect.soft(await outside(page), `what of ${name} is outside the page`).toEqual([]);
  expect.soft(await cut(page), `what of the tables of ${name} is cut`).toEqual([]);
  expect.soft(await pale(page), `what of ${name} is too pale, with its contrast`).toEqual([]);
}

/** Waits for content: rows of a table, letters of a scoreboard, boxes of the map, names with values, findings, or names in a matrix. */
async function filled(page: Page): Promise<void> {
  const main = page.getByRole('main');
  const content = main.locator('[role=row][data-slot], [role=group] i, svg .map-name, dl dd, details > summary, .dns-matrix tbody th').filter({ visible: true });
  await expect(content.first()).toBeVisible();
  await expect.poll(() => content.filter({ hasText: /[\p{L}\d]/u }).count()).toBeGreaterThan(3);
}

/** Waits for another reading: from the second on rates are there. */
async function settled(page: Page): Promise<void> {
  const time = page.getByRole('contentinfo', { name: 'Timeline' }).locator('.time');
  const before = await time.textContent();
  await expect(time).not.toHaveText(before ?? '');
}
