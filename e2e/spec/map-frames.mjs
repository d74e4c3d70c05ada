// Frames per second of a page with the map: counts them for some seconds, at rest and while it is scrolled, and on an empty
// page beside it. Prints one JSON object. Called by the bench. Arguments: the page's URL, Chromium's path.
import { chromium } from '@playwright/test';

const SECONDS = 8;
const [url, executablePath] = process.argv.slice(2);

/** Counts frames in the page; `scroll` moves the map by so many pixels each frame. */
const count = (page, seconds, scroll) =>
  page.evaluate(
    ([seconds, scroll]) =>
      new Promise((resolve) => {
        const map = document.querySelector('.map-scroll');
        const begun = performance.now();
        let [last, frames, longest, step] = [begun, 0, 0, scroll];
        const frame = (now) => {
          frames += 1;
          longest = Math.max(longest, now - last);
          last = now;
          if (map && step) {
            const before = map.scrollTop;
            map.scrollTop += step;
            if (map.scrollTop === before) step = -step;
          }
          if (now - begun < seconds * 1000) requestAnimationFrame(frame);
          else resolve({ rate: (frames - 1) / ((now - begun) / 1000), longest });
        };
        requestAnimationFrame(frame);
      }),
    [seconds, scroll],
  );

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
try {
  const page = await browser.newPage({ viewport: { width: 1440, height: 900 } });
  await page.goto('about:blank');
  const empty = await count(page, 3, 0);
  await page.goto(url);
  await page.locator('.map-frame').first().waitFor({ timeout: 60_000 });
  await page.waitForTimeout(3_000);
  const still = await count(page, SECONDS, 0);
  const boxes = await page.locator('.map-frame').count();
  const scrolling = await count(page, SECONDS / 2, 12);
  console.log(JSON.stringify({
    frames_per_sec: still.rate,
    longest_millis: still.longest,
    empty_frames_per_sec: empty.rate,
    scrolling_frames_per_sec: scrolling.rate,
    boxes,
  }));
} finally {
  await browser.close();
}
