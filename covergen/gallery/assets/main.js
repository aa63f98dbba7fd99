"use strict";

// What buttons and keys do, and the start.

const MOVES = {
  ArrowLeft: () => -1,
  ArrowRight: () => 1,
  ArrowUp: () => (viewer.open ? 0 : -measures().across),
  ArrowDown: () => (viewer.open ? 0 : measures().across),
};
const DEEDS = {
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
  if (act(event.key, event.target)) event.preventDefault();
}

/** Do what a key stands for. Returns whether it stands for anything. */
function act(key, target) {
  if (key === "s") saveChoices();
  else if (key === "/" && !viewer.open) search.focus();
  else if (!viewer.open && !grid.contains(target)) return key in MOVES && focusCurrent();
  else if (key in MOVES) return go(MOVES[key]());
  else if (key in DEEDS) DEEDS[key]();
  else if (/^[1-9]$/.test(key)) decide(current, { choice: Number(key) });
  else return false;
  return true;
}

/** Go so many albums on, or back. Returns whether there is one. */
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

function on(id, deed) {
  document.getElementById(id).addEventListener("click", deed);
}

addEventListener("keydown", onKey);
addEventListener("decided", ({ detail: album }) => {
  if (cards.has(album)) markCard(album);
  if (viewer.open) markViewer(album);
  tellCounts();
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
on("theme", switchTheme);
on("save", saveChoices);
on("everything", () => {
  search.value = "";
  setKind("all");
});
on("previous", () => go(-1));
on("next", () => go(1));
on("close", () => viewer.close());
on("keep", () => decide(current, { choice: decisions.get(current.id)?.choice ?? 1 }));
on("reject", DEEDS.x);
on("retry", DEEDS.r);

const theme = recall("covergen:theme");
if (theme) document.documentElement.dataset.theme = theme;
makeKinds();
setKind(page.albums.some((album) => album.state === "painted") ? "painted" : "all");
