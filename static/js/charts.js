// Charts: every <figure data-chart> is drawn by uPlot from what its hidden links fetch. A link names
// a source (an API route that answers {buckets} or {results}), a key of its rows and a colour. uPlot
// is loaded when the first chart comes into the page.
(() => {
  'use strict';
  const library = document.currentScript.dataset.uplot;
  const PALETTE = ['--blue', '--green', '--amber', '--accent', '--red', '--grey'];
  const HEIGHT = 190;
  const drawn = new Map();
  let loading;

  function load() {
    loading ??= new Promise((resolve, reject) => {
      const script = document.createElement('script');
      script.src = library;
      script.onload = () => resolve(window.uPlot);
      script.onerror = reject;
      document.head.append(script);
    });
    return loading;
  }

  const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 });
  const FORMATS = {
    count: (n) => short.format(n),
    ms: (n) => (n < 1000 ? `${Math.round(n)} ms` : `${(n / 1000).toFixed(n < 10_000 ? 2 : 1)} s`),
    money: (n) => `$${n < 0.01 && n > 0 ? n.toPrecision(2) : n.toFixed(2)}`,
    bytes: (n) => `${(n / 1048576).toFixed(n < 10_485_760 ? 1 : 0)} MB`,
  };

  // A token such as light-dark(…) is resolved by the browser where it is used.
  function colour(figure, token) {
    figure.style.color = `var(${token})`;
    const found = getComputedStyle(figure).color;
    figure.style.color = '';
    return found;
  }

  async function read(links) {
    const answers = new Map();
    for (const link of links) {
      const url = link.dataset.source;
      if (!answers.has(url)) {
        answers.set(url, fetch(url, { headers: { Accept: 'application/json' } }).then((answer) => {
          if (!answer.ok) throw new Error(String(answer.status));
          return answer.json();
        }));
      }
    }
    return Promise.all(links.map((link) => answers.get(link.dataset.source)));
  }

  // One axis of times for all series; where a series has nothing at a time, it has a gap.
  function table(figure, links, answers) {
    const bars = 'bars' in figure.dataset;
    const series = links.map((link, n) => {
      const rows = answers[n].buckets ?? answers[n].results;
      const key = link.dataset.key ?? figure.dataset.key;
      return new Map(rows.map((row) => [
        Math.round(Date.parse(row.at) / 1000),
        row[key] === null || (bars && Number(row[key]) === 0) ? null : Number(row[key]),
      ]));
    });
    const times = [...new Set(series.flatMap((each) => [...each.keys()]))].sort((a, b) => a - b);
    return [times, ...series.map((each) => times.map((time) => each.get(time) ?? null))];
  }

  function options(figure, links, uPlot) {
    const words = FORMATS[figure.dataset.unit] ?? FORMATS.count;
    const line = colour(figure, '--line-faint');
    const text = colour(figure, '--muted');
    const axis = { stroke: text, grid: { stroke: line, width: 1 }, ticks: { show: false }, font: '11px Inter, sans-serif' };
    const bars = 'bars' in figure.dataset ? uPlot.paths.bars({ size: [0.6, 40] }) : undefined;
    return {
      width: Math.max(200, figure.clientWidth - 16),
      height: HEIGHT,
      cursor: { y: false, drag: { x: false, y: false } },
      scales: { y: { range: (_, low, high) => [Math.min(0, low ?? 0), high > 0 ? high * 1.1 : 1] } },
      axes: [axis, { ...axis, size: 62, values: (_, ticks) => ticks.map((tick) => words(tick)) }],
      series: [
        { value: (_, time) => (time == null ? '' : new Date(time * 1000).toLocaleString([], { dateStyle: 'medium', timeStyle: 'short' })) },
        ...links.map((link, n) => {
          const stroke = colour(figure, link.dataset.colour ?? PALETTE[n % PALETTE.length]);
          return {
            label: link.textContent, stroke, width: 1.5, points: { show: !bars, size: 4 }, spanGaps: false,
            fill: bars ? stroke : undefined, paths: bars,
            value: (_, value) => (value == null ? '–' : words(value)),
          };
        }),
      ],
    };
  }

  async function draw(figure) {
    if (drawn.has(figure)) return;
    drawn.set(figure, null);
    const links = [...figure.querySelectorAll('[data-source]')];
    try {
      const [uPlot, answers] = await Promise.all([load(), read(links)]);
      if (!figure.isConnected) return;
      drawn.get(figure)?.destroy();
      figure.querySelector('.fault')?.remove();
      figure.setAttribute('role', 'img');
      figure.setAttribute('aria-label', `${figure.dataset.label}, as a chart`);
      const chart = new uPlot(options(figure, links, uPlot), table(figure, links, answers), figure);
      drawn.set(figure, chart);
      if (figure.dataset.refresh) refresh(figure, chart, links);
    } catch {
      const words = document.createElement('p');
      words.className = 'fault';
      words.textContent = 'The figures did not come. Reload the page to try again.';
      figure.append(words);
    }
  }

  // Figures of now: asked for again while the chart is in the page and the page is looked at.
  function refresh(figure, chart, links) {
    setTimeout(async () => {
      if (drawn.get(figure) !== chart) return;
      if (!document.hidden) {
        try {
          chart.setData(table(figure, links, await read(links)));
        } catch { /* The next time may do. */ }
      }
      refresh(figure, chart, links);
    }, Number(figure.dataset.refresh) * 1000);
  }

  function drawAll(again) {
    for (const [figure, chart] of drawn) {
      if (!figure.isConnected || again) {
        chart?.destroy();
        drawn.delete(figure);
      }
    }
    for (const figure of document.querySelectorAll('[data-chart]')) draw(figure);
  }

  document.body.addEventListener('htmx:afterSettle', () => drawAll(false));
  new MutationObserver(() => drawAll(true)).observe(document.documentElement, { attributeFilter: ['data-theme'] });
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => drawAll(true));
  let resized;
  addEventListener('resize', () => {
    clearTimeout(resized);
    resized = setTimeout(() => {
      for (const [figure, chart] of drawn) chart?.setSize({ width: Math.max(200, figure.clientWidth - 16), height: HEIGHT });
    }, 150);
  });
  drawAll(false);
})();
