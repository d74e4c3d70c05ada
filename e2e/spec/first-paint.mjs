// How long until the page shows something: loads it several times with an empty cache in headless Chromium and prints
// one JSON object with medians in milliseconds. Called by the bench.
// Arguments: the agent's URL, Chromium's path, a text that only live data bring.
import { chromium } from '@playwright/test';

const LOADS = 5;
const [url, executablePath, text] = process.argv.slice(2);

const median = (numbers) => numbers.toSorted((a, b) => a - b)[Math.floor(numbers.length / 2)];

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const paints = [];
  const rows = [];
  for (let load = 0; load < LOADS; load += 1) {
    const context = await browser.newContext();
    const page = await context.newPage();
    await page.goto(url, { waitUntil: 'commit' });
    // Looked for in every frame that is drawn; `performance.now()` counts from the navigation.
    const row = await page.waitForFunction(
      (wanted) => document.body?.innerText.includes(wanted) && performance.now(),
      text,
      { polling: 'raf', timeout: 30_000 },
    );
    rows.push(await row.jsonValue());
    paints.push(await page.evaluate(
      () => performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? null,
    ));
    await context.close();
  }
  const seen = paints.filter((time) => time !== null);
  if (seen.length === 0) throw new Error('Chromium reports no paint');
  console.log(JSON.stringify({
    first_paint_millis: median(seen), first_row_millis: median(rows), loads: LOADS,
  }));
} finally {
  await browser.close();
}
