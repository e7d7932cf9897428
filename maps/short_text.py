"""Whole numbers as short text: six bits a letter, small numbers one letter.

A number is cut in five bits each, lowest first; the sixth bit of a letter says that more follow
(LEB128 with an alphabet that stands in JSON as it is). Signed numbers are folded first: 0, -1, 1,
-2 become 0, 1, 2, 3.
"""

import numpy as np
import numpy.typing as npt

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
BITS = 5
MORE = 1 << BITS
MOST_LETTERS = 13  # of a number: 64 bits by five

Ints = npt.NDArray[np.int64]
_CODES = np.frombuffer(LETTERS.encode("ascii"), dtype=np.uint8)


def pack(numbers: npt.ArrayLike) -> str:
    """Return whole numbers, which may be negative, as text."""
    plain = np.asarray(numbers, dtype=np.int64)
    rest = np.where(plain < 0, -2 * plain - 1, 2 * plain)
    columns, kept = [], []
    alive = np.ones(len(rest), dtype=bool)
    while alive.any():
        further = rest >= MORE
        columns.append(_CODES[rest % MORE + MORE * further])
        kept.append(alive)
        alive, rest = alive & further, rest // MORE
    if not columns:
        return ""
    letters = bytes(np.column_stack(columns)[np.column_stack(kept)])
    return letters.decode("ascii")


def unpack(text: str) -> Ints:
    """Return the numbers that `pack` was given.

    Raises:
        ValueError: the text is none of `pack`'s.
    """
    values = np.array([LETTERS.index(letter) for letter in text], dtype=np.int64)
    last = values < MORE
    if len(values) and not last[-1]:
        raise ValueError("the text ends within a number")
    number = np.concatenate([[0], np.cumsum(last)[:-1]]).astype(np.int64)[: len(values)]
    first = np.concatenate([[0], np.flatnonzero(last) + 1])[:-1]
    place = np.arange(len(values)) - first[number] if len(values) else values
    if len(place) and place.max() >= MOST_LETTERS:
        raise ValueError("a number of more than 64 bits")
    folded = np.zeros(int(last.sum()), dtype=np.int64)
    np.add.at(folded, number, (values % MORE) << (BITS * place))
    return np.where(folded % 2, -(folded + 1) // 2, folded // 2)
