"""A retry of a preview uses the parameters that the preview was created with."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import click
import pytest

from covergen.cli.commands.preview import origin_options, preview, take_from_origin
from covergen.cli.commands.tag import tag
from covergen.preview.manifest import Manifest, ManifestHeader
from covergen.preview.origins import Origin, new_preview_id, remember_origin

# What may differ between a preview and its retry.
FREE = {
    "paths", "output", "retry", "quiet", "verbose", "as_json", "device", "dtype", "batch_size",
    "jobs", "engine", "ray_address", "path_map",
}  # fmt: skip
OPTIONS = [param for param in preview.params if isinstance(param, click.Option)]


def unusual_value(option: click.Option) -> Iterator[str]:
    """Yield the words that set an option to something else than its default."""
    if option.is_flag:
        yield option.opts[-1]
        return
    match option.type:
        case click.Choice(choices=choices):
            value = next(choice for choice in reversed(choices) if choice != option.default)
        case click.IntRange(min=lowest):
            value = str((lowest or 0) + 1)
        case click.FloatRange():
            value = "0.5"
        case _:
            value = "words"
    for _ in range(2 if option.multiple else 1):
        yield from (option.opts[-1], value)


@pytest.fixture
def folder(home: Path, tmp_path: Path) -> Path:
    """A preview folder that contains nothing but a manifest."""
    folder = tmp_path / "preview"
    folder.mkdir()
    header = ManifestHeader(preview=new_preview_id(), roots=("Music",), settings={})
    Manifest.create(folder, header).close()
    return folder


def test_every_parameter_is_taken_from_the_preview_unless_it_is_given(
    folder: Path, tmp_path: Path
) -> None:
    """Also for options that are added later: they are recorded, or in FREE."""
    (file := tmp_path / "choices.json").touch()
    own = ["--output", str(folder), "--retry", str(file)]
    recorded = [option for option in OPTIONS if option.expose_value and option.name not in FREE]
    words = [word for option in recorded for word in unusual_value(option)]
    first = preview.make_context("preview", [*own, *words, str(tmp_path)])
    with closing(Manifest(folder)) as plan:
        options = json.loads(json.dumps(origin_options(first.params)))
        origin = Origin(paths=(tmp_path,), roots=(tmp_path,), options=options)
        remember_origin(plan.header.preview, origin)

    again = preview.make_context("preview", own.copy())
    assert not [o for o in recorded if again.params[str(o.name)] == first.params[str(o.name)]]
    for config in ({}, {"seed": 9}):  # config.toml may have changed
        again = preview.make_context("preview", own.copy(), default_map=config)
        take_from_origin(again)
        assert again.params == first.params

    changed = preview.make_context("preview", [*own, "--seed", "8", str(folder)])
    take_from_origin(changed)
    assert changed.params == first.params | {"seed": 8, "paths": (folder,)}


def test_what_a_retry_may_change_is_not_recorded() -> None:
    params = {str(param.name): None for param in preview.params if param.expose_value}
    assert params.keys() - origin_options(params).keys() == FREE


def test_tag_still_accepts_the_options_of_preview() -> None:
    of_tag = {param.name for param in tag.params}
    assert {param.name for param in preview.params} - of_tag == {"output"}
    assert all(p.hidden for p in tag.params if p.name in ("preview", "candidates", "retry"))  # type: ignore[attr-defined]  # options
