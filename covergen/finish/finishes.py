"""Apply one of FINISHES to a painted picture."""

from __future__ import annotations

from typing import TYPE_CHECKING

from covergen.core.cover import PRINTS, Sampling

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


_PRINT_SIZE = 1024  # pixels; prints are sharp at any size


def apply_finish(
    pixels: NDArray[np.uint8], sampling: Sampling, size: int | None
) -> NDArray[np.uint8]:
    """Return the finished picture.

    size: the side of the cover to be made, in pixels. The finish "none" leaves resizing to the
    caller. pixels: (H, H, 3) uint8 sRGB.
    """
    if sampling.finish in PRINTS:
        from covergen.finish.screen_print import screen_print

        paper = sampling.finish == "paper"
        return screen_print(pixels, size=size or _PRINT_SIZE, inks=sampling.inks, paper=paper)
    if sampling.finish == "none":
        return pixels
    from covergen.finish.sharp_edges import sharpen, smooth_outlines

    finish = {"sharp": sharpen, "smooth": smooth_outlines}[sampling.finish]
    return finish(pixels, size=size or len(pixels))
