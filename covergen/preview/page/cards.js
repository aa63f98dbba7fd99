"use strict";

// An album's card: its cover, its details and the decision.

const MARKS = { rejected: "Rejected", retry: "Try again", failed: "Failed" };
const hasStrips = page.albums.some((album) => album.candidates.length > 1);
const cards = new Map(); // only of albums near the viewport
const albumsByName = Map.groupBy(albums.values(), nameOf);

function cardOf(album) {
  if (!cards.has(album)) {
    cards.set(album, makeCard(album));
    markCard(album);
  }
  return cards.get(album);
}

function makeCard(album) {
  const card = fromTemplate("card");
  card.album = album;
  card.querySelector("h2").textContent = album.title;
  card.querySelector("h2").title = album.title;
  card.querySelector(".artist").textContent = album.artist;
  const facts = card.querySelector(".facts");
  facts.textContent = factsOf(album);
  if (albumsByName.get(nameOf(album)).length > 1) {
    facts.prepend(`${album.folder} · `);
    facts.title = album.folder;
  }
  if (album.candidates.length) {
    card.querySelector("img").alt = coverName(album);
  } else {
    const cover = card.querySelector(".cover");
    cover.querySelector("img").remove();
    cover.setAttribute("aria-label", `${album.title}: ${album.reason}`);
    cover.prepend(album.reason);
  }
  const strip = card.querySelector(".strip");
  strip.hidden = !hasStrips; // shown on all cards or none, so that all rows have the same height
  if (album.candidates.length > 1) {
    strip.setAttribute("aria-label", `Candidates for ${album.title}`);
    strip.append(...candidateButtons(album, "thumbnail"));
  }
  return card;
}

/** Show the decision on an album's card. */
function markCard(album) {
  const card = cards.get(album);
  const verdict = verdictOf(album);
  const number = decisions.get(album.id)?.choice;
  card.dataset.verdict = verdict;
  card.querySelector(".mark").textContent =
    verdict === "chosen" ? (album.candidates.length > 1 ? `✓ ${number}` : "✓") : MARKS[verdict] ?? "";
  if (!album.candidates.length) return;
  card.querySelector(".cover img").src = chosenOf(album).thumbnail;
  pressCandidates(card, album);
}

/** Create a button for each candidate. `picture` is "file" or "thumbnail". */
function candidateButtons(album, picture) {
  return album.candidates.map((candidate, index) => {
    const button = fromTemplate("candidate");
    const image = button.querySelector("img");
    image.src = candidate[picture];
    image.alt = album.candidates.length > 1 ? `Candidate ${index + 1} of ${album.title}` : coverName(album);
    button.querySelector(".number").textContent = index + 1;
    button.addEventListener("click", () => decide(album, { choice: index + 1 }));
    return button;
  });
}

function pressCandidates(container, album) {
  const number = decisions.get(album.id)?.choice;
  container.querySelectorAll(".candidate").forEach((button, index) => {
    button.setAttribute("aria-pressed", index + 1 === number);
  });
}

function fromTemplate(id) {
  return document.getElementById(id).content.firstElementChild.cloneNode(true);
}

/** Return what identifies an album on its card. */
function nameOf(album) {
  return JSON.stringify([album.artist, album.title, album.year]);
}

function coverName(album) {
  return album.artist ? `Cover of ${album.title} by ${album.artist}` : `Cover of ${album.title}`;
}

function factsOf(album) {
  const tracks = album.tracks === 1 ? "1 track" : `${album.tracks} tracks`;
  return [album.year, tracks, album.duration && clock(album.duration)].filter(Boolean).join(" · ");
}

/** Format seconds as 4:05 or 1:02:05. */
function clock(duration) {
  const seconds = Math.round(duration);
  const parts = [Math.floor(seconds / 60) % 60, seconds % 60];
  const hours = Math.floor(seconds / 3600);
  if (hours) parts.unshift(hours);
  return parts.map((part, index) => (index ? String(part).padStart(2, "0") : part)).join(":");
}
