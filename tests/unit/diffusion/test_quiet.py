"""Silencing of libraries."""

import logging
import warnings

import pytest
from diffusers.utils import logging as diffusers_logging
from transformers.utils import logging as transformers_logging

from covergen.diffusion.quiet import quiet


@pytest.mark.parametrize("library", [diffusers_logging, transformers_logging])
@pytest.mark.parametrize("bars", [True, False])
def test_libraries_are_silent_only_inside_the_context(library: object, bars: bool) -> None:
    def set_bars(enabled: bool) -> None:
        library.enable_progress_bar() if enabled else library.disable_progress_bar()

    def fail_quietly() -> None:
        with quiet():
            assert library.get_verbosity() == logging.CRITICAL
            assert not library.is_progress_bar_enabled()
            warnings.warn("silenced", stacklevel=1)
            raise KeyError

    library.set_verbosity(logging.INFO)
    set_bars(bars)
    with pytest.raises(KeyError):
        fail_quietly()
    assert library.get_verbosity() == logging.INFO
    assert library.is_progress_bar_enabled() == bars
    with pytest.warns(UserWarning, match="shown"):
        warnings.warn("shown", stacklevel=1)
    library.set_verbosity(logging.WARNING)
    set_bars(True)
