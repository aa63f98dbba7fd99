"""Read and validate a vocabulary: words for music, and what each of them looks like."""

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import Any

from covergen.core.app_folders import config_folder
from covergen.core.errors import SettingsError
from covergen.core.toml import read_toml

ATTRIBUTES = (
    "arousal",
    "valence",
    "pace",
    "mode",
    "loudness",
    "dynamics",
    "brightness",
    "density",
    "roughness",
    "rhythmicity",
    "percussiveness",
)
"""The attributes of music, each 0 to 1, by which a mood probe finds words."""

_OWN_FILE = Path(__file__).with_name("vocabulary.toml")


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """A word for music.

    `texts` are the sentences that CLAP compares with the music. `pictures` describe what it looks
    like; a prompt contains one of them. `attributes` has a value for some of ATTRIBUTES.
    """

    name: str
    group: str
    texts: tuple[str, ...]
    pictures: tuple[str, ...]
    attributes: tuple[tuple[str, float], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Terms that are compared with each other; a prompt has the best `take` of them.

    `medium`: its pictures are materials and techniques, which a style replaces.
    """

    name: str
    take: int
    medium: bool
    terms: tuple[Term, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """All groups, in the order in which they appear in a prompt."""

    groups: tuple[Group, ...]

    @property
    def terms(self) -> tuple[Term, ...]:
        """The terms of all groups; scores of terms are in this order."""
        return tuple(term for group in self.groups for term in group.terms)

    @property
    def fingerprint(self) -> str:
        """A hash of the contents, in hexadecimal."""
        contents = repr(astuple(self)).encode(errors="surrogatepass")
        return hashlib.blake2b(contents, digest_size=16).hexdigest()


def user_vocabulary() -> Path:
    """Return the path of the user's vocabulary.toml, which need not exist."""
    return config_folder() / "vocabulary.toml"


def vocabulary_file() -> Path:
    """Return the vocabulary in force: the user's if there is one, else covergen's own."""
    file = user_vocabulary()
    return file if file.exists() else _OWN_FILE


def read_vocabulary(file: Path) -> Vocabulary:
    """Read a vocabulary. Raises SettingsError, with all mistakes in the file at once."""
    try:
        tables = read_toml(file)
    except FileNotFoundError as error:
        raise SettingsError(file, [f"cannot be read: {error.strerror}"]) from error
    problems = [problem for name, table in tables.items() for problem in _problems(name, table)]
    if not tables:
        problems = ["is empty; expected tables of words, such as [mood]"]
    if problems:
        raise SettingsError(file, problems)
    return Vocabulary(groups=tuple(_group(name, table) for name, table in tables.items()))


def _group(name: str, table: dict[str, Any]) -> Group:
    attributes = table.get("attributes", {})
    terms = tuple(
        Term(
            name=term,
            group=name,
            texts=tuple(template.replace("{}", term) for template in table["templates"]),
            pictures=tuple(pictures),
            attributes=tuple((key, float(at)) for key, at in attributes.get(term, {}).items()),
        )
        for term, pictures in table["terms"].items()
    )
    return Group(
        name=name, take=table.get("take", 1), medium=table.get("medium", False), terms=terms
    )


def _are_templates(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(map(_is_template, value))


def _is_template(value: object) -> bool:
    return isinstance(value, str) and value.count("{}") == 1


def _are_pictures(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(text, str) and bool(text.strip()) for text in value)
    )


def _is_share(value: object) -> bool:
    # bool is an int; TOML allows nan
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 1


_Rule = tuple["Callable[[object], bool]", str]

_KEYS: dict[str, _Rule] = {
    "templates": (_are_templates, "a list of sentences, each with one {}"),
    "take": (lambda value: type(value) is int and value > 0, "a whole number of at least 1"),
    "medium": (lambda value: isinstance(value, bool), "true or false"),
    "terms": (
        lambda value: isinstance(value, dict) and bool(value),
        "a table of words with their pictures",
    ),
    "attributes": (lambda value: isinstance(value, dict), "a table of words"),
}
_REQUIRED = ("templates", "terms")


def _problems(name: str, table: object) -> Iterator[str]:
    """Yield the mistakes in a group, one line each."""
    if not isinstance(table, dict):
        yield f"{name}: not in a group; a group is a table, such as [mood]"
        return
    for key in table:
        if key not in _KEYS:
            yield f"{name}.{key}: unknown key; the keys are {', '.join(_KEYS)}"
    for key, (fits, accepted) in _KEYS.items():
        if key in table and not fits(table[key]):
            yield f"{name}.{key}: expected {accepted}, not {table[key]!r}"
        elif key not in table and key in _REQUIRED:
            yield f"{name}.{key}: missing; expected {accepted}"
    terms, attributes = table.get("terms"), table.get("attributes", {})
    if isinstance(terms, dict) and isinstance(attributes, dict):
        yield from _term_problems(name, terms)
        yield from _attribute_problems(name, terms, attributes)


def _term_problems(group: str, terms: dict[str, Any]) -> Iterator[str]:
    for term, pictures in terms.items():
        if not term.strip():
            yield f"{group}.terms: a word is empty"
        if not _are_pictures(pictures):
            yield f"{group}.terms.{term}: expected a list of descriptions, not {pictures!r}"


def _attribute_problems(
    group: str, terms: dict[str, Any], attributes: dict[str, Any]
) -> Iterator[str]:
    for term, values in attributes.items():
        where = f"{group}.attributes.{term}"
        if term not in terms:
            yield f"{where}: there is no such word in {group}.terms"
        if not isinstance(values, dict) or not values:
            yield f"{where}: expected a table of attributes, not {values!r}"
            continue
        for key, value in values.items():
            if key not in ATTRIBUTES:
                yield f"{where}.{key}: unknown attribute; they are {', '.join(ATTRIBUTES)}"
            elif not _is_share(value):
                yield f"{where}.{key}: expected a number from 0 to 1, not {value!r}"
