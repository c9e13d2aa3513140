// One socket for the subject of the page (<body data-live="/ws/runs/<id>?after=12">). A message is
// a doorbell: elements that asked for its type fetch themselves anew, at most twice a second, never
// under somebody's hands. Messages are gathered for a moment first, so that a hundred a second cost
// no more than a few.
(() => {
  'use strict';
  const path = document.body.dataset.live;
  if (!path) return;

  const dot = document.getElementById('live-state');
  const WORDS = { live: 'Live', reconnecting: 'Reconnecting', offline: 'Offline' };
  const PAUSE = 500;
  const GATHER = 100;
  // With so many at once, all that is on the page is looked at instead of each message.
  const FLOOD = 1_000;
  // A row under the pointer or with an open menu stays as it is; a tick finds itself again.
  const HELD = '[data-live-rows] tr:is(:hover, :focus-within:not(:has([data-select]:focus)), :has([popover]:popover-open))';
  const url = new URL(path, location.href);
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:';
  let last = Number(url.searchParams.get('after') ?? -1);
  let tries = 0;
  let silence;
  let socket;
  let retryTimer;

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

  // Rows of a list: those that changed are fetched together, twice a second at most, and not again
  // before the last answer is there.
  const changed = new Set();
  let rowsTimer;
  let asking = false;

  const about = (message) => message.run ?? message.agent ?? message.approval;
  const rowOf = (id) => id && document.getElementById(`row-${id}`);

  function markRow(message) {
    const list = document.querySelector('[data-live-rows]');
    if (!list || !rowOf(about(message))) return;
    if (!list.dataset.liveRows.split(',').some((prefix) => message.type.startsWith(prefix))) return;
    changed.add(about(message));
    rowsTimer ??= setTimeout(fetchRows, PAUSE);
  }

  async function fetchRows() {
    rowsTimer = undefined;
    if (document.hidden || asking) return;
    const held = document.querySelector(HELD)?.id;
    const now = [...changed].filter((id) => `row-${id}` !== held && rowOf(id)).slice(0, 200);
    for (const id of [...changed]) if (now.includes(id) || !rowOf(id)) changed.delete(id);
    if (now.length) {
      const address = new URL(location.href);
      address.searchParams.set('rows', now.join(','));
      asking = true;
      try {
        await window.htmx.ajax('GET', address.pathname + address.search, { target: 'body', swap: 'none' });
      } catch {
        // A toast has said so; the rows are asked for again with the next change.
        for (const id of now) changed.add(id);
        return;
      } finally {
        asking = false;
      }
    }
    if (changed.size) rowsTimer ??= setTimeout(fetchRows, PAUSE);
  }

  // New rows wait behind a counter.
  function countNew(messages) {
    for (const button of document.querySelectorAll('[data-live-count]')) {
      const fresh = messages.filter((message) => message.type === button.dataset.liveCount && !rowOf(about(message)));
      if (!fresh.length) continue;
      const count = Number(button.dataset.count ?? 0) + fresh.length;
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

  let inbox = [];
  let inboxTimer;

  function workThrough() {
    const messages = inbox;
    inbox = [];
    inboxTimer = undefined;
    countNew(messages);
    if (messages.length > FLOOD) {
      markAll();
      for (const row of document.querySelectorAll('[data-live-rows] tr[id^="row-"]')) changed.add(row.id.slice(4));
      rowsTimer ??= setTimeout(fetchRows, PAUSE);
      return;
    }
    for (const type of new Set(messages.map((message) => message.type))) mark(type);
    for (const message of messages) markRow(message);
  }

  // --- the socket
  function heard(message) {
    if (message.type === 'ping') return;
    if (message.type === 'tokens') {
      // No event: it has no place in the order and may be lost.
      document.body.dispatchEvent(new CustomEvent('live:tokens', { detail: message }));
      return;
    }
    if (message.type === 'ready') {
      // Without a place to go on from, begin at what the server calls the last.
      if (last < 0) last = message.last_seq;
      tries = 0;
      return;
    }
    if (message.seq <= last) return;
    last = message.seq;
    inbox.push(message);
    inboxTimer ??= setTimeout(workThrough, GATHER);
  }

  function listen() {
    clearTimeout(silence);
    // Two missed pings: the line is dead, though nobody said so.
    silence = setTimeout(() => socket.close(), 45_000);
  }

  function connect() {
    retryTimer = undefined;
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
      retryTimer = setTimeout(connect, ceiling / 2 + Math.random() * (ceiling / 2));
    };
  }

  // The network is back: do not wait for the pause to end.
  function hurry() {
    if (socket.readyState !== WebSocket.CLOSED || retryTimer === undefined) return;
    clearTimeout(retryTimer);
    tries = 0;
    connect();
  }

  addEventListener('offline', () => show('offline'));
  addEventListener('online', () => {
    if (socket.readyState !== WebSocket.OPEN) show('reconnecting');
    hurry();
  });
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) return;
    if (changed.size) rowsTimer ??= setTimeout(fetchRows, 0);
    for (const [id, state] of waiting) if (state.dirty && !state.timer) fetchAnew(id);
  });
  connect();
})();
