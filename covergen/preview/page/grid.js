"use strict";

// Filter and sort the albums, and keep cards only for those near the viewport.

const KINDS = new Map([
  ["all", "All"],
  ["painted", "Painted"],
  ["undecided", "Undecided"],
  ["chosen", "Chosen"],
  ["rejected", "Rejected"],
  ["retry", "Try again"],
  ["skipped", "Skipped"],
  ["failed", "Failed"],
]);
const SPARE_ROWS = 2; // above and below the viewport
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

/** Fold case and accents for searching. */
function plain(text) {
  return text.normalize("NFKD").replace(/\p{M}/gu, "").toLowerCase();
}

/** Show the albums that match the search and the filter, in the selected order. */
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
  showCounts();
}

/** Compare albums by a property; albums without it come last. */
function comparison(property) {
  return (one, other) => {
    const [a, b] = [one[property], other[property]];
    if (!a || !b) return !a - !b;
    return typeof a === "number" ? a - b : collator.compare(a, b);
  };
}

/** Create the cards near the viewport and pad the space of all others. All rows have one height. */
function fillWindow() {
  if (!shown.length) return;
  if (!grid.children.length) grid.append(cardOf(shown[0]));
  const { across, rows, height } = measures();
  const above = Math.floor((scrollY - grid.offsetTop) / height) - SPARE_ROWS;
  const first = Math.max(0, Math.min(above, rows - 1));
  const last = Math.min(rows, first + Math.ceil(innerHeight / height) + 2 * SPARE_ROWS);
  grid.style.paddingBlock = `${first * height}px ${(rows - last) * height}px`;
  keepCards(first * across, last * across);
}

function measures() {
  const across = getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  const { height } = grid.firstElementChild.getBoundingClientRect();
  return { across, rows: Math.ceil(shown.length / across), height };
}

/** Keep the cards of albums `start` to `end` in the grid, without moving existing ones. */
function keepCards(start, end) {
  const wanted = shown.slice(start, end);
  for (const album of [...cards.keys()].filter((album) => !wanted.includes(album))) {
    cards.get(album).remove();
    cards.delete(album);
  }
  wanted.forEach((album, index) => {
    const card = cardOf(album);
    if (grid.children[index] !== card) grid.insertBefore(card, grid.children[index] ?? null);
    card.ariaPosInSet = start + index + 1;
    card.ariaSetSize = shown.length;
    setTabbable(card, album === current);
  });
  if (!cards.has(current)) setTabbable(grid.firstElementChild, true);
}

/** Set whether a card's buttons can be reached with the Tab key. */
function setTabbable(card, tabbable) {
  for (const button of card.querySelectorAll("button")) button.tabIndex = tabbable ? 0 : -1;
}

/** Set the album that keys act on. */
function setCurrent(album) {
  current = album;
  for (const [other, card] of cards) setTabbable(card, other === album);
}

/** Move the current album by `count` places. Returns whether there is one. */
function step(count) {
  const album = shown[shown.indexOf(current) + count];
  if (album) setCurrent(album);
  return Boolean(album);
}

/** Scroll to the current card and focus it. Returns whether there is one. */
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

function showCounts() {
  const all = albums.size.toLocaleString();
  const count = shown.length === albums.size ? all : `${shown.length.toLocaleString()} of ${all}`;
  document.getElementById("status").textContent = `${count} ${albums.size === 1 ? "album" : "albums"}`;
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
