"""JSON that stands inside a page."""

import json

from markupsafe import Markup


def script_json(content: object) -> Markup:
    """Return JSON that can stand inside a script element: no character can end it."""
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
    for character in "<>&\u2028\u2029":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)
