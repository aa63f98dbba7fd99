"""Words that do not belong in plain technical English, kept out of comments and strings."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "covergen"
DOCUMENTS = sorted((PACKAGE.parent / ".docs").glob("*.md"))
ODD = re.compile(
    r"\b(anew|unasked|thereof|wherein|whence|begun|mend(?:s|ed|ing)?|by chance|at hand|goes on"
    r"|passed over|told of|lies in|lies beside|it is told|of all chance|none the less)\b"
    r"|(?<!there )\bis no (?!longer|more)[a-z]",
    re.IGNORECASE,
)


def prose(source: str) -> Iterator[tuple[int, str]]:
    """Line number and text of every comment and string."""
    kinds = (tokenize.COMMENT, tokenize.STRING, getattr(tokenize, "FSTRING_MIDDLE", -1))
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type in kinds:
            yield token.start[0], token.string


@pytest.mark.parametrize("room", sorted(p.name for p in PACKAGE.iterdir() if p.is_dir()))
def test_code_is_in_plain_english(room: str) -> None:
    found = [
        f"{path.relative_to(PACKAGE)}:{line}: {match[0]}"
        for path in sorted((PACKAGE / room).rglob("*.py"))
        for line, text in prose(path.read_text(encoding="utf-8"))
        for match in ODD.finditer(text)
    ]
    assert found == []


@pytest.mark.parametrize("page", [PACKAGE.parent / "README.md", *DOCUMENTS], ids=lambda p: p.name)
def test_documentation_is_in_plain_english(page: Path) -> None:
    text = re.sub(r"`[^`]*`", "", page.read_text(encoding="utf-8"))
    assert [match[0] for match in ODD.finditer(text)] == []
