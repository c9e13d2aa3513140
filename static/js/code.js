// JSON on a page: folding of what is shown, and the editor for what is typed (fetched on focus).
(() => {
  'use strict';
  const MOST_LINES = 3000;

  // Works on the indented text itself, so numbers beyond a double stay as they were stored. The
  // marks are for the pointer; the keyboard has the button that folds and unfolds everything.
  function foldable(code) {
    if (code.dataset.source !== undefined) return;
    code.dataset.source = code.textContent;
    const button = code.closest('.code').querySelector('[data-fold]');
    const texts = code.dataset.source.split('\n');
    if (texts.length > MOST_LINES || texts.length < 4) {
      button.hidden = true;
      return;
    }
    const depth = texts.map((text) => text.length - text.trimStart().length);
    const lines = code.innerHTML.split('\n').map((piece) => {
      const line = document.createElement('span');
      line.className = 'json-line';
      line.innerHTML = piece;
      return line;
    });
    const shut = new Set();
    const ends = new Map();
    texts.forEach((text, index) => {
      if (index === 0 || !/[{[]$/.test(text)) return;
      let end = index + 1;
      while (end < texts.length && depth[end] > depth[index]) end += 1;
      ends.set(index, end);
      const mark = document.createElement('span');
      mark.className = 'json-fold';
      mark.addEventListener('click', () => {
        if (!shut.delete(index)) shut.add(index);
        draw();
      });
      lines[index].prepend(mark);
    });
    button.hidden = ends.size === 0;

    function draw() {
      let until = -1;
      lines.forEach((line, index) => {
        line.hidden = index <= until;
        const folded = shut.has(index);
        line.firstElementChild?.classList.toggle('shut', folded);
        line.querySelector('.json-rest')?.remove();
        if (!folded || line.hidden) return;
        until = ends.get(index);
        const rest = document.createElement('span');
        rest.className = 'json-rest';
        rest.textContent = ` … ${texts[until].trim()}`;
        line.append(rest);
      });
      button.setAttribute('aria-expanded', String(shut.size === 0));
    }

    button.addEventListener('click', () => {
      if (shut.size) shut.clear();
      else for (const index of ends.keys()) shut.add(index);
      draw();
    });
    code.replaceChildren(...lines);
  }

  function loadScript(address) {
    return new Promise((done, failed) => {
      const script = document.createElement('script');
      script.src = address;
      script.onload = done;
      script.onerror = failed;
      document.head.append(script);
    });
  }

  let loading;
  function loadEditor() {
    const { codemirror, editor } = document.body.dataset;
    loading ??= loadScript(codemirror).then(() => loadScript(editor));
    return loading;
  }

  document.addEventListener('focusin', (event) => {
    const area = event.target;
    if (!area.matches?.('textarea[data-json-editor]') || area.dataset.editing) return;
    area.dataset.editing = 'yes';
    // Without the editor the text area goes on working as one.
    loadEditor().then(() => window.SparkOps.editJson(area), () => { loading = undefined; });
  });

  const prepare = (scope) => {
    for (const code of scope.querySelectorAll('code[data-json]')) foldable(code);
  };
  document.body.addEventListener('htmx:load', (event) => prepare(event.detail.elt));
  prepare(document);
})();
