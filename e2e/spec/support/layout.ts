// What the eye would complain about: text too pale to read, content that ends outside the page.

import type { Page } from '@playwright/test';

/** WCAG 2 level AA: least contrast of text, and of large text (from 24 px, or 18.66 px bold). */
const LEAST = { text: 4.5, large: 3 };

/** Texts on the screen whose contrast is below WCAG AA, one line for each look; empty when all can be read. */
export async function pale(page: Page): Promise<string[]> {
  return page.evaluate((least) => {
    type Colour = [red: number, green: number, blue: number, alpha: number];
    // Any notation of CSS, by way of the one who knows them all.
    const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true })!;
    const known = new Map<string, Colour>();
    const parse = (css: string): Colour => {
      let colour = known.get(css);
      if (colour === undefined) {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = css;
        canvas.fillRect(0, 0, 1, 1);
        const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
        colour = [r!, g!, b!, a! / 255];
        known.set(css, colour);
      }
      return colour;
    };
    const over = (top: Colour, below: Colour): Colour => {
      const mix = (i: 0 | 1 | 2) => top[i] * top[3] + below[i] * (1 - top[3]);
      return [mix(0), mix(1), mix(2), 1];
    };
    const luminance = (colour: Colour) => {
      const [r, g, b] = colour.slice(0, 3).map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
      return 0.2126 * r! + 0.7152 * g! + 0.0722 * b!;
    };
    const background = (element: Element | null): Colour => {
      if (element === null) return parse('white');
      const own = parse(getComputedStyle(element).backgroundColor);
      return own[3] === 1 ? own : over(own, background(element.parentElement));
    };
    const opacity = (element: Element | null): number =>
      element === null ? 1 : Number(getComputedStyle(element).opacity) * opacity(element.parentElement);
    const found = new Map<string, string>();
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode.textContent!.trim();
      const element = texts.currentNode.parentElement!;
      // A dot for an open slot is a place, not a text.
      if (text === '' || text === '·' || !element.checkVisibility({ visibilityProperty: true, opacityProperty: true })) continue;
      const box = element.getBoundingClientRect();
      if (box.width === 0 || box.bottom < 0 || box.top > innerHeight || box.right < 0 || box.left > innerWidth) continue;
      const style = getComputedStyle(element);
      const ground = background(element);
      const colour = parse(style.color);
      const seen = over([colour[0], colour[1], colour[2], colour[3] * opacity(element)], ground);
      const [light, dark] = [luminance(seen), luminance(ground)].sort((a, b) => b - a);
      const ratio = (light! + 0.05) / (dark! + 0.05);
      const size = parseFloat(style.fontSize);
      const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
      if (ratio >= (large ? least.large : least.text)) continue;
      const look = `${style.color} on ${style.backgroundColor} in ${element.tagName.toLowerCase()}.${element.className}`;
      if (!found.has(look)) found.set(look, `${ratio.toFixed(2)}: "${text.slice(0, 30)}" ${look}`);
    }
    return [...found.values()].sort();
  }, LEAST);
}

/** What ends outside the page and cannot be scrolled to, outermost first; empty when all is within reach. */
export async function outside(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const width = document.documentElement.clientWidth;
    const scrolls = (element: Element | null): boolean =>
      element !== null && (/auto|scroll/.test(getComputedStyle(element).overflowX) || scrolls(element.parentElement));
    const shown = [...document.body.querySelectorAll('*')].filter((e) => e.checkVisibility() && e.getClientRects().length > 0);
    const cut = shown.filter((e) => e.getBoundingClientRect().right > width + 0.5 && !scrolls(e.parentElement));
    const lines = cut.slice(0, 5).map((e) => `${e.tagName.toLowerCase()}.${e.getAttribute('class') ?? ''} ends at ${e.getBoundingClientRect().right}`);
    const sideways = document.documentElement.scrollWidth > width || document.body.scrollWidth > width;
    return sideways ? [`the page scrolls sideways: ${document.documentElement.scrollWidth} of ${width}`, ...lines] : lines;
  });
}

/** Headings of tables that do not fit over their column, and tables whose columns do not fit; empty when all do. */
export async function cut(page: Page): Promise<string[]> {
  return page.evaluate(() => {
    const headings = [...document.querySelectorAll('.table-title')].filter((title) => title.scrollWidth > title.clientWidth);
    const tables = [...document.querySelectorAll('.table-scroll')].filter((table) => table.scrollWidth > table.clientWidth);
    return [...headings.map((title) => title.textContent!), ...tables.map((table) => `${table.scrollWidth} of ${table.clientWidth}`)];
  });
}
