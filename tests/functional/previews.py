"""A preview to be looked at, chosen from and applied, and what it says of itself."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["Preview"]


@dataclass(frozen=True, slots=True)
class Preview:
    """A preview's folder."""

    folder: Path

    @property
    def header(self) -> dict[str, Any]:
        return self._lines()[0]

    @property
    def albums(self) -> list[dict[str, Any]]:
        """The albums as they stand at the end: the last line of each counts."""
        return list({album["id"]: album for album in self._lines()[1:]}.values())

    def album(self, title: str) -> dict[str, Any]:
        (found,) = (album for album in self.albums if album["title"] == title)
        return found

    def covers(self, title: str) -> list[Path]:
        candidates = self.album(title)["candidates"]
        return [self.folder / "covers" / candidate["cover"] for candidate in candidates]

    def change(self, title: str, **fields: Any) -> None:
        """Write other things into the plan than covergen did."""
        header, albums = self.header, self.albums
        changed = [{**album, **fields} if album["title"] == title else album for album in albums]
        lines = [json.dumps(line) for line in (header, *changed)]
        (self.folder / "plan.jsonl").write_text("\n".join(lines) + "\n")

    def choose(self, file: Path, **decisions: dict[str, object]) -> Path:
        """Write a choices.json by hand: titles, with "_" for spaces, and what is said of them."""
        albums = {self.album(title.replace("_", " "))["id"]: d for title, d in decisions.items()}
        file.write_text(json.dumps({"format": 1, "albums": albums}))
        return file

    def _lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "plan.jsonl").read_text().splitlines()]
