// Copies the front-end libraries of package.json into static/vendor and builds the icon sprite.
//
//   npm ci --ignore-scripts && npm run vendor        write everything anew
//   node scripts/vendor.mjs --check                  only compare static/vendor with its checksums
//
// The result is committed, so running Spark-Ops needs neither Node nor a package registry.

import { createHash } from 'node:crypto';
import { mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const vendor = join(root, 'static/vendor');
const sums = join(vendor, 'SHA256SUMS');

const copies = {
  'inter/inter-latin.woff2': '@fontsource-variable/inter/files/inter-latin-wght-normal.woff2',
  'inter/LICENSE': '@fontsource-variable/inter/LICENSE',
  'jetbrains-mono/jetbrains-mono-latin.woff2':
    '@fontsource-variable/jetbrains-mono/files/jetbrains-mono-latin-wght-normal.woff2',
  'jetbrains-mono/LICENSE': '@fontsource-variable/jetbrains-mono/LICENSE',
  'uplot/uplot.js': 'uplot/dist/uPlot.iife.min.js',
  'uplot/uplot.css': 'uplot/dist/uPlot.min.css',
  'uplot/LICENSE': 'uplot/LICENSE',
  'codemirror/LICENSE': 'codemirror/LICENSE',
  'tabler-icons/LICENSE': '@tabler/icons/LICENSE',
};

// What only browser tests load; it is never served.
const testVendor = join(root, 'tests/browser/vendor');
const testCopies = {
  'axe-core/axe.min.js': 'axe-core/axe.min.js',
  'axe-core/LICENSE': 'axe-core/LICENSE',
};

// What the JSON editor needs, and no more, as one global named CodeMirror.
const editorEntry = `
  export { EditorState, Compartment } from '@codemirror/state';
  export { EditorView, keymap, lineNumbers, drawSelection, highlightActiveLine } from '@codemirror/view';
  export { defaultKeymap, history, historyKeymap, indentWithTab } from '@codemirror/commands';
  export { bracketMatching, foldGutter, foldKeymap, indentOnInput, indentUnit, syntaxTree,
           syntaxHighlighting, HighlightStyle } from '@codemirror/language';
  export { closeBrackets, closeBracketsKeymap } from '@codemirror/autocomplete';
  export { search, searchKeymap } from '@codemirror/search';
  export { json, jsonParseLinter } from '@codemirror/lang-json';
  export { linter, lintGutter, lintKeymap } from '@codemirror/lint';
  export { tags } from '@lezer/highlight';
`;

// Hand-picked outlines; a name on the right is Tabler's, on the left ours where it differs.
const icons = `
  activity alert-circle alert-triangle archive arrow-back-up arrow-down arrow-up ban bell bolt book
  brand-python broadcast calendar-time category check checklist chevron-down chevron-left
  chevron-right chevron-up circle-check circle-x clock code copy database device-desktop dots
  download external-link eye file-export filter forms git-branch git-compare help-circle history
  hourglass info-circle key layout-dashboard layout-sidebar-left-collapse link list-details
  list-tree lock logout menu-2 moon pencil plug plus refresh repeat robot rocket rotate-clockwise
  schema search selector server settings shield-check stack-2 sun tag terminal-2 text-wrap tool
  transform trash upload user users wallet world x player-pause player-play player-stop chart-line
  checks git-merge sitemap shield alert-octagon
`.trim().split(/\s+/).map((entry) => (entry.includes('=') ? entry.split('=') : [entry, entry]));

// A state is told by shape as well as colour; these six are ours, on a 12 unit square.
const states = {
  done: '<circle cx="6" cy="6" r="4.5" fill="currentColor"/>',
  running: '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor"/><path d="M6 2a4 4 0 0 0 0 8z" fill="currentColor"/>',
  queued: '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.5"/>',
  waiting: '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor"/><path d="M6 6V2a4 4 0 0 1 4 4z" fill="currentColor"/>',
  failed: '<path d="M2.8 2.8l6.4 6.4M9.2 2.8l-6.4 6.4" fill="none" stroke="currentColor" stroke-width="1.7" stroke-linecap="round"/>',
  cancelled: '<circle cx="6" cy="6" r="4" fill="none" stroke="currentColor" stroke-width="1.2"/><path d="M3.2 8.8l5.6-5.6" stroke="currentColor" stroke-width="1.2"/>',
};

const withoutMaps = (bytes, name) =>
  /\.(js|css)$/.test(name)
    ? Buffer.from(bytes.toString().replace(/^.*[#@] ?sourceMappingURL=.*$/gm, ''))
    : bytes;

async function write(target, bytes) {
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, bytes);
}

async function buildSprite() {
  const symbols = [];
  for (const [name, source] of icons) {
    const svg = await readFile(join(root, `node_modules/@tabler/icons/icons/outline/${source}.svg`), 'utf8');
    const body = svg
      .replace(/^[\s\S]*?<svg[\s\S]*?>/, '')
      .replace('</svg>', '')
      .replace(/<path stroke="none" d="M0 0h24v24H0z" fill="none" ?\/>/, '')
      .replace(/\s*\n\s*/g, '')
      .replace(/ \/>/g, '/>');
    symbols.push(`<symbol id="${name}" viewBox="0 0 24 24">${body}</symbol>`);
  }
  for (const [name, body] of Object.entries(states)) {
    symbols.push(`<symbol id="state-${name}" viewBox="0 0 12 12">${body}</symbol>`);
  }
  const note = '<!-- Built by scripts/vendor.mjs. Outlines: Tabler Icons, MIT, Paweł Kuna. -->';
  const sprite = `<svg xmlns="http://www.w3.org/2000/svg">\n${note}\n${symbols.join('\n')}\n</svg>\n`;
  await write(join(root, 'static/img/icons.svg'), sprite);
}

async function buildEditor() {
  const { build } = await import('esbuild');
  const result = await build({
    stdin: { contents: editorEntry, resolveDir: root },
    bundle: true,
    minify: true,
    format: 'iife',
    globalName: 'CodeMirror',
    target: 'es2022',
    legalComments: 'none',
    write: false,
  });
  await write(join(vendor, 'codemirror/codemirror.js'), result.outputFiles[0].contents);
}

async function listFiles(folder) {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath ?? entry.path, entry.name))
    .filter((path) => !path.endsWith('SHA256SUMS'))
    .sort();
}

async function sumsOf(files, base) {
  const lines = [];
  for (const path of files) {
    const hash = createHash('sha256').update(await readFile(path)).digest('hex');
    lines.push(`${hash}  ${relative(base, path)}`);
  }
  return `${lines.join('\n')}\n`;
}

async function checksums() {
  const files = [...(await listFiles(vendor)), join(root, 'static/img/icons.svg')];
  return sumsOf(files, join(root, 'static'));
}

if (process.argv.includes('--check')) {
  const [kept, found] = [await readFile(sums, 'utf8'), await checksums()];
  if (kept !== found) {
    console.error('static/vendor differs from static/vendor/SHA256SUMS; run: npm run vendor');
    process.exit(1);
  }
  console.log('static/vendor matches its checksums');
} else {
  await rm(vendor, { recursive: true, force: true });
  for (const [target, source] of Object.entries(copies)) {
    const bytes = await readFile(join(root, 'node_modules', source));
    await write(join(vendor, target), withoutMaps(bytes, target));
  }
  for (const [target, source] of Object.entries(testCopies)) {
    await write(join(testVendor, target), await readFile(join(root, 'node_modules', source)));
  }
  await writeFile(join(testVendor, 'SHA256SUMS'), await sumsOf(await listFiles(testVendor), testVendor));
  await buildEditor();
  await buildSprite();
  await writeFile(sums, await checksums());
  console.log(await readFile(sums, 'utf8'));
}
