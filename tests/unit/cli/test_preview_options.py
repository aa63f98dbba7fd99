"""A retry of a preview reuses the options of the command that created it."""

from covergen.cli import preview
from covergen.cli.commands.tag import tag

# Options that affect neither pictures nor albums, or are passed again each time.
_NOT_REMEMBERED = {
    "artist_name", "artists",
    "as_json", "batch_size", "device", "dry_run", "dtype", "image_format", "jobs", "jpeg_quality",
    "max_bytes",
    "no_journal", "paths", "preserve_mtime", "preview", "quiet", "retry", "verbose", "yes",
}  # fmt: skip


def test_every_option_of_tag_is_classified() -> None:
    options = {parameter.name for parameter in tag.params}
    assert options - _NOT_REMEMBERED == set(preview._REMEMBERED)
