// Findings: the view, the badge of the top bar and the part of the inspector, against the lab's containers.

import { Inspector } from './support/inspector';
import { expect, test } from './support/test';

const RULE = '.finding-rule';

test('what the scene makes so is found, with evidence and a line to check it', { tag: '@lab' }, async ({ page, lab }) => {
  const { Id: id, State: state } = lab.inspect('exposed');
  await page.goto('?view=findings');
  const socket = page.locator(`${RULE}[data-rule=engine_socket][data-severity=trouble]`);
  const one = socket.locator('.finding').filter({ hasText: 'exposed' });
  await expect(one).toContainText('mounted at /run/docker.sock');
  await expect(one.locator('.finding-check code')).toContainText(`findmnt -N ${state.Pid}`);
  await expect(socket.locator('.finding-meaning')).toContainText('as good as root');
  // The gravest stand first.
  await expect(page.locator(RULE).first()).toHaveAttribute('data-severity', 'trouble');
  // The name leads to the thing, and the thing back to its rule.
  await one.getByRole('link', { name: 'exposed' }).click();
  await expect(page).toHaveURL(new RegExp(`sel=c:${id}`));
  const { root } = new Inspector(page);
  await expect(root.locator('.found')).toContainText('can command a container engine');
});

test('the badge counts and leads to the view; a link opens its rule', { tag: '@lab' }, async ({ page }) => {
  await page.goto('?view=containers');
  const badge = page.locator('.v-findings');
  await expect(badge.locator('.trouble')).toHaveText(/[1-9]/);
  await expect(badge).toHaveAttribute('title', /of trouble/);
  await badge.click();
  await expect(page.locator(RULE).first()).toBeVisible();
  await page.goto('?view=findings&rule=no_memory_limit');
  const limit = page.locator(`${RULE}[data-rule=no_memory_limit]`);
  await expect(limit).toHaveAttribute('open', '');
  await expect(limit.locator('.finding').filter({ hasText: 'web' })).toContainText('none, also not in a group above');
  await expect(page.locator(`${RULE}[data-rule=root_without_userns]`)).not.toHaveAttribute('open', '');
  await page.keyboard.press('g');
  await page.keyboard.press('c');
  await page.keyboard.press('g');
  await page.keyboard.press('f');
  await expect(page).toHaveTitle(/Findings/);
});
