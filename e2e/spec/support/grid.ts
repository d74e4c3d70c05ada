// A table of the app as a person reads it: rows in the order of the screen, cells by the headings over them.

import { type Locator, type Page, expect } from '@playwright/test';

/** One row on the screen. */
export interface Row {
  /** Position among all rows of the table, also those scrolled away; the first is 0. */
  at: number;
  /** Text of each cell by its heading. */
  cells: Record<string, string>;
  /** Hover text of each cell by its heading. */
  titles: Record<string, string>;
  /** Depth in a tree; 1 is a root. */
  level: number;
  /** Whether what is beneath is shown; null when nothing is. */
  expanded: boolean | null;
  selected: boolean;
  /** The row that keys act on. */
  cursor: boolean;
  /** Heading of a group. */
  group: boolean;
}

/** A table by its name. */
export class Grid {
  readonly root: Locator;

  constructor(page: Page, label: string) {
    this.root = page.getByRole('grid', { name: label, exact: true });
  }

  /** Number of rows, also those scrolled away. */
  async count(): Promise<number> {
    return Number(await this.root.getAttribute('aria-rowcount')) - 1;
  }

  /** Rows that are drawn, in the order of the screen. Few enough for one screen are all. */
  async rows(): Promise<Row[]> {
    return this.root.evaluate((grid) => {
      const headings = [...grid.querySelectorAll('[role=columnheader]')].map(
        (head) => head.querySelector('.table-title, span')?.textContent ?? '',
      );
      const rows = [...grid.querySelectorAll<HTMLElement>('[role=row][data-slot]')].filter((row) => !row.hidden);
      const read = (row: HTMLElement) => {
        const cells = [...row.querySelectorAll<HTMLElement>('[role=gridcell]')];
        const by = (text: (cell: HTMLElement) => string) =>
          Object.fromEntries(cells.map((cell, i) => [headings[i] ?? '', text(cell)]));
        const expanded = row.getAttribute('aria-expanded');
        return {
          at: Number(row.getAttribute('aria-rowindex')) - 2,
          cells: by((cell) => cell.querySelector('.table-text')?.textContent ?? ''),
          titles: by((cell) => cell.title),
          level: Number(row.getAttribute('aria-level')),
          expanded: expanded === null ? null : expanded === 'true',
          selected: row.getAttribute('aria-selected') === 'true',
          cursor: row.classList.contains('cursor'),
          group: row.classList.contains('group'),
        };
      };
      return rows.map(read).sort((a, b) => a.at - b.at);
    });
  }

  /** Texts of one column, from the top. */
  async column(heading: string): Promise<string[]> {
    return (await this.rows()).map((row) => row.cells[heading] ?? `(no column ${heading})`);
  }

  /** The first row whose cell under a heading reads so; undefined when there is none. */
  async find(heading: string, text: string): Promise<Row | undefined> {
    return (await this.rows()).find((row) => row.cells[heading] === text);
  }

  /** The element of a row, by the whole text of one of its cells. */
  row(text: string): Locator {
    const cell = this.root.page().getByRole('gridcell').filter({ has: this.root.page().getByText(text, { exact: true }) });
    return this.root.locator('[role=row][data-slot]:not([hidden])').filter({ has: cell });
  }

  /** A heading. */
  heading(title: string): Locator {
    return this.root.getByRole('columnheader').filter({ has: this.root.page().getByText(title, { exact: true }) });
  }

  /** Waits until there are rows. */
  async filled(): Promise<void> {
    await expect(this.root.locator('[role=row][data-slot]:not([hidden])').first()).toBeVisible();
  }
}
