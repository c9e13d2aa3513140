// Turns a text area into a JSON editor. It lives in a shadow root, where CodeMirror uses adopted
// style sheets: the page's content policy needs no exception for it.
(() => {
  'use strict';
  const {
    EditorState, EditorView, keymap, lineNumbers, drawSelection, highlightActiveLine, defaultKeymap,
    history, historyKeymap, indentWithTab, bracketMatching, foldGutter, foldKeymap, indentOnInput,
    syntaxTree, syntaxHighlighting, HighlightStyle, closeBrackets, closeBracketsKeymap, search,
    searchKeymap, json, jsonParseLinter, linter, lintGutter, lintKeymap, tags,
  } = window.CodeMirror;

  // Where the browser itself replaces a selection by what is typed, it keeps the colours of the old
  // text in style attributes, which the content policy blocks: so the editor does it.
  const typeOver = EditorView.domEventHandlers({
    beforeinput(event, view) {
      const { from, to, empty } = view.state.selection.main;
      if (event.inputType !== 'insertText' || !event.data || empty || event.isComposing) return false;
      const insert = () => view.state.update(view.state.replaceSelection(event.data), { userEvent: 'input.type' });
      const handlers = view.state.facet(EditorView.inputHandler);
      if (!handlers.some((handle) => handle(view, from, to, event.data, insert))) view.dispatch(insert());
      event.preventDefault();
      return true;
    },
  });

  const theme = EditorView.theme({
    '&': { color: 'var(--text)', backgroundColor: 'var(--panel)', fontSize: '12px', maxHeight: '52dvh' },
    '&.cm-focused': { outline: 'none' },
    '.cm-scroller': { fontFamily: 'var(--mono)', lineHeight: '1.55' },
    '.cm-content': { caretColor: 'var(--text)', minHeight: '150px', padding: '6px 0' },
    '.cm-cursor': { borderLeftColor: 'var(--text)' },
    '.cm-gutters': { backgroundColor: 'var(--sunk)', color: 'var(--faint)', border: 'none' },
    '.cm-activeLine, .cm-activeLineGutter': { backgroundColor: 'var(--hover)' },
    '&.cm-focused > .cm-scroller > .cm-selectionLayer .cm-selectionBackground, .cm-selectionBackground':
      { backgroundColor: 'var(--accent-tint)' },
    '.cm-matchingBracket': { backgroundColor: 'var(--accent-tint) !important', outline: '1px solid var(--accent)' },
    '.cm-tooltip, .cm-panels': { backgroundColor: 'var(--raised)', color: 'var(--text)', border: '1px solid var(--line)' },
    '.cm-diagnostic': { fontFamily: 'var(--face)', borderLeft: '3px solid var(--red)' },
    '.cm-foldPlaceholder': { backgroundColor: 'var(--grey-tint)', color: 'var(--muted)', border: 'none', padding: '0 5px' },
    '.cm-textfield, .cm-button': { backgroundColor: 'var(--panel)', backgroundImage: 'none', color: 'var(--text)', border: '1px solid var(--control-line)' },
  });
  const colours = HighlightStyle.define([
    { tag: tags.propertyName, color: 'var(--accent)' },
    { tag: tags.string, color: 'var(--green)' },
    { tag: tags.number, color: 'var(--blue)' },
    { tag: [tags.bool, tags.null], color: 'var(--amber)' },
  ]);

  // Where the value at a dotted path (`nodes.0.tool`) stands in the text.
  function findPath(state, path) {
    let node = syntaxTree(state).topNode.firstChild;
    for (const part of path.split('.').filter(Boolean)) {
      if (!node) return null;
      if (node.name === 'Array') {
        const items = [];
        for (let child = node.firstChild; child; child = child.nextSibling) {
          if (!['[', ']', ','].includes(child.name)) items.push(child);
        }
        node = items[Number(part)];
      } else if (node.name === 'Object') {
        const found = node.getChildren('Property').find((property) => {
          const name = property.getChild('PropertyName');
          return name && state.sliceDoc(name.from + 1, name.to - 1) === part;
        });
        if (!found) return node;
        node = found.lastChild;
      } else return node;
    }
    return node;
  }

  // Faults the server found stay marked until the text changes.
  function serverFaults(area) {
    const faults = JSON.parse(area.dataset.faults || '[]');
    const first = area.value;
    return (view) => {
      if (view.state.doc.toString() !== first) return [];
      return faults.map((fault) => {
        const node = findPath(view.state, fault.path);
        return { from: node?.from ?? 0, to: Math.max(node?.to ?? 0, (node?.from ?? 0) + 1), severity: 'error', message: fault.message };
      }).filter((mark) => mark.to <= view.state.doc.length);
    };
  }

  function editJson(area) {
    const host = document.createElement('div');
    host.className = 'editor';
    const exit = document.createElement('span');
    exit.tabIndex = -1;
    const root = host.attachShadow({ mode: 'open' });
    const label = area.labels?.[0]?.textContent.trim() ?? area.getAttribute('aria-label') ?? 'JSON';
    const syntax = jsonParseLinter();
    const schema = serverFaults(area);
    const view = new EditorView({
      root,
      parent: root,
      state: EditorState.create({
        doc: area.value,
        selection: { anchor: area.selectionStart ?? 0 },
        extensions: [
          lineNumbers(), foldGutter(), history(), drawSelection(), indentOnInput(), bracketMatching(),
          closeBrackets(), highlightActiveLine(), lintGutter(), search({ top: true }), json(),
          linter((v) => (v.state.doc.toString().trim() ? syntax(v) : []), { delay: 300 }),
          linter(schema, { delay: 0 }),
          // Escape leaves the field, so that Tab may indent without trapping the keyboard: to a
          // place behind it, for from the host itself Tab would lead into the field again.
          keymap.of([{ key: 'Escape', run: (v) => { v.contentDOM.blur(); exit.focus(); return true; } }]),
          keymap.of([...closeBracketsKeymap, ...searchKeymap, ...historyKeymap, ...foldKeymap, ...lintKeymap, ...defaultKeymap, indentWithTab]),
          syntaxHighlighting(colours), theme, typeOver,
          EditorView.contentAttributes.of({
            'aria-label': `${label} (Escape, then Tab, to leave)`,
          }),
          EditorView.updateListener.of((update) => {
            if (!update.docChanged) return;
            area.value = update.state.doc.toString();
            area.dispatchEvent(new Event('input', { bubbles: true }));
          }),
        ],
      }),
    });
    area.after(host, exit);
    area.hidden = true;
    view.focus();
    // A label, or a form's complaint, that points at the text area leads to the editor.
    area.focus = () => view.focus();
    area.addEventListener('change', () => {
      if (area.value !== view.state.doc.toString()) {
        view.dispatch({ changes: { from: 0, to: view.state.doc.length, insert: area.value } });
      }
    });
  }

  window.SparkOps.editJson = editJson;
})();
