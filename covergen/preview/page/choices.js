"use strict";

// The decisions: album ID -> {choice: n}, {reject: true} or {retry: true}, with the seed of the cover
// that was decided on (candidate n, or the first).
// They are kept in localStorage, if the browser allows it for pages on disk.

const page = JSON.parse(document.getElementById("data").textContent);
const albums = new Map(page.albums.map((album) => [album.id, album]));
const decisions = loadDecisions();
let unsaved = false;

/** Load earlier decisions, except on covers that have been repainted since. */
function loadDecisions() {
  const stored = load(`covergen:${page.preview}`) ?? [];
  return new Map(
    stored.filter(([id, decision]) => albums.has(id) && candidateOf(albums.get(id), decision)?.seed === decision.seed),
  );
}

function storeDecisions() {
  unsaved = !store(`covergen:${page.preview}`, [...decisions]);
}

/** Return the candidate that a decision refers to. */
function candidateOf(album, decision) {
  return album.candidates[(decision?.choice ?? 1) - 1];
}

function load(key) {
  try {
    return JSON.parse(localStorage.getItem(key));
  } catch {
    return null;
  }
}

/** Store a value. Returns whether the browser allows it. */
function store(key, value) {
  try {
    localStorage.setItem(key, JSON.stringify(value));
    return true;
  } catch {
    return false;
  }
}

/** Decide on an album, or undo the same decision. */
function decide(album, decision) {
  const candidate = candidateOf(album, decision);
  if (!candidate) return;
  const decided = { ...decision, seed: candidate.seed };
  if (JSON.stringify(decisions.get(album.id)) === JSON.stringify(decided)) {
    decisions.delete(album.id);
  } else {
    decisions.set(album.id, decided);
  }
  storeDecisions();
  dispatchEvent(new CustomEvent("decided", { detail: album }));
}

/** Return the candidate that will be written, unless the album is rejected. */
function chosenOf(album) {
  return candidateOf(album, decisions.get(album.id));
}

/** Return undecided, chosen, rejected or retry; or skipped or failed if nothing was painted. */
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
