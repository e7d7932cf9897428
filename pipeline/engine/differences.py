"""What differs between two surveys, in words: a run folder is refused with it."""

import json
from collections.abc import Mapping
from typing import Any

SHOWN = 3  # names in a message; the rest are counted
MOST_CHARACTERS = 60  # of a value in a message


def differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What differs between two surveys, one phrase each."""
    found: list[str] = []
    for key in sorted({*before, *now}):
        if before.get(key) != now.get(key):
            found += _difference(key, before.get(key), now.get(key))
    return found


def _difference(key: str, before: Any, now: Any) -> list[str]:  # noqa: ANN401  (any JSON)
    if key == "imagery" and isinstance(before, list) and isinstance(now, list):
        return _imagery_difference(before, now)
    if key == "region":
        return ["region: another outline"]
    if key == "weights" and before and now:
        return [f"weights: were {_weights(before)}, now {_weights(now)}"]
    if isinstance(before, dict) and isinstance(now, dict):
        inner = [k for k in sorted({*before, *now}) if before.get(k) != now.get(k)]
        return [f"{key}.{k}: was {_short(before.get(k))}, now {_short(now.get(k))}" for k in inner]
    return [f"{key}: was {_short(before)}, now {_short(now)}"]


def _imagery_difference(before: list[Any], now: list[Any]) -> list[str]:
    old, new = ({scene["scene_id"]: scene for scene in scenes} for scenes in (before, now))
    sorts = {
        "new": [name for name in new if name not in old],
        "gone": [name for name in old if name not in new],
        "changed": [name for name in new if name in old and new[name] != old[name]],
    }
    return [f"imagery {what}: {_listed(names)}" for what, names in sorts.items() if names]


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def _weights(known: Mapping[str, Any]) -> str:
    return f"{known.get('name')} {known.get('version')} ({str(known.get('sha256'))[:8]})"


def _short(value: object) -> str:
    text = json.dumps(value)
    return text if len(text) <= MOST_CHARACTERS else text[: MOST_CHARACTERS - 3] + "..."
