// What runs and where: the specs of this folder in the system's Chromium, against the sources that support/setup.ts
// starts. One worker: the specs share one lab, and the figures they compare with are this host's.

import { defineConfig } from '@playwright/test';

import type { Options } from './support/test';

// GLASSHULL_CHROMIUM is set by `cargo xtask test`, CHROMIUM by people.
const chromium = process.env.GLASSHULL_CHROMIUM ?? process.env.CHROMIUM ?? '/usr/bin/chromium';

export default defineConfig<Options>({
  testDir: '.',
  outputDir: 'out/results',
  globalSetup: './support/setup.ts',
  forbidOnly: process.env.CI !== undefined,
  fullyParallel: false,
  workers: 1,
  retries: 0,
  reporter: 'list',
  timeout: 90_000,
  // Waits, not demands: the machine may be building something at the same time.
  expect: { timeout: 20_000 },
  use: {
    browserName: 'chromium',
    headless: true,
    viewport: { width: 1440, height: 900 },
    locale: 'en-GB',
    colorScheme: 'dark',
    screenshot: 'only-on-failure',
    trace: 'retain-on-failure',
    actionTimeout: 20_000,
    navigationTimeout: 30_000,
    launchOptions: {
      executablePath: chromium,
      args: [
        '--disable-gpu',
        '--disable-quic',
        '--no-first-run',
        '--disable-background-networking',
        '--disable-component-update',
        '--disable-sync',
      ],
    },
  },
  // In this order. What disturbs the lab for everybody comes last.
  projects: [
    { name: 'replay', use: { source: 'replay' }, grepInvert: /@lab|@engine/ },
    { name: 'lab', use: { source: 'lab' }, grepInvert: /@replay|@engine/ },
    { name: 'engine', use: { source: 'lab' }, grep: /@engine/ },
  ],
});
