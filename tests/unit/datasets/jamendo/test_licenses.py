"""Creative Commons codes and names, and Jamendo's filters for them."""

import pytest

from covergen.datasets.jamendo.licenses import (
    ADAPTABLE,
    LICENSES,
    license_code,
    license_filters,
    license_name,
)


@pytest.mark.parametrize(
    ("url", "code", "name"),
    [
        ("http://creativecommons.org/licenses/by/3.0/", "by", "CC BY 3.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", "by-nc-sa", "CC BY-NC-SA 4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.5/it/", "by-nc-nd", "CC BY-NC-ND 2.5"),
        ("http://artlibre.org/license.php/lal.html", "", ""),
        ("https://evil.example/?creativecommons.org/licenses/by/3.0/", "", ""),
        ("http://creativecommons.org/licenses/by-everything/3.0/", "", ""),
    ],
)
def test_license_is_recognized_by_its_url(url: str, code: str, name: str) -> None:
    assert (license_code(url), license_name(url)) == (code, name)


@pytest.mark.parametrize(
    ("codes", "filters"),
    [
        (ADAPTABLE, {"ccnd": "false"}),
        (("by",), {"ccsa": "false", "ccnd": "false", "ccnc": "false"}),
        (("by-nc", "by-nc-sa"), {"ccnd": "false", "ccnc": "true"}),
        (("by-nd", "by-nc-nd"), {"ccsa": "false", "ccnd": "true"}),
        (LICENSES, {}),
    ],
)
def test_filters_require_common_clauses_and_exclude_unused_ones(
    codes: tuple[str, ...], filters: dict[str, str]
) -> None:
    assert license_filters(codes) == filters
