"use strict";
// Decisions by buttons and keys, and their CSV by download.
(() => {
  const list = document.getElementById("cards");
  const form = document.getElementById("controls");
  const status = document.getElementById("shown");
  const cards = [...list.children];
  const buttons = (card) => [...card.querySelectorAll("button.decide")];
  const KEYS = Object.fromEntries(
    buttons(cards[0]).map((button) => [button.querySelector("kbd").textContent, button.value]),
  );
  const STEPS = { j: 1, k: -1, ArrowRight: 1, ArrowLeft: -1 };
  let current = 0;
  let unsaved = false;

  function press(card) {
    for (const button of buttons(card)) {
      button.setAttribute("aria-pressed", String(button.value === card.dataset.decision));
    }
  }

  function count() {
    const decided = cards.filter((each) => each.dataset.decision).length;
    const saved = unsaved ? ", not saved" : "";
    const [some, all] = [decided, cards.length].map((number) => number.toLocaleString("en"));
    status.textContent = `${some} of ${all} decided${saved}`;
  }

  function decide(card, decision) {
    unsaved = true;
    card.dataset.decision = decision;
    press(card);
    count();
  }

  function go(place) {
    cards[current].tabIndex = -1;
    current = Math.min(Math.max(place, 0), cards.length - 1);
    cards[current].tabIndex = 0;
    cards[current].focus({ preventScroll: true });
    cards[current].scrollIntoView({ block: "nearest" });
  }

  // The rows are bytes: a name need not be text.
  const bytes = (base64) => Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0));

  function save() {
    const parts = [bytes(list.dataset.head)];
    for (const card of cards) {
      if (card.dataset.decision) parts.push(bytes(card.dataset.row), `${card.dataset.decision}\r\n`);
    }
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob(parts, { type: "text/csv" }));
    link.download = "review.csv";
    link.click();
    URL.revokeObjectURL(link.href);
    unsaved = false;
    count();
  }

  function inRow() {
    const other = cards.findIndex((card) => card.offsetTop !== cards[0].offsetTop);
    return other < 0 ? cards.length : other;
  }

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (key in STEPS) go(current + STEPS[key]);
    else if (key === "ArrowDown") go(current + inRow());
    else if (key === "ArrowUp") go(current - inRow());
    else if (key in KEYS) {
      decide(cards[current], KEYS[key]);
      go(current + 1);
    } else if (key === "u") decide(cards[current], "");
    else if (key === "o") cards[current].querySelector("a.thumbnail")?.click();
    else if (key === "s") save();
    else return;
    event.preventDefault();
  });
  list.addEventListener("click", (event) => {
    const card = event.target.closest(".card");
    if (!card) return;
    const button = event.target.closest("button.decide");
    if (button) decide(card, button.value === card.dataset.decision ? "" : button.value);
    go(cards.indexOf(card));
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    save();
  });
  addEventListener("beforeunload", (event) => {
    if (unsaved) event.preventDefault();
  });

  form.hidden = false;
  cards.forEach(press);
  count();
  go(0);
})();
