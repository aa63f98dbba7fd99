"""Creative Commons licences: their codes, their addresses, and Jamendo's filters for them.

Source: creativecommons.org/share-your-work/cclicenses.
"""

import re
from collections.abc import Collection

__all__ = ["ADAPTABLE", "LICENCES", "licence_code", "licence_filters", "licence_name"]

ADAPTABLE = ("by", "by-sa", "by-nc", "by-nc-sa")  # derived works are permitted
LICENCES = (*ADAPTABLE, "by-nd", "by-nc-nd")

_ADDRESS = re.compile(
    r"https?://creativecommons\.org/licenses/(?P<code>by(?:-nc)?(?:-sa|-nd)?)/(?P<version>\d\.\d)\b"
)


def licence_code(url: str) -> str:
    """The code of the licence at an address, such as "by-nc-sa"; "" if it is none of LICENCES."""
    found = _ADDRESS.match(url)
    return found["code"] if found else ""


def licence_name(url: str) -> str:
    """The name of the licence at an address, such as "CC BY-NC-SA 3.0"; "" if none of LICENCES."""
    found = _ADDRESS.match(url)
    return f"CC {found['code'].upper()} {found['version']}" if found else ""


def licence_filters(codes: Collection[str]) -> dict[str, str]:
    """Jamendo's parameters for a set of licences: each demands or forbids one clause.

    Not every set can be said so: what comes must be looked at, too.
    """
    filters = {}
    for clause in ("sa", "nd", "nc"):
        demanded = {clause in code.split("-") for code in codes}
        if len(demanded) == 1:
            filters[f"cc{clause}"] = "true" if demanded.pop() else "false"
    return filters
