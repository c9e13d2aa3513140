// One socket for the subject of the page (<body data-live="/ws/runs/<id>?after=12">). A message is
// a doorbell: it becomes a DOM event, and elements that asked for it fetch themselves anew, at most
// twice a second, never under somebody's hands.
(() => {
  'use strict';
  const path = document.body.dataset.live;
  if (!path) return;

  const dot = document.getElementById('live-state');
  const WORDS = { live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline' };
  const PAUSE = 500;
  const url = new URL(path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  let last = Number(url.searchParams.get('after') ?? -1);
  let tries = 0;
  let silence;
  let socket;

  function show(state) {
    if (!dot) return;
    dot.hidden = false;
    dot.dataset.state = state;
    dot.title = WORDS[state];
    const words = dot.querySelector('.words');
    if (words.textContent !== WORDS[state]) words.textContent = WORDS[state];
  }

  // --- the elements that follow
  const waiting = new Map();

  const wanted = (element, type) => element.dataset.liveRefresh
    .split(',').map((prefix) => prefix.trim()).some((prefix) => prefix && type.startsWith(prefix));

  function busy(element) {
    const active = document.activeElement;
    const typing = element.contains(active) && active.matches('input:not([type="checkbox"]), select, textarea, [contenteditable]');
    const selected = getSelection();
    const reading = selected && !selected.isCollapsed && element.contains(selected.anchorNode);
    return typing || reading || element.querySelector('[popover]:popover-open') || element.matches('.htmx-request');
  }

  function fetchAnew(id) {
    const state = waiting.get(id);
    const element = document.getElementById(id);
    state.timer = null;
    if (!element || !state.dirty) return;
    if (document.hidden) return;
    if (busy(element)) {
      state.timer = setTimeout(() => fetchAnew(id), PAUSE);
      return;
    }
    state.dirty = false;
    state.timer = setTimeout(() => fetchAnew(id), Number(element.dataset.livePause ?? PAUSE));
    window.htmx.trigger(element, 'live-refresh');
  }

  function mark(type) {
    for (const element of document.querySelectorAll('[data-live-refresh][id]')) {
      if (!wanted(element, type)) continue;
      const state = waiting.get(element.id) ?? { dirty: false, timer: null };
      waiting.set(element.id, state);
      state.dirty = true;
      if (!state.timer) fetchAnew(element.id);
    }
  }

  // Rows of a list: those that changed are fetched together, twice a second at most.
  const changed = new Set();
  let rowsTimer;

  function markRow(message) {
    const list = document.querySelector('[data-live-rows]');
    const row = list && message.run && document.getElementById(`row-${message.run}`);
    if (!row || !message.type.startsWith(list.dataset.liveRows)) return;
    changed.add(message.run);
    rowsTimer ??= setTimeout(fetchRows, PAUSE);
  }

  function fetchRows() {
    rowsTimer = undefined;
    const held = document.querySelector('[data-live-rows] tr:hover, [data-live-rows] tr:focus-within')?.id;
    const now = [...changed].filter((id) => `row-${id}` !== held);
    if (changed.size && !document.hidden) rowsTimer = setTimeout(fetchRows, PAUSE);
    if (!now.length || document.hidden) return;
    for (const id of now) changed.delete(id);
    const address = new URL(location.href);
    address.searchParams.set('rows', now.slice(0, 200).join(','));
    window.htmx.ajax('GET', address.pathname + address.search, { target: 'body', swap: 'none' });
  }

  // New rows wait behind a counter.
  function countNew(message) {
    for (const button of document.querySelectorAll('[data-live-count]')) {
      if (message.type !== button.dataset.liveCount) continue;
      const count = Number(button.dataset.count ?? 0) + 1;
      button.dataset.count = String(count);
      button.textContent = `${count.toLocaleString('en')} new ${button.dataset.noun}${count === 1 ? '' : 's'}`;
      button.hidden = false;
    }
  }

  function markAll() {
    for (const element of document.querySelectorAll('[data-live-refresh][id]')) {
      mark(element.dataset.liveRefresh.split(',')[0].trim());
    }
  }

  // --- the socket
  function heard(message) {
    if (message.type === 'ping') return;
    if (message.type === 'ready') {
      // Without a place to go on from, begin at what the server calls the last.
      if (last < 0) last = message.last_seq;
      tries = 0;
      return;
    }
    if (message.seq <= last) return;
    last = message.seq;
    mark(message.type);
    markRow(message);
    countNew(message);
    document.body.dispatchEvent(new CustomEvent(`live:${message.type}`, { detail: message }));
    document.body.dispatchEvent(new CustomEvent('live:any', { detail: message }));
  }

  function listen() {
    clearTimeout(silence);
    // Two missed pings: the line is dead, though nobody said so.
    silence = setTimeout(() => socket.close(), 45_000);
  }

  function connect() {
    if (last >= 0) url.searchParams.set('after', last);
    socket = new WebSocket(url);
    socket.onopen = () => {
      if (tries > 0 && last < 0) markAll();
      show('live');
      listen();
    };
    socket.onmessage = (event) => {
      listen();
      heard(JSON.parse(event.data));
    };
    socket.onclose = (event) => {
      clearTimeout(silence);
      if (event.code === 4401) {
        show('offline');
        window.SparkOps.toast({ level: 'warning', text: 'You are signed out; this page no longer follows.' });
        return;
      }
      if (event.code === 4403 || event.code === 4404) {
        show('offline');
        return;
      }
      show(navigator.onLine ? 'reconnecting' : 'offline');
      const ceiling = Math.min(30_000, 500 * 2 ** tries);
      tries += 1;
      setTimeout(connect, ceiling / 2 + Math.random() * (ceiling / 2));
    };
  }

  addEventListener('offline', () => show('offline'));
  addEventListener('online', () => { if (socket.readyState !== WebSocket.OPEN) show('reconnecting'); });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    if (changed.size) rowsTimer ??= setTimeout(fetchRows, 0);
    for (const [id, state] of waiting) if (state.dirty && !state.timer) fetchAnew(id);
  });
  connect();
})();
