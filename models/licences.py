"""What a licence forbids, as far as its name says."""

from __future__ import annotations

import re

# What a dataset file says of imagery whose owner states none.
UNSTATED = "none stated"
# NC as a word of its own, as in CC-BY-NC-4.0 or "cc by nc", but not in NCSA.
_NO_COMMERCE = re.compile(r"(?<![a-z])nc(?![a-z])|non[- ]?commercial", re.IGNORECASE)


def forbids_commerce(licence: str) -> bool:
    """Whether a licence names itself non-commercial, however it is spelt."""
    return _NO_COMMERCE.search(licence) is not None


def forbids_more(licence: str, than: str) -> bool:
    """Whether a licence forbids what another allows: such pixels cannot give such weights."""
    return forbids_commerce(licence) and not forbids_commerce(than)
