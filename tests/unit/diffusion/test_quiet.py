"""Silence while it lasts, and nothing left behind."""

import logging
import warnings

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from covergen.diffusion.quiet import quiet


@pytest.mark.parametrize("library", [diffusers_logging, transformers_logging])
def test_silence_ends_where_it_should(library: object) -> None:
    library.set_verbosity(logging.INFO)
    library.enable_progress_bar()

    def fail_quietly() -> None:
        with quiet():
            assert library.get_verbosity() == logging.CRITICAL
            assert not library.is_progress_bar_enabled()
            warnings.warn("unheard", stacklevel=1)
            raise KeyError

    with pytest.raises(KeyError):
        fail_quietly()
    assert library.get_verbosity() == logging.INFO
    assert library.is_progress_bar_enabled()
    with pytest.warns(UserWarning, match="heard again"):
        warnings.warn("heard again", stacklevel=1)
    library.disable_progress_bar()
    with quiet():
        pass
    assert not library.is_progress_bar_enabled()
    library.set_verbosity(logging.WARNING)
    library.enable_progress_bar()
