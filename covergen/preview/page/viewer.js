"use strict";

// The dialog that shows one album enlarged.

const viewer = document.getElementById("viewer");
const stage = document.getElementById("stage");
const excerpt = document.getElementById("excerpt");
let viewed;

function view(album) {
  viewed = album;
  setCurrent(album);
  const part = (name) => document.getElementById(`viewer-${name}`);
  part("title").textContent = album.title;
  part("artist").textContent = album.artist;
  part("facts").textContent = factsOf(album);
  part("folder").textContent = album.folder;
  part("reason").textContent = album.reason;
  const index = shown.indexOf(album);
  document.getElementById("place").textContent = `${index + 1} / ${shown.length}`;
  document.getElementById("previous").disabled = index === 0;
  document.getElementById("next").disabled = index === shown.length - 1;
  stage.replaceChildren(...candidateButtons(album, "file"));
  stage.dataset.count = Math.min(album.candidates.length, 9);
  document.getElementById("verdict").hidden = !album.candidates.length;
  setExcerpt(album.audio);
  markViewer(album);
  if (!viewer.open) viewer.showModal();
  if (!viewer.contains(document.activeElement)) viewer.focus(); // the focused element was replaced
}

function setExcerpt(audio) {
  excerpt.pause();
  excerpt.hidden = !audio;
  if (audio) excerpt.src = audio;
  else excerpt.removeAttribute("src");
}

function playOrPause() {
  if (!viewer.open || excerpt.hidden) return;
  if (excerpt.paused) excerpt.play().catch(() => {}); // the player shows the error itself
  else excerpt.pause();
}

/** Show the decision on the viewed album. */
function markViewer(album) {
  const verdict = verdictOf(album);
  viewer.dataset.verdict = verdict;
  document.getElementById("keep").setAttribute("aria-pressed", verdict === "chosen");
  document.getElementById("reject").setAttribute("aria-pressed", verdict === "rejected");
  document.getElementById("retry").setAttribute("aria-pressed", verdict === "retry");
  pressCandidates(stage, album);
  const cover = chosenOf(album);
  if (cover) document.getElementById("alone").href = cover.file;
  const settings = cover ? [...cover.settings, ...page.settings] : [];
  document.getElementById("settings").replaceChildren(
    ...settings.map(([name, value]) => {
      const row = document.createElement("div");
      row.append(document.createElement("dt"), document.createElement("dd"));
      row.firstChild.textContent = name;
      row.lastChild.textContent = value;
      return row;
    }),
  );
}

viewer.addEventListener("click", (event) => {
  const box = viewer.getBoundingClientRect();
  const across = event.clientX >= box.left && event.clientX <= box.right;
  const down = event.clientY >= box.top && event.clientY <= box.bottom;
  if (event.target === viewer && !(across && down)) viewer.close(); // clicked on the backdrop
});
viewer.addEventListener("close", () => {
  excerpt.pause();
  setCurrent(viewed); // the browser has returned the focus to the album that was opened first
  focusCurrent();
});
