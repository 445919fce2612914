"use strict";
// Filters and order of the cards. The page reads without it, so it shows its controls itself.
(() => {
  const list = document.getElementById("cards");
  const form = document.getElementById("controls");
  const status = document.getElementById("shown");
  const cards = [...list.children].map((element, place) => ({
    element,
    place,
    verdict: element.dataset.verdict,
    p: element.dataset.p === "" ? null : Number(element.dataset.p),
    folder: element.dataset.folder,
    origin: element.dataset.origin.split(" "),
    name: element.querySelector("h3").textContent.toLowerCase(),
  }));
  const VERDICTS = ["fake", "unsure", "real", "unreadable", "none"];
  const last = (card) => card.p === null;
  const silent = (card) => ["says-nothing", ""].includes(card.origin[0]);
  const falling = (a, b) => last(a) - last(b) || b.p - a.p;
  const ORDERS = {
    folder: () => 0,
    falling,
    rising: (a, b) => last(a) - last(b) || a.p - b.p,
    verdict: (a, b) => VERDICTS.indexOf(a.verdict) - VERDICTS.indexOf(b.verdict) || falling(a, b),
    origin: (a, b) => silent(a) - silent(b) || a.origin[0].localeCompare(b.origin[0]),
  };
  let order = "folder";

  function show() {
    if (form.order.value !== order) {
      order = form.order.value;
      cards.sort((a, b) => ORDERS[order](a, b) || a.place - b.place);
    }
    const verdicts = new FormData(form).getAll("verdict");
    const name = form.elements.name.value.trim().toLowerCase();
    const fitting = cards.filter(
      (card) =>
        verdicts.includes(card.verdict) &&
        (!form.origin.value || card.origin.includes(form.origin.value)) &&
        (!form.folder.value || card.folder === form.folder.value) &&
        card.name.includes(name),
    );
    // Taken out of the page: hiding 2,000 cards where they are takes browsers seconds.
    const shown = document.createDocumentFragment();
    for (const card of fitting) shown.append(card.element);
    list.replaceChildren(shown);
    const [some, all] = [fitting.length, cards.length].map((count) => count.toLocaleString("en"));
    status.textContent = `${some} of ${all} pictures shown`;
  }

  // The whole path, which the page itself does not spell, is known to whoever has the files.
  function whole(link) {
    const place = new URL(link.href);
    if (place.protocol !== "file:") return decodeURI(link.getAttribute("href"));
    return decodeURIComponent(place.pathname).replace(/^\/([A-Za-z]:)/, "$1");
  }
  for (const card of cards) {
    const button = card.element.querySelector(".copy");
    if (!button || !navigator.clipboard) continue;
    button.hidden = false;
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(whole(card.element.querySelector("h3 a")));
      button.textContent = "Copied";
    });
  }

  form.addEventListener("input", show);
  // The fields have their old values back once this event is over.
  form.addEventListener("reset", () => setTimeout(show));
  form.addEventListener("submit", (event) => event.preventDefault());
  form.hidden = false;
  // A page that is loaded again keeps what was typed.
  show();
})();
