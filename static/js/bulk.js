// Rows of a list that are ticked: what is chosen outlives the fetching anew of rows and of the
// table, as long as the row is on the page. The bar shows itself once something is chosen.
(() => {
  'use strict';
  const chosen = new Set();
  let last = null;

  const bar = () => document.getElementById('bulk-form');
  const boxes = () => [...document.querySelectorAll('[data-select]')];
  const whole = () => bar()?.querySelector('[data-bulk-all]');

  function words(count, all) {
    const { noun, plural, all: total } = bar().dataset;
    if (all) return `All ${total} ${plural} chosen`;
    return `${count.toLocaleString('en')} ${count === 1 ? noun : plural} chosen`;
  }

  function draw() {
    if (!bar() || !boxes().length) return;
    const all = whole()?.checked ?? false;
    for (const box of boxes()) {
      box.checked = all || chosen.has(box.value);
      box.closest('tr').toggleAttribute('aria-selected', box.checked);
      if (box.checked) box.closest('tr').setAttribute('aria-selected', 'true');
    }
    const count = boxes().filter((box) => box.checked).length;
    bar().toggleAttribute('data-open', count > 0);
    const text = count ? words(count, all) : '';
    const place = bar().querySelector('[data-bulk-count]');
    if (place.textContent !== text) place.textContent = text;
    const head = document.querySelector('[data-select-page]');
    if (head) {
      head.checked = count > 0 && count === boxes().length;
      head.indeterminate = count > 0 && count < boxes().length;
    }
  }

  // What is no longer on the page is no longer chosen.
  function keep() {
    const here = new Set(boxes().map((box) => box.value));
    for (const id of chosen) if (!here.has(id)) chosen.delete(id);
    if (last && !here.has(last)) last = null;
    draw();
  }

  function clear() {
    chosen.clear();
    last = null;
    if (whole()) whole().checked = false;
    draw();
  }

  function tick(box, on) {
    if (on) chosen.add(box.value);
    else chosen.delete(box.value);
  }

  // With Shift, everything from the box that was ticked before.
  function range(to, on) {
    const all = boxes();
    const from = all.findIndex((box) => box.value === last);
    if (from < 0) return;
    const [low, high] = [from, all.indexOf(to)].sort((a, b) => a - b);
    for (const box of all.slice(low, high + 1)) tick(box, on);
  }

  function exported(link) {
    const address = new URL(link.getAttribute('href'), location.href);
    const query = new URLSearchParams(location.search);
    for (const name of ['page', 'page_size', 'rows', 'view']) query.delete(name);
    query.set('export', link.dataset.bulkExport);
    if (!whole()?.checked) for (const id of chosen) query.append('selected', id);
    address.search = query;
    return address.href;
  }

  document.addEventListener('click', (event) => {
    const box = event.target.closest('[data-select]');
    if (box) {
      if (whole()) whole().checked = false;
      if (event.shiftKey && last) range(box, box.checked);
      tick(box, box.checked);
      last = box.value;
      draw();
      return;
    }
    const link = event.target.closest('[data-bulk-export]');
    if (link) link.href = exported(link);
    if (event.target.closest('[data-bulk-clear]')) clear();
  });

  document.addEventListener('change', (event) => {
    if (event.target.matches('[data-select-page]')) {
      if (whole()) whole().checked = false;
      for (const box of boxes()) tick(box, event.target.checked);
      draw();
    } else if (event.target.matches('[data-bulk-all]')) {
      for (const box of boxes()) tick(box, event.target.checked);
      draw();
    }
  });

  for (const name of ['htmx:afterSwap', 'htmx:oobAfterSwap', 'htmx:historyRestore']) {
    document.body.addEventListener(name, keep);
  }
  document.body.addEventListener('bulk-done', clear);
  addEventListener('pageshow', () => {
    for (const box of boxes()) tick(box, box.checked);
    draw();
  });
})();
