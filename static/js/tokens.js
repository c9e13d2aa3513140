// What a model writes while its step is open in the drawer. Words come as `live:tokens` and are no
// events: some may be missing, which a “…” tells, and all are gone when the step has ended.
(() => {
  'use strict';
  const LONGEST = 20_000;
  const answers = new Map();

  function draw(box) {
    const answer = answers.get(box.dataset.tokens);
    if (!answer) return;
    const words = box.querySelector('.agent-words');
    const isAtEnd = words.scrollHeight - words.scrollTop - words.clientHeight < 40;
    words.textContent = answer.text;
    box.querySelector('.meta').textContent = `turn ${answer.turn}`;
    box.hidden = false;
    if (isAtEnd) words.scrollTop = words.scrollHeight;
  }

  function drawAll() {
    document.querySelectorAll('[data-tokens]').forEach(draw);
  }

  document.body.addEventListener('live:tokens', ({ detail: { step, data } }) => {
    let answer = answers.get(step);
    if (!answer || answer.turn !== data.turn || data.at === 0) answer = { turn: data.turn, text: '', end: 0 };
    const text = answer.text + (data.at > answer.end ? '…' : '') + data.text;
    answer.text = text.length > LONGEST ? `…${text.slice(-LONGEST)}` : text;
    answer.end = data.at + data.text.length;
    answers.set(step, answer);
    drawAll();
  });
  // The drawer is fetched anew when its step changes.
  document.body.addEventListener('htmx:afterSettle', drawAll);
})();
