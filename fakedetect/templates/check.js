"use strict";
// Filters and order of the cards. Their controls are hidden without this script.
(() => {
  const list = document.getElementById("cards");
  const form = document.getElementById("controls");
  const status = document.getElementById("shown");
  const cards = [...list.children].map((element, position) => ({
    element,
    position,
    verdict: element.dataset.verdict,
    p: element.dataset.p === "" ? null : Number(element.dataset.p),
    folder: element.dataset.folder,
    origin: element.dataset.origin.split(" "),
    name: element.querySelector("h3").textContent.toLowerCase(),
  }));
  const VERDICTS = ["fake", "unsure", "real", "unreadable", "none"];
  const unscored = (card) => card.p === null;
  const uninformed = (card) => ["no-information", ""].includes(card.origin[0]);
  const falling = (a, b) => unscored(a) - unscored(b) || b.p - a.p;
  const ORDERS = {
    folder: () => 0,
    falling,
    rising: (a, b) => unscored(a) - unscored(b) || a.p - b.p,
    verdict: (a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict) || falling(a, b),
    origin: (a, b) => uninformed(a) - uninformed(b) || a.origin[0].localeCompare(b.origin[0]),
  };
  let order = "folder";

  function show() {
    if (form.order.value !== order) {
      order = form.order.value;
      cards.sort((a, b) => ORDERS[order](a, b) || a.position - b.position);
    }
    const verdicts = new FormData(form).getAll("verdict");
    const name = form.elements.name.value.trim().toLowerCase();
    const matching = cards.filter(
      (card) =>
        verdicts.includes(card.verdict) &&
        (!form.origin.value || card.origin.includes(form.origin.value)) &&
        (!form.folder.value || card.folder === form.folder.value) &&
        card.name.includes(name),
    );
    // Removed, not hidden: to hide 2,000 cards takes a browser seconds.
    const shown = document.createDocumentFragment();
    for (const card of matching) shown.append(card.element);
    list.replaceChildren(shown);
    const [some, all] = [matching.length, cards.length].map((count) => count.toLocaleString("en"));
    status.textContent = `${some} of ${all} pictures shown`;
  }

  // The page does not contain the full path; the browser derives it from the location of the page.
  function fullPath(link) {
    const url = new URL(link.href);
    if (url.protocol !== "file:") return decodeURI(link.getAttribute("href"));
    return decodeURIComponent(url.pathname).replace(/^\/([A-Za-z]:)/, "$1");
  }
  for (const card of cards) {
    const button = card.element.querySelector(".copy");
    if (!button || !navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(fullPath(card.element.querySelector("h3 a")));
      button.textContent = "Copied";
    });
  }

  form.addEventListener("input", show);
  // The fields are reset after this event.
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  // A reloaded page keeps what was typed.
  show();
})();
