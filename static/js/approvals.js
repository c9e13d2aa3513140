// The queue by keyboard: j and k walk from card to card, a, e and r open what can be decided.
// After a decision the card that takes the place of the old one has the focus.
(() => {
  'use strict';
  const VERBS = { a: 'approve', e: 'edit', r: 'reject' };
  let place = -1;
  let walking = false;

  const cards = () => [...document.querySelectorAll('[data-approval]')];
  const here = () => document.activeElement?.closest?.('[data-approval]') ?? null;

  function go(index) {
    const all = cards();
    if (!all.length) return;
    place = Math.max(0, Math.min(index, all.length - 1));
    walking = true;
    all[place].focus();
  }

  function isTyping(target) {
    return target.closest?.('input, textarea, select, [contenteditable], .editor, dialog, [popover]');
  }

  document.addEventListener('focusin', () => {
    const card = here();
    if (card) place = cards().indexOf(card);
  });

  document.addEventListener('keydown', (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    if (document.querySelector('dialog[open]') || isTyping(event.target)) return;
    const key = event.key.toLowerCase();
    const card = here();
    if (key === 'j' || key === 'k') {
      event.preventDefault();
      if (!card) go(place < 0 ? 0 : place);
      else go(cards().indexOf(card) + (key === 'j' ? 1 : -1));
    } else if (VERBS[key] && !event.shiftKey) {
      event.preventDefault();
      // Nothing is decided on a card that one does not see marked.
      if (!card) go(Math.max(0, place));
      else card.querySelector(`[data-verb="${VERBS[key]}"]`)?.click();
    }
  });

  document.addEventListener('pointerdown', () => { walking = false; });

  // The list was drawn anew under the focus: stay at the same place in it.
  document.body.addEventListener('htmx:afterSettle', () => {
    const lost = !document.activeElement || document.activeElement === document.body;
    if (walking && lost && !document.querySelector('dialog[open]')) go(place);
  });
  document.getElementById('dialog').addEventListener('close', () => {
    setTimeout(() => { if (walking && !here()) go(place); }, 0);
  });
})();
