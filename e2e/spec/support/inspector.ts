// The inspector as a person reads it: heading, tabs, names with their values, and the commands "in the shell".

import { type Locator, type Page, expect } from '@playwright/test';

import { stat } from './lab';

/** One command with what it answers and what Glasshull reads instead. */
export interface Command {
  comment: string;
  command: string;
  reads: string;
}

/** The panel beside the view. */
export class Inspector {
  readonly root: Locator;

  constructor(page: Page) {
    this.root = page.getByRole('complementary', { name: 'Inspector' });
  }

  /** Shows a tab by its title. */
  async tab(title: string): Promise<void> {
    const tab = this.root.getByRole('tab', { name: title, exact: true });
    await tab.click();
    await expect(tab).toHaveAttribute('aria-selected', 'true');
  }

  /** The value beside a name. */
  fact(name: string): Locator {
    const term = this.root.locator('dt').filter({ hasText: new RegExp(`^${name}$`) });
    return term.first().locator('xpath=following-sibling::dd[1]');
  }

  /** All names with their values. */
  async facts(): Promise<Record<string, string>> {
    return this.root.locator('dt').evaluateAll((names) =>
      Object.fromEntries(names.map((name) => [name.textContent ?? '', name.nextElementSibling?.textContent ?? ''])),
    );
  }

  /** The commands of its tab "In the shell". */
  async commands(): Promise<Command[]> {
    await this.tab('In the shell');
    return commands(this.root);
  }
}

/** The commands within an element. */
export async function commands(within: Locator): Promise<Command[]> {
  const lines = within.getByRole('listitem').filter({ has: within.page().getByRole('button', { name: 'copy the command' }) });
  await expect(lines.first()).toBeVisible();
  return lines.evaluateAll((items) =>
    items.map((item) => ({
      comment: item.querySelector('.shell-comment')?.textContent?.replace(/^# /, '') ?? '',
      command: item.querySelector('.shell-command code')?.textContent ?? '',
      reads: item.querySelector('.shell-reads code')?.textContent ?? '',
    })),
  );
}

/** `sel=` of a process that lives. */
export function processSelection(pid: number): string {
  return `p:${pid}:${stat(pid)!.startTime}`;
}
