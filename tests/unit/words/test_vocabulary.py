"""The shipped vocabularies, and mistakes in a user's."""

import dataclasses
import re
from pathlib import Path

import pytest
from transformers import CLIPTokenizer

import covergen
from covergen.core.errors import SettingsError
from covergen.poster.attributes import Attributes
from covergen.words.vocabulary import (
    ATTRIBUTES,
    read_vocabulary,
    user_vocabulary,
    vocabulary_file,
)

STARTER = Path(covergen.__file__).parent / "starter" / "weights"


def test_own_vocabulary_describes_pictures_and_never_what_musicians_wear_or_hold() -> None:
    vocabulary = read_vocabulary(vocabulary_file())
    assert [group.name for group in vocabulary.groups] == [
        "mood", "energy", "texture", "instruments", "genres",
    ]  # fmt: skip
    assert 100 <= len(vocabulary.terms) <= 150
    pictures = [picture for term in vocabulary.terms for picture in term.pictures]
    assert len(set(pictures)) == len(pictures)
    cliche = r"\b(hat|guitar|piano|trumpet|drum|singer|musician|stage|microphone|skull|boots?)s?\b"
    assert [picture for picture in pictures if re.search(cliche, picture)] == []
    for group in vocabulary.groups:
        names = [term.name for term in group.terms]
        assert len(set(names)) == len(names) > group.take
        assert all(len(term.texts) >= 3 for term in group.terms)


def test_prompts_fit_into_the_text_encoder_of_stable_diffusion() -> None:
    """CLIP needs about 1.4 tokens a word and one a comma; it has 75, and a style comes first."""
    vocabulary = read_vocabulary(vocabulary_file())
    longest = 0
    for group in vocabulary.groups:
        lengths = [
            max(len(re.findall(r"[\w'-]+", picture)) for picture in term.pictures)
            for term in group.terms
        ]
        longest += sum(sorted(lengths)[-group.take :])
    assert 1.4 * longest + 12 < 75


def test_starters_vocabulary_has_only_words_that_its_text_encoder_knows() -> None:
    tokenizer = CLIPTokenizer.from_pretrained(STARTER / "base" / "tokenizer")
    vocabulary = read_vocabulary(STARTER / "vocabulary.toml")
    words = {word for term in vocabulary.terms for p in term.pictures for word in p.split()}
    known = tokenizer.get_vocab()
    assert {word.strip(",") for word in words if f"{word.strip(',')}</w>" not in known} == set()
    longest = ", ".join(
        max((p for term in group.terms for p in term.pictures), key=lambda p: len(p.split()))
        for group in vocabulary.groups
    )
    assert len(tokenizer(longest).input_ids) <= tokenizer.model_max_length
    assert all(term.attributes for term in vocabulary.terms)


def test_attributes_are_those_that_a_mood_probe_reads() -> None:
    names = [field.name for field in dataclasses.fields(Attributes)]
    assert list(ATTRIBUTES) == ["pace" if name == "tempo_bpm" else name for name in names]


def write(text: str) -> Path:
    file = user_vocabulary()
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")
    return file


def test_users_vocabulary_replaces_the_own_one() -> None:
    own = read_vocabulary(vocabulary_file())
    file = write('[mood]\ntemplates = ["{} music"]\n[mood.terms]\n"very calm" = ["a lake"]\n')
    assert vocabulary_file() == file
    vocabulary = read_vocabulary(file)
    (term,) = vocabulary.terms
    assert (term.name, term.group) == ("very calm", "mood")
    assert (term.texts, term.pictures) == (("very calm music",), ("a lake",))
    assert (vocabulary.groups[0].take, vocabulary.groups[0].medium) == (1, False)
    assert vocabulary.fingerprint != own.fingerprint


MISTAKES = """
mood = 3
[a]
templates = ["no place"]
take = 0
medium = 1
color = "red"
[a.terms]
calm = "a lake"
"" = ["x"]
[b]
templates = ["{}"]
[b.terms]
calm = ["a lake"]
[b.attributes]
calm = { arousal = 2, joy = 0.5 }
wild = {}
[c]
"""


def test_all_mistakes_are_reported_at_once() -> None:
    file = write(MISTAKES)
    with pytest.raises(SettingsError) as caught:
        read_vocabulary(file)
    assert str(file) in str(caught.value)
    assert [problem.partition(":")[0] for problem in caught.value.problems] == [
        "mood",
        "a.color",
        "a.templates",
        "a.take",
        "a.medium",
        "a.terms.calm",
        "a.terms",
        "b.attributes.calm.arousal",
        "b.attributes.calm.joy",
        "b.attributes.wild",
        "b.attributes.wild",
        "c.templates",
        "c.terms",
    ]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("[mood", "Expected .]. at the end of a table"),
        ("[mood]\ntemplates = ['{}']\nterms = {}", "a table of words with their pictures"),
    ],
)
def test_file_without_words_is_refused(text: str, words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        read_vocabulary(write(text))
