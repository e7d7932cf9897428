"""Names of licences, as people write them."""

import pytest

from models.licences import forbids_commerce


@pytest.mark.parametrize(
    ("licence", "forbids"),
    [
        ("CC-BY-NC-4.0", True),
        ("cc-by-nc-sa-4.0", True),
        ("CC BY NC 4.0", True),
        ("CC_BY_NC_4.0", True),
        ("CC0-1.0 AND CC-BY-NC-4.0", True),
        ("PolyForm-Noncommercial-1.0.0", True),
        ("non-commercial use only", True),
        ("CC-BY-4.0", False),
        ("Apache-2.0", False),
        ("NCSA", False),
        ("none stated", False),
    ],
)
def test_a_licence_that_forbids_commerce_is_known_however_it_is_spelt(
    licence: str, forbids: bool
) -> None:
    assert forbids_commerce(licence) == forbids
