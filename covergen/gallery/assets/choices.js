"use strict";

// What is decided: an album's id -> {choice: n}, {reject: true} or {retry: true}, and the seed of the
// cover that was decided on: of candidate n, or the first.
// The browser keeps it, where it lets a page from the disk do so.

const page = JSON.parse(document.getElementById("data").textContent);
const albums = new Map(page.albums.map((album) => [album.id, album]));
const decisions = remembered();
let unsaved = false;

/** What was decided before, but for covers that have been painted again since. */
function remembered() {
  const kept = recall(`covergen:${page.preview}`) ?? [];
  return new Map(
    kept.filter(([id, decision]) => albums.has(id) && candidateOf(albums.get(id), decision)?.seed === decision.seed),
  );
}

function remember() {
  unsaved = !store(`covergen:${page.preview}`, [...decisions]);
}

/** The candidate that a decision is on. */
function candidateOf(album, decision) {
  return album.candidates[(decision?.choice ?? 1) - 1];
}

function recall(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Returns whether the browser keeps it. */
function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Decide on an album, or take that same decision back. */
function decide(album, decision) {
  const candidate = candidateOf(album, decision);
  if (!candidate) return;
  const decided = { ...decision, seed: candidate.seed };
  if (JSON.stringify(decisions.get(album.id)) === JSON.stringify(decided)) {
    decisions.delete(album.id);
  } else {
    decisions.set(album.id, decided);
  }
  remember();
  dispatchEvent(new CustomEvent("decided", { detail: album }));
}

/** The candidate that is written unless the album is rejected. */
function chosenOf(album) {
  return candidateOf(album, decisions.get(album.id));
}

/** In a word: undecided, chosen, rejected, retry; skipped or failed where nothing was painted. */
function verdictOf(album) {
  if (album.state !== "painted") return album.state;
  const decision = decisions.get(album.id) ?? {};
  if (decision.choice) return "chosen";
  return decision.reject ? "rejected" : decision.retry ? "retry" : "undecided";
}

function saveChoices() {
  const choices = { format: 1, preview: page.preview, albums: Object.fromEntries(decisions) };
  const text = JSON.stringify(choices, null, 2) + "\n";
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  link.download = "choices.json";
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
  unsaved = false;
  document.getElementById("status").textContent = "Saved as choices.json";
}

addEventListener("beforeunload", (event) => {
  if (unsaved) event.preventDefault();
});
