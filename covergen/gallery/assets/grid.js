"use strict";

// Which albums are shown and in what order, and the cards of those near the window.

const KINDS = new Map([
  ["all", "All"],
  ["painted", "Painted"],
  ["undecided", "Undecided"],
  ["chosen", "Chosen"],
  ["rejected", "Rejected"],
  ["retry", "Try again"],
  ["skipped", "Left alone"],
  ["failed", "Failed"],
]);
const SPARE_ROWS = 2; // beyond the window, above and below
const grid = document.getElementById("grid");
const search = document.getElementById("search");
const sort = document.getElementById("sort");
const kinds = document.getElementById("kinds");
const collator = new Intl.Collator(undefined, { numeric: true, sensitivity: "base" });
let kind;
let shown = [];
let current;

for (const album of albums.values()) {
  album.words = plain(`${album.artist} ${album.title} ${album.year} ${album.folder}`);
}

/** Text to search in: without case and accents. */
function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Show what the search, the kind and the order ask for. */
function showAlbums() {
  const words = plain(search.value).split(/\s+/);
  shown = [...albums.values()].filter(
    (album) =>
      ["all", album.state, verdictOf(album)].includes(kind) &&
      words.every((word) => album.words.includes(word)),
  );
  if (sort.value) shown.sort(comparison(sort.value));
  current = shown[0];
  cards.clear();
  grid.replaceChildren();
  grid.style.paddingBlock = 0;
  scrollTo(0, 0);
  fillWindow();
  document.getElementById("nothing").hidden = shown.length > 0;
  tellCounts();
}

/** By that property; what has none comes last. */
function comparison(property) {
  return (one, other) => {
    const [a, b] = [one[property], other[property]];
    if (!a || !b) return !a - !b;
    return typeof a === "number" ? a - b : collator.compare(a, b);
  };
}

/** Hold the cards of the rows near the window, and the room of all others. Rows are equally high. */
function fillWindow() {
  if (!shown.length) return;
  if (!grid.children.length) grid.append(cardOf(shown[0]));
  const { across, rows, height } = measures();
  const above = Math.floor((scrollY - grid.offsetTop) / height) - SPARE_ROWS;
  const first = Math.max(0, Math.min(above, rows - 1));
  const last = Math.min(rows, first + Math.ceil(innerHeight / height) + 2 * SPARE_ROWS);
  grid.style.paddingBlock = `${first * height}px ${(rows - last) * height}px`;
  hold(first * across, last * across);
}

function measures() {
  const across = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const { height } = grid.firstElementChild.getBoundingClientRect();
  return { across, rows: Math.ceil(shown.length / across), height };
}

/** Let the grid hold the cards of albums `start` to `end`; those that it held are not moved. */
function hold(start, end) {
  const wanted = shown.slice(start, end);
  for (const album of [...cards.keys()].filter((album) => !wanted.includes(album))) {
    cards.get(album).remove();
    cards.delete(album);
  }
  wanted.forEach((album, place) => {
    const card = cardOf(album);
    if (grid.children[place] !== card) grid.insertBefore(card, grid.children[place] ?? null);
    card.ariaPosInSet = start + place + 1;
    card.ariaSetSize = shown.length;
    setReach(card, album === current);
  });
  if (!cards.has(current)) setReach(grid.firstElementChild, true);
}

/** Whether the tab key leads to a card's buttons. */
function setReach(card, reached) {
  for (const button of card.querySelectorAll("button")) button.tabIndex = reached ? 0 : -1;
}

/** Let an album be the one that keys act upon. */
function setCurrent(album) {
  current = album;
  for (const [other, card] of cards) setReach(card, other === album);
}

/** Make the album so many places on, or back, the current one. Returns whether there is one. */
function step(count) {
  const album = shown[shown.indexOf(current) + count];
  if (album) setCurrent(album);
  return Boolean(album);
}

/** Focus the current card, wherever it is. Returns whether there is one. */
function focusCurrent() {
  if (!current) return false;
  if (!cards.has(current)) {
    const { across, height } = measures();
    const row = Math.floor(shown.indexOf(current) / across);
    scrollTo(0, grid.offsetTop + row * height - innerHeight / 2);
    fillWindow();
  }
  cards.get(current).querySelector(".cover").focus();
  return true;
}

function tellCounts() {
  const all = albums.size.toLocaleString();
  const part = shown.length === albums.size ? all : `${shown.length.toLocaleString()} of ${all}`;
  document.getElementById("status").textContent = `${part} ${albums.size === 1 ? "album" : "albums"}`;
  const counts = new Map([...KINDS.keys()].map((name) => [name, 0]));
  for (const album of albums.values()) {
    for (const name of new Set(["all", album.state, verdictOf(album)])) {
      counts.set(name, counts.get(name) + 1);
    }
  }
  for (const label of kinds.querySelectorAll("label")) {
    const name = label.querySelector("input").value;
    label.querySelector("span").textContent = counts.get(name).toLocaleString();
    label.hidden = !counts.get(name) && name !== kind;
  }
  document.getElementById("save").dataset.count = decisions.size || "";
}

function makeKinds() {
  for (const [name, text] of KINDS) {
    const input = document.createElement("input");
    Object.assign(input, { type: "radio", name: "kind", value: name });
    const label = document.createElement("label");
    label.append(input, text, " ", document.createElement("span"));
    kinds.append(label);
  }
}

function setKind(name) {
  kind = name;
  kinds.querySelector(`[value=${name}]`).checked = true;
  showAlbums();
}
