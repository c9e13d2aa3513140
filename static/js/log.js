// The log of a run: stays at its end while new lines come, unless somebody has scrolled up.
(() => {
  'use strict';
  const log = () => document.getElementById('log-lines');
  let atEnd = true;

  const toEnd = () => { if (log()) log().scrollTop = log().scrollHeight; };

  document.body.addEventListener('htmx:beforeSwap', (event) => {
    if (event.detail.target.id !== 'log-tail') return;
    const box = log();
    const follows = document.querySelector('[data-log-follow]')?.checked ?? true;
    atEnd = follows && box.scrollTop + box.clientHeight >= box.scrollHeight - 40;
  });
  document.body.addEventListener('htmx:afterSettle', (event) => {
    if (event.target.closest?.('#log-lines')) {
      if (atEnd) toEnd();
    } else if (event.target.querySelector?.('#log-lines')) toEnd();
  });
  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-log-wrap]')) {
      event.stopPropagation();
      log()?.classList.toggle('wraps', event.target.checked);
    }
    if (event.target.matches('[data-log-follow]')) {
      event.stopPropagation();
      if (event.target.checked) toEnd();
    }
  }, true);
  toEnd();
})();
