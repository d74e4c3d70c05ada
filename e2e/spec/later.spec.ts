// The app in pieces: what a page fetches at once, what it fetches when a view is opened or ahead of it, and what it says
// when a piece cannot be had.

import { type Page, ahead, expect, ready, test } from './support/test';

const LATER = '**/later/**';

/** The pieces fetched so far, without their hashes: `app.wasm`, `later/map.wasm`. */
function pieces(page: Page): string[] {
  const seen: string[] = [];
  page.on('request', (request) => {
    const path = new URL(request.url()).pathname.slice(1);
    if (/\.(wasm|js|css)$/.test(path)) seen.push(path.replace(/-[0-9a-f]{12}/, ''));
  });
  return seen;
}

/** Whether a piece was fetched. */
const later = (seen: string[]) => seen.filter((piece) => piece.startsWith('later/'));

/** Stops the page's clock before the app starts: by that, what it fetches ahead comes two seconds later. */
async function stopped(page: Page): Promise<void> {
  const now = Date.now();
  // Installed alone, it goes on; and it is stopped at a moment to come only.
  await page.clock.install({ time: now - 60_000 });
  await page.clock.pauseAt(now);
}

test('a page fetches what it shows, and the rest when nothing else is to do', async ({ page }) => {
  const seen = pieces(page);
  await stopped(page);
  await page.goto('');
  await ready(page);
  await expect(page.locator('.view.containers')).toBeVisible();
  expect(new Set(seen)).toEqual(new Set(['app.css', 'app.js', 'app.wasm', 'boot.js', 'loader.js']));
  await page.clock.resume();
  await expect.poll(() => later(seen)).toContain('later/map.wasm');
  await expect.poll(() => later(seen)).toContain('later/view.wasm');
  // Then all is there: nothing is fetched again for any view.
  const all = [...seen];
  expect(all.length, 'more requests than a handful').toBeLessThan(12);
  for (const link of await page.getByRole('navigation', { name: 'Views' }).getByRole('link').all()) {
    await link.click();
    await expect(page.getByRole('main').locator('.view')).toHaveCount(1);
  }
  expect(seen).toEqual(all);
});

test('a link to a view fetches its piece straight away, and no other', async ({ page }) => {
  const seen = pieces(page);
  await stopped(page);
  await page.goto('?view=map');
  await expect(page.getByRole('main').locator('.view.map')).toBeVisible();
  expect(later(seen)).toContain('later/map.wasm');
  expect(later(seen)).not.toContain('later/view.wasm');
});

test('every view opens from a link of its own', async ({ page }) => {
  await page.goto('');
  await ready(page);
  const links = await page.getByRole('navigation', { name: 'Views' }).getByRole('link').all();
  const targets = await Promise.all(links.map((link) => link.getAttribute('href')));
  expect(targets.length).toBeGreaterThanOrEqual(7);
  for (const target of targets) {
    await page.goto(target!);
    await expect(page.getByRole('main').locator('.view')).toBeVisible();
  }
});

test('a view whose piece cannot be fetched says so and can be tried again', async ({ page, complaints }) => {
  complaints.expect(/Failed to fetch|ERR_FAILED|no answer for .*\/later\//);
  await page.route(LATER, (route) => route.abort());
  await page.goto('?view=map');
  const alert = page.getByRole('main').getByRole('alert');
  await expect(alert).toContainText('Map could not be fetched');
  await expect(page).toHaveTitle(/Map/);
  // In vain as long as it is blocked.
  await alert.getByRole('button', { name: 'Try again' }).click();
  await expect(alert).toContainText('Map could not be fetched');
  // The rest of the page lives.
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link').first().click();
  await expect(page.locator('.view.containers')).toBeVisible();
  await page.goBack();
  await expect(alert).toBeVisible();
  await page.unroute(LATER);
  await alert.getByRole('button', { name: 'Try again' }).click();
  await expect(page.getByRole('main').locator('.view.map')).toBeVisible();
  await expect(alert).toHaveCount(0);
});

test('a piece that is gone from the agent is no end of the page', async ({ page, complaints }) => {
  // As after a change of the agent under an open page: the names of before lead nowhere.
  complaints.expect(/404|HTTP status code is not ok/);
  await page.route(LATER, (route) => route.fulfill({ status: 404, body: 'no such file\n' }));
  await page.goto('?view=processes');
  const alert = page.getByRole('main').getByRole('alert');
  await expect(alert).toContainText('Processes could not be fetched');
  await page.unroute(LATER);
  await alert.getByRole('button', { name: 'Reload the page' }).click();
  await expect(page.getByRole('main').locator('.view')).toBeVisible();
});

test('views open after the agent has gone, once they were fetched ahead', async ({ page, context, complaints }) => {
  complaints.expect(/WebSocket connection to .* failed|ERR_INTERNET_DISCONNECTED/);
  const come = ahead(page);
  await page.goto('');
  await ready(page);
  await come();
  await context.setOffline(true);
  await page.getByRole('navigation', { name: 'Views' }).getByRole('link', { name: 'Map' }).click();
  await expect(page.getByRole('main').locator('.view.map')).toBeVisible();
  await context.setOffline(false);
});

test('the inspector opens with a link, and says what it lacks when its piece is blocked', async ({ page, complaints }) => {
  complaints.expect(/Failed to fetch|ERR_FAILED|no answer for .*\/later\//);
  await page.route(LATER, (route) => route.abort());
  await page.goto('?sel=h');
  const inspector = page.getByRole('complementary', { name: 'Inspector' });
  await expect(inspector.getByRole('alert')).toContainText('The inspector could not be fetched');
  await page.unroute(LATER);
  await inspector.getByRole('button', { name: 'Try again' }).click();
  await expect(inspector.getByRole('tabpanel')).toBeVisible();
});
