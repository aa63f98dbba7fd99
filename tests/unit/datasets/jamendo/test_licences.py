"""Creative Commons codes, and how Jamendo is asked for them."""

import pytest

from covergen.datasets.jamendo.licences import (
    ADAPTABLE,
    LICENCES,
    licence_code,
    licence_filters,
    licence_name,
)


@pytest.mark.parametrize(
    ("url", "code", "name"),
    [
        ("http://creativecommons.org/licenses/by/3.0/", "by", "CC BY 3.0"),
        ("https://creativecommons.org/licenses/by-nc-sa/4.0/", "by-nc-sa", "CC BY-NC-SA 4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/2.5/it/", "by-nc-nd", "CC BY-NC-ND 2.5"),
        ("http://creativecommons.org/licenses/by-sa/2.0", "by-sa", "CC BY-SA 2.0"),
        ("http://artlibre.org/licence.php/lal.html", "", ""),
        ("https://evil.example/?creativecommons.org/licenses/by/3.0/", "", ""),
        ("http://creativecommons.org/licenses/by-everything/3.0/", "", ""),
        ("", "", ""),
    ],
)
def test_a_licence_is_known_by_its_address(url: str, code: str, name: str) -> None:
    assert licence_code(url) == code
    assert licence_name(url) == name


@pytest.mark.parametrize(
    ("codes", "filters"),
    [
        (ADAPTABLE, {"ccnd": "false"}),
        (("by",), {"ccsa": "false", "ccnd": "false", "ccnc": "false"}),
        (("by", "by-sa"), {"ccnd": "false", "ccnc": "false"}),
        (("by-nc", "by-nc-sa"), {"ccnd": "false", "ccnc": "true"}),
        (("by-nd", "by-nc-nd"), {"ccsa": "false", "ccnd": "true"}),
        (LICENCES, {}),
    ],
)
def test_a_filter_demands_what_all_have_and_forbids_what_none_has(
    codes: tuple[str, ...], filters: dict[str, str]
) -> None:
    assert licence_filters(codes) == filters
