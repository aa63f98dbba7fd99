"use strict";

// Buttons, keys and start-up.

const MOVES = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => (viewer.open ? 0 : -measures().across),
  ArrowDown: () => (viewer.open ? 0 : measures().across),
};
const ACTIONS = {
  x: () => decide(current, { reject: true }),
  r: () => decide(current, { retry: true }),
  p: () => playOrPause(),
};

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.target.matches("input, select, audio")) {
    if (event.target === search && ["Enter", "ArrowDown"].includes(event.key)) focusCurrent();
    return;
  }
  if (handleKey(event.key, event.target)) event.preventDefault();
}

/** Handle a key. Returns whether it did anything. */
function handleKey(key, target) {
  if (key === "s") saveChoices();
  else if (key === "/" && !viewer.open) search.focus();
  else if (!viewer.open && !grid.contains(target)) return key in MOVES && focusCurrent();
  else if (key in MOVES) return go(MOVES[key]());
  else if (key in ACTIONS) ACTIONS[key]();
  else if (/^[1-9]$/.test(key)) decide(current, { choice: Number(key) });
  else return false;
  return true;
}

/** Move by `count` albums. Returns whether there is one. */
function go(count) {
  if (!count || !step(count)) return false;
  if (viewer.open) view(current);
  else focusCurrent();
  return true;
}

function switchTheme() {
  const { dataset } = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
  dataset.theme = (dataset.theme ?? system) === "dark" ? "light" : "dark";
  store("covergen:theme", dataset.theme);
}

function onClick(id, action) {
  document.getElementById(id).addEventListener("click", action);
}

addEventListener("keydown", onKey);
addEventListener("decided", ({ detail: album }) => {
  if (cards.has(album)) markCard(album);
  if (viewer.open) markViewer(album);
  showCounts();
});
grid.addEventListener("focusin", (event) => setCurrent(event.target.closest("li").album));
grid.addEventListener("click", (event) => {
  if (event.target.closest(".cover")) view(event.target.closest("li").album);
});
addEventListener("scroll", fillWindow, { passive: true });
addEventListener("resize", fillWindow);
kinds.addEventListener("change", (event) => setKind(event.target.value));
search.addEventListener("input", showAlbums);
sort.addEventListener("change", showAlbums);
onClick("theme", switchTheme);
onClick("save", saveChoices);
onClick("everything", () => {
  search.value = "";
  setKind("all");
});
onClick("previous", () => go(-1));
onClick("next", () => go(1));
onClick("close", () => viewer.close());
onClick("keep", () => decide(current, { choice: decisions.get(current.id)?.choice ?? 1 }));
onClick("reject", ACTIONS.x);
onClick("retry", ACTIONS.r);

const theme = load("covergen:theme");
if (theme) document.documentElement.dataset.theme = theme;
makeKinds();
setKind(page.albums.some((album) => album.state === "painted") ? "painted" : "all");
