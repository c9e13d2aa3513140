// The one dialog: opens whatever htmx puts into it, closes on success, gives the focus back.
// Also says in a toast what went wrong with a request, and how to try again.
(() => {
  'use strict';
  const dialog = document.getElementById('dialog');
  let opener = null;
  let typed = false;

  const inside = (element) => element instanceof Element && dialog.contains(element);

  function close() {
    typed = false;
    if (dialog.open) dialog.close();
  }

  document.body.addEventListener('htmx:beforeRequest', (event) => {
    if (event.detail.target === dialog && !inside(event.detail.elt)) opener = event.detail.elt;
  });

  dialog.addEventListener('htmx:afterSettle', () => {
    if (!dialog.childElementCount) return;
    if (!dialog.open) dialog.showModal();
    const first = dialog.querySelector('[aria-invalid="true"], [autofocus]')
      ?? dialog.querySelector('.dialog-body :is(input:not([type="hidden"]), select, textarea):not([disabled])');
    (first ?? dialog.querySelector('.dialog-foot .button') ?? dialog.querySelector('[data-close]'))?.focus();
  });

  // 204 from a form of the dialog means: done. What changed is told by events (HX-Trigger).
  document.body.addEventListener('htmx:afterRequest', (event) => {
    if (inside(event.detail.elt) && event.detail.xhr.status === 204) close();
  });

  dialog.addEventListener('close', () => {
    typed = false;
    dialog.replaceChildren();
    const still = opener?.isConnected ? opener : opener?.id && document.getElementById(opener.id);
    still?.focus?.();
    opener = null;
  });
  dialog.addEventListener('input', () => { typed = true; });
  dialog.addEventListener('click', (event) => {
    if (event.target.closest('[data-close]')) {
      event.preventDefault();
      close();
    } else if (event.target === dialog && !typed) {
      close();
    }
  });
  // Escape asks once more before it throws typed words away.
  dialog.addEventListener('cancel', (event) => {
    if (!typed) return;
    event.preventDefault();
    typed = false;
    window.SparkOps.toast({ level: 'warning', text: 'Press Escape again to leave without saving.' });
  });

  function saidAlready(xhr) {
    return (xhr.getResponseHeader('HX-Trigger') ?? '').includes('"toast"');
  }

  function retryOf(event) {
    const { elt, requestConfig } = event.detail;
    if (!requestConfig || requestConfig.verb !== 'get') return undefined;
    return { run: () => window.htmx.trigger(elt, event.detail.requestConfig.triggeringEvent?.type ?? 'click') };
  }

  const WORDS = {
    401: 'You are signed out. Sign in again and repeat this.',
    403: 'Your role in this project does not allow this.',
    404: 'This is not there any more.',
    412: 'Someone changed this in the meantime. Reload and try again.',
    413: 'That is too large to be sent.',
    429: 'Too many requests. Wait a moment and try again.',
    503: 'The server is not ready. Try again in a moment.',
  };

  document.body.addEventListener('htmx:responseError', (event) => {
    const { xhr } = event.detail;
    if (saidAlready(xhr)) return;
    window.SparkOps.toast({
      level: 'error',
      text: WORDS[xhr.status] ?? `The server could not do this (${xhr.status}).`,
      request_id: xhr.getResponseHeader('X-Request-ID') ?? undefined,
      retry: retryOf(event),
    });
  });
  for (const name of ['htmx:sendError', 'htmx:timeout']) {
    document.body.addEventListener(name, (event) => {
      window.SparkOps.toast({
        level: 'error',
        text: 'The server did not answer. Nothing you typed is lost.',
        retry: retryOf(event),
      });
    });
  }
})();
