"""Words that accuse: a worksite in a picture is no crime, so no published text may call it one.

The program's own sentences use a few of them to say that nothing is accused; they are taken out
before the search, word for word as the catalogues have them. What is left comes from a user (names
of regions and places, credits) or from a table, and may hold none, in whatever letters it is
written: full-width ones, marks that nobody sees, hyphens for spaces and Arabic's letters for Urdu's
change nothing.
"""

import re
import unicodedata
from functools import cache

from maps.language import LANGUAGES, load_language

# Stems, since languages inflect. Read: whoever prints one of them beside a place accuses somebody
# there. English, Hindi and Nepali, Bengali, Urdu.
STEMS = (
    *("slave", "enslav", "traffick", "forced labo", "bonded labo", "debt bond", "child labo"),
    *("criminal", "crime", "illegal", "unlawful", "illicit", "guilty", "offender", "culprit"),
    *("exploit", "abuse", "abusive", "victim", "perpetrat", "violator", "smuggl", "captive"),
    *("गुलाम", "दास प्रथा", "बंधुआ", "बँधुआ", "कमैया", "तस्कर", "अपराध", "अवैध", "शोषण", "पीड़ित", "दोषी"),
    *("बाल श्रम", "बाल मजदूर", "बाल मज़दूर", "bandhua"),
    *("দাসত্ব", "ক্রীতদাস", "বন্ধকী শ্রম", "পাচার", "অপরাধ", "অবৈধ", "শোষণ", "ভুক্তভোগী", "দোষী", "শিশু শ্রম"),
    *("غلام", "جبری مشقت", "بیگار", "اسمگل", "جرائم", "مجرم", "غیر قانونی", "استحصال", "متاثرین"),
)
# Names that begin like one: Slavec, Crimea, and Ghulam before the name that it is given with.
NAMES = (
    *("محمد", "علی", "حسین", "حسن", "رسول", "نبی", "احمد", "عباس", "حیدر", "قادر"),
    *("मोहम्मद", "मुहम्मद", "अली", "नबी", "रसूल", "हुसैन"),
)
URDU = str.maketrans("يىكهة", "ییکہہ")  # letters of Arabic keyboards, as Urdu writes them
APART = r"[\W_]*"  # what may stand between the words of a stem, or nothing
PLACE_IN_TEXT = re.compile(r"\{\w*\}")
TAG = re.compile(r"<[^<>]*>")


def accusation_in(text: str) -> str | None:
    """Return the first accusing word of a text, or None; the program's own sentences may stay."""
    plain = _plain(text)
    found = _accusing().search(_harmless().sub(" ", plain))
    if found is None:
        return None
    for sentence in _own_sentences():
        plain = plain.replace(sentence, " ")
    found = _accusing().search(_harmless().sub(" ", plain))
    return found.group() if found else None


def _plain(text: str) -> str:
    """One way to write what looks the same: compatibility forms, no unseen marks."""
    if text.isascii():
        return text
    seen = "".join(
        c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf"
    )
    return seen.translate(URDU)


@cache
def _accusing() -> re.Pattern[str]:
    stems = (map(re.escape, _plain(stem).split(" ")) for stem in STEMS)
    return re.compile("|".join(APART.join(words) for words in stems), re.IGNORECASE)


@cache
def _harmless() -> re.Pattern[str]:
    given = "|".join(map(_plain, NAMES))
    return re.compile(
        rf"\b(?:slavec|slavey|crimea)\w*|(?:{_plain('غلام')}|{_plain('गुलाम')})\s+(?:{given})",
        re.IGNORECASE,
    )


@cache
def _own_sentences() -> tuple[str, ...]:
    """What the catalogues say around such words, cut at what is filled in; longest first."""
    texts = (text for code in LANGUAGES for text in load_language(code).texts.values())
    parts = {_plain(part) for text in texts for part in PLACE_IN_TEXT.split(TAG.sub("{}", text))}
    return tuple(
        sorted((part for part in parts if _accusing().search(part)), key=len, reverse=True)
    )
