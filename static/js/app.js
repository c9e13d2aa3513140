// Small manners of every page: theme, rail, popovers, copying, times, toasts. Works on whatever is
// swapped in later, because all listening is done on the document.
(() => {
  'use strict';
  const root = document.documentElement;
  const remember = (name, value) => {
    document.cookie = `${name}=${value};path=/;max-age=31536000;samesite=lax`;
  };
  const icon = (name) => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
    use.setAttribute('href', `${document.body.dataset.icons}#${name}`);
    svg.setAttribute('class', 'icon');
    svg.setAttribute('aria-hidden', 'true');
    svg.append(use);
    return svg;
  };
  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  // --- theme, rail, drawer
  function toggleTheme() {
    const dark = root.dataset.theme
      ? root.dataset.theme === 'dark'
      : matchMedia('(prefers-color-scheme: dark)').matches;
    root.dataset.theme = dark ? 'light' : 'dark';
    remember('theme', root.dataset.theme);
    document.dispatchEvent(new CustomEvent('theme-changed'));
  }

  function foldRail() {
    const narrow = root.dataset.rail !== 'narrow';
    if (narrow) root.dataset.rail = 'narrow';
    else delete root.dataset.rail;
    remember('rail', narrow ? 'narrow' : 'wide');
  }

  function drawer(open) {
    const rail = document.getElementById('rail');
    const main = document.querySelector('.main');
    if (!rail) return;
    rail.toggleAttribute('data-open', open);
    main.inert = open;
    const target = open ? rail.querySelector('.rail-close') : document.querySelector('.drawer-open');
    target?.focus();
  }

  // --- popovers where the browser has no anchors
  function place(popover) {
    if (CSS.supports('position-area: bottom')) return;
    const button = document.querySelector(`[popovertarget="${CSS.escape(popover.id)}"]`);
    if (!button) return;
    const from = button.getBoundingClientRect();
    const size = popover.getBoundingClientRect();
    const wanted = popover.classList.contains('to-left') ? from.right - size.width : from.left;
    const below = from.bottom + size.height + 8 < innerHeight;
    popover.style.left = `${Math.max(8, Math.min(wanted, innerWidth - size.width - 8))}px`;
    popover.style.top = `${below ? from.bottom : Math.max(8, from.top - size.height - 8)}px`;
  }

  // --- copying
  async function copy(text, button) {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      const area = make('textarea');
      area.value = text;
      (button.closest('dialog') ?? document.body).append(area);
      area.select();
      document.execCommand('copy');
      area.remove();
    }
    const before = button.firstElementChild;
    const done = icon('check');
    before.replaceWith(done);
    setTimeout(() => done.replaceWith(before), 1200);
    say('Copied');
  }

  // --- toasts
  const box = () => document.getElementById('toasts');
  const SHAPES = { success: 'done', error: 'failed', warning: 'waiting', info: 'queued' };
  const TONES = { success: 'green', error: 'red', warning: 'amber', info: 'grey' };

  function lift() {
    const toasts = box();
    if (!toasts?.showPopover) return;
    toasts.setAttribute('popover', 'manual');
    if (toasts.matches(':popover-open')) toasts.hidePopover();
    if (toasts.childElementCount) toasts.showPopover();
  }

  function stayFor(toast) {
    const seconds = toast.dataset.level === 'error' ? 20 : 6;
    let timer;
    const start = () => { timer = setTimeout(() => { toast.remove(); lift(); }, seconds * 1000); };
    const stop = () => clearTimeout(timer);
    toast.addEventListener('pointerenter', stop);
    toast.addEventListener('pointerleave', start);
    toast.addEventListener('focusin', stop);
    toast.addEventListener('focusout', start);
    start();
  }

  // {level, text, request_id?, retry?: {label, run}}
  function toast({ level = 'info', text, request_id: requestId, retry }) {
    const element = make('div', 'toast');
    element.dataset.level = level;
    if (level === 'error') element.setAttribute('role', 'alert');
    const mark = icon(`state-${SHAPES[level] ?? 'queued'}`);
    mark.setAttribute('class', `shape tone-${TONES[level] ?? 'grey'}`);
    const close = make('button', 'icon-button small quiet');
    close.type = 'button';
    close.dataset.dismiss = '';
    close.setAttribute('aria-label', 'Dismiss');
    close.append(icon('x'));
    element.append(mark, make('p', '', text), close);
    if (requestId || retry) {
      const more = make('div', 'more');
      if (retry) {
        const again = make('button', 'button link', retry.label ?? 'Try again');
        again.type = 'button';
        again.addEventListener('click', () => { element.remove(); lift(); retry.run(); });
        more.append(again);
      }
      if (requestId) {
        const words = make('span', '', 'Request ');
        words.append(make('code', '', requestId));
        more.append(words);
      }
      element.append(more);
    }
    const same = [...box().children].find((other) => other.querySelector('p').textContent === text);
    same?.remove();
    box().append(element);
    while (box().childElementCount > 4) box().firstElementChild.remove();
    lift();
    stayFor(element);
  }

  let speaker;
  function say(text) {
    speaker ??= document.body.appendChild(make('div', 'only-read'));
    speaker.setAttribute('aria-live', 'polite');
    speaker.textContent = text;
  }

  // --- relative times; the words are those of templatetags/formats.py
  function ago(then, now) {
    const seconds = (now - then) / 1000;
    const size = Math.abs(seconds);
    if (size < 5) return 'now';
    let words;
    if (size < 60) words = `${Math.floor(size)} s`;
    else if (size < 3600) words = `${Math.floor(size / 60)} min`;
    else if (size < 86400) words = `${Math.floor(size / 3600)} h`;
    else if (size < 30 * 86400) words = `${Math.floor(size / 86400)} d`;
    else return null;
    return seconds > 0 ? `${words} ago` : `in ${words}`;
  }

  function freshen() {
    const now = Date.now();
    for (const time of document.querySelectorAll('time[data-ago]')) {
      const words = ago(Date.parse(time.dateTime), now);
      if (words && words !== time.textContent) time.textContent = words;
    }
  }

  // How long something has been going on; the words are those of templatetags/formats.py.
  function lasting(ms) {
    if (ms < 1000) return `${Math.round(ms)} ms`;
    if (ms < 9995) return `${(ms / 1000).toFixed(2)} s`;
    if (ms < 59950) return `${(ms / 1000).toFixed(1)} s`;
    const seconds = Math.round(ms / 1000);
    if (seconds < 3600) return `${Math.floor(seconds / 60)} m ${String(seconds % 60).padStart(2, '0')} s`;
    const minutes = Math.round(ms / 60000);
    if (minutes < 1440) return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, '0')} m`;
    return `${Math.floor(minutes / 1440)} d ${Math.round(minutes / 60) % 24} h`;
  }

  function count() {
    if (document.hidden) return;
    const now = Date.now();
    for (const element of document.querySelectorAll('[data-since]')) {
      element.textContent = lasting(Math.max(0, now - Date.parse(element.dataset.since)));
    }
  }

  // --- listening
  const clicks = {
    'data-theme-toggle': toggleTheme,
    'data-rail-fold': foldRail,
    'data-drawer': (button) => drawer(button.dataset.drawer === 'open'),
    'data-copy': (button) => copy(button.dataset.copy, button),
    'data-copy-near': (button) => copy(button.closest('.code').querySelector('code').dataset.source
      ?? button.closest('.code').querySelector('code').textContent, button),
    'data-wrap': (button) => button.closest('.code').classList.toggle('wrap'),
    'data-reveal': (button) => {
      const input = document.getElementById(button.dataset.reveal);
      const shown = input.type === 'password';
      input.type = shown ? 'text' : 'password';
      button.setAttribute('aria-pressed', String(shown));
    },
    'data-dismiss': (button) => { button.closest('.toast').remove(); lift(); },
  };

  document.addEventListener('click', (event) => {
    for (const [name, act] of Object.entries(clicks)) {
      const button = event.target.closest(`[${name}]`);
      if (button) {
        event.preventDefault();
        act(button);
        return;
      }
    }
    if (event.target.closest('.drawer-shade')) {
      event.preventDefault();
      drawer(false);
    }
    // A popover's own link or button has done its work: put the popover away.
    if (event.target.closest('[popover] .menu-item')) {
      event.target.closest('[popover]').hidePopover?.();
    }
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && document.querySelector('.rail[data-open]')) drawer(false);
  });
  document.addEventListener('toggle', (event) => {
    if (event.target.popover && event.newState === 'open') place(event.target);
  }, true);
  document.addEventListener('input', (event) => {
    const list = event.target.dataset.filterList && document.getElementById(event.target.dataset.filterList);
    if (!list) return;
    const wanted = event.target.value.trim().toLowerCase();
    for (const item of list.children) item.hidden = !item.textContent.toLowerCase().includes(wanted);
  });
  // A plain form shows that it was sent, and is sent once.
  document.addEventListener('submit', (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.matches('[hx-post], [hx-get]') || form.method === 'get') return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = 'yes';
    event.submitter?.setAttribute('data-busy', '');
  });
  // Of several buttons of a form the one that was pressed shows that it works.
  for (const [name, on] of [['htmx:beforeRequest', true], ['htmx:afterRequest', false]]) {
    document.body.addEventListener(name, (event) => {
      const pressed = event.detail.requestConfig?.triggeringEvent?.submitter;
      pressed?.toggleAttribute('data-busy', on);
    });
  }
  // A filter that is empty does not belong in the URL.
  document.body.addEventListener('htmx:configRequest', (event) => {
    if (event.detail.verb !== 'get' || !event.detail.elt.matches('form')) return;
    const { formData } = event.detail;
    const given = [...formData];
    for (const name of new Set(given.filter(([, value]) => value === '').map(([name]) => name))) {
      formData.delete(name);
      for (const [same, value] of given) if (same === name && value !== '') formData.append(name, value);
    }
  });
  addEventListener('pageshow', () => {
    for (const form of document.querySelectorAll('form[data-sent]')) delete form.dataset.sent;
    for (const button of document.querySelectorAll('form [data-busy]')) button.removeAttribute('data-busy');
  });

  // On a narrow screen the tab one is at may lie beyond the edge.
  function unhideTab() {
    const tab = document.querySelector('.tabs [aria-current]');
    const strip = tab?.closest('.tabs');
    if (!strip || strip.scrollWidth <= strip.clientWidth) return;
    strip.scrollLeft = tab.offsetLeft - strip.offsetLeft - (strip.clientWidth - tab.offsetWidth) / 2;
  }

  for (const element of box()?.children ?? []) stayFor(element);
  lift();
  unhideTab();
  setInterval(freshen, 10_000);
  setInterval(count, 500);
  freshen();
  document.body.addEventListener('htmx:load', freshen);
  document.body.addEventListener('htmx:load', unhideTab);
  document.body.addEventListener('toast', (event) => toast(event.detail));

  window.SparkOps = { toast, say, icon, make };
})();
