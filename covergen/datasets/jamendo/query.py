"""The parameters of a search in Jamendo's API v3.0.

Source: developer.jamendo.com/v3.0/tracks.
"""

from dataclasses import dataclass
from datetime import date

from covergen.datasets.jamendo.licenses import ADAPTABLE, license_filters

IMAGE_SIZES = (25, 35, 50, 55, 60, 65, 70, 75, 85, 100, 130, 150, 200, 300, 400, 500, 600)
ORDERS = {
    "id": "id_asc",
    "newest": "releasedate_desc",
    "popularity_total": "popularity_total",
    "popularity_week": "popularity_week",
}
PAGE_SIZE = 200  # Jamendo's maximum

_EARLIEST, _LATEST = date(1900, 1, 1), date(2100, 1, 1)
# Singles are searched separately: they have no album ID and would be grouped into one result.
_PARTS = ({"type": "albumtrack", "groupby": "album_id"}, {"type": "single"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """Search criteria: all of `tags`, any of `any_tags`, released from `since` to `until`.

    `licenses` are from LICENSES, `order` from ORDERS, and `image_size`, in pixels, from
    IMAGE_SIZES.
    """

    licenses: tuple[str, ...] = ADAPTABLE
    tags: tuple[str, ...] = ()
    any_tags: tuple[str, ...] = ()
    since: date | None = None
    until: date | None = None
    order: str = "id"
    image_size: int = 600


def searches(query: Query) -> tuple[dict[str, str], ...]:
    """Return the parameters of the two searches of a query: for albums and for singles."""
    parameters = {
        "format": "json",
        "limit": str(PAGE_SIZE),
        "order": ORDERS[query.order],
        "include": "licenses musicinfo",
        "imagesize": str(query.image_size),
        "audioformat": "mp32",
        "audiodlformat": "mp32",
        **license_filters(query.licenses),
    }
    if query.tags:
        parameters["tags"] = " ".join(query.tags)
    if query.any_tags:
        parameters["fuzzytags"] = " ".join(query.any_tags)
    if query.since or query.until:  # Jamendo requires both dates
        parameters["datebetween"] = f"{query.since or _EARLIEST}_{query.until or _LATEST}"
    return tuple(parameters | part for part in _PARTS)
