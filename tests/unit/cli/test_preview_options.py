"""What a retry of a preview knows of the command that made it."""

from covergen.cli import preview
from covergen.cli.commands.tag import tag

# Decides nothing about the pictures or the albums, or is given anew each time.
_GIVEN_ANEW = {
    "as_json", "batch_size", "device", "dry_run", "dtype", "image_format", "jobs", "jpeg_quality",
    "no_journal", "paths", "preserve_mtime", "preview", "quiet", "retry", "verbose", "yes",
}  # fmt: skip


def test_every_option_of_tag_is_remembered_or_given_anew() -> None:
    options = {parameter.name for parameter in tag.params}
    assert options - _GIVEN_ANEW == set(preview._REMEMBERED)
