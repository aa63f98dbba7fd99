"""Creative Commons licenses: their codes, URLs and Jamendo search filters.

Source: creativecommons.org/share-your-work/cclicenses.
"""

import re
from collections.abc import Collection

ADAPTABLE = ("by", "by-sa", "by-nc", "by-nc-sa")  # allow derivative works
LICENSES = (*ADAPTABLE, "by-nd", "by-nc-nd")

_URL = re.compile(
    r"https?://creativecommons\.org/licenses/(?P<code>by(?:-nc)?(?:-sa|-nd)?)/(?P<version>\d\.\d)\b"
)


def license_code(url: str) -> str:
    """Return the code of the license at `url`, such as "by-nc-sa"; "" if not in LICENSES."""
    found = _URL.match(url)
    return found["code"] if found else ""


def license_name(url: str) -> str:
    """Return the name of the license at `url`, such as "CC BY-NC-SA 3.0"; "" if not in LICENSES."""
    found = _URL.match(url)
    return f"CC {found['code'].upper()} {found['version']}" if found else ""


def license_filters(codes: Collection[str]) -> dict[str, str]:
    """Return Jamendo's parameters for a set of licenses; each requires or excludes one clause.

    Not every set can be expressed exactly, so the license of each result must be checked too.
    """
    filters = {}
    for clause in ("sa", "nd", "nc"):
        included = {clause in code.split("-") for code in codes}
        if len(included) == 1:
            filters[f"cc{clause}"] = "true" if included.pop() else "false"
    return filters
