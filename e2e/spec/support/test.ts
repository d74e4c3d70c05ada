// The `test` of all specs: Playwright's, with the source a project looks at, and with a page that fails the test on
// anything it complains about (console errors, exceptions, blocked or failed requests, dialogs).

import { type Locator, type Page, test as base, expect } from '@playwright/test';

import { Lab } from './lab';
import { Scene, stage } from './stage';

export { expect };
export type { Locator, Page };

/** What a project chooses. */
export interface Options {
  /** The agent that the pages come from. */
  source: 'lab' | 'replay';
}

interface Fixtures {
  /** What pages complained about. */
  complaints: Complaints;
  /** The lab of this run, for comparing and disturbing. */
  lab: Lab;
  /** How the lab's containers are named on the pages of this source. */
  scene: Scene;
  /** Another page of the same browser context, watched like the first. */
  another: () => Promise<Page>;
}

/** What pages said that they should not. */
export class Complaints {
  private readonly said: string[] = [];
  private readonly expected: RegExp[] = [];

  /** Complaints like this are the point of the test: a browser tells of each socket that does not open. */
  expect(like: RegExp): void {
    this.expected.push(like);
  }

  /** Listens to a page from now on. */
  async watch(page: Page): Promise<void> {
    page.on('console', (message) => {
      if (message.type() === 'error') this.said.push(`console: ${message.text()} (${message.location().url})`);
    });
    page.on('pageerror', (error) => this.said.push(`exception: ${error.message}`));
    page.on('crash', () => this.said.push('the page crashed'));
    page.on('response', (response) => {
      if (response.status() >= 400) this.said.push(`${response.status()} for ${response.url()}`);
    });
    page.on('requestfailed', (request) => {
      // What is fetched ahead is let go when the page is left.
      if (request.failure()?.errorText === 'net::ERR_ABORTED' && request.url().includes('/later/')) return;
      this.said.push(`no answer for ${request.url()}: ${request.failure()?.errorText ?? ''}`);
    });
    page.on('dialog', (dialog) => {
      this.said.push(`a dialog said ${dialog.message()}`);
      void dialog.dismiss();
    });
    await page.addInitScript(() => {
      document.addEventListener('securitypolicyviolation', (event) => {
        console.error(`content security policy: ${event.violatedDirective} blocked ${event.blockedURI} ${event.sample}`);
      });
    });
  }

  /** What nobody expected. */
  unexpected(): string[] {
    return this.said.filter((text) => !this.expected.some((like) => like.test(text)));
  }
}

export const test = base.extend<Options & Fixtures>({
  source: ['lab', { option: true }],

  baseURL: async ({ source }, use) => {
    const { lab, noLab, live, replay, noReplay } = stage();
    test.skip(source === 'lab' && lab === null, `no lab: ${noLab}`);
    test.skip(source === 'replay' && replay === null, `no recording: ${noReplay}`);
    await use(source === 'lab' ? live! : replay!);
  },

  lab: async ({}, use) => {
    const { lab, noLab } = stage();
    test.skip(lab === null, `no lab: ${noLab}`);
    await use(new Lab(lab!));
  },

  scene: async ({ baseURL: _ }, use) => {
    await use(new Scene(stage().lab));
  },

  complaints: [
    async ({}, use) => {
      const complaints = new Complaints();
      await use(complaints);
      expect(complaints.unexpected(), 'what the pages complained about').toEqual([]);
    },
    { auto: true },
  ],

  page: async ({ page, complaints }, use) => {
    await complaints.watch(page);
    await use(page);
  },

  another: async ({ context, complaints }, use) => {
    await use(async () => {
      const page = await context.newPage();
      await complaints.watch(page);
      return page;
    });
  },
});

/** Waits until the app is drawn: only then keys mean something. */
export async function ready(page: Page): Promise<void> {
  await expect(page.getByRole('navigation', { name: 'Views' })).toBeVisible();
}

/** Listens from now on, before a page is opened, to what it fetches ahead; what is returned waits for the end of that. */
export function ahead(page: Page): () => Promise<void> {
  const come = new Set<string | undefined>();
  // To its last byte: who takes the agent away after the question alone leaves a request without an answer.
  page.on('requestfinished', (request) => come.add(/\/later\/(\w+)-/.exec(request.url())?.[1]));
  return () => expect.poll(() => [...come]).toEqual(expect.arrayContaining(['map', 'view']));
}

/** Notes a figure of this run: on the terminal, and beside the test in reports. Nothing is demanded of it. */
export function note(type: string, description: string): void {
  test.info().annotations.push({ type, description });
  process.stdout.write(`    ${type}: ${description}\n`);
}
