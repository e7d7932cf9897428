"""How often each pixel was seen, and between which days: kept beside a composite's colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tiles.coverage import NO_FIRST, NO_LAST, day_number

Days = npt.NDArray[np.int32]


@dataclass(frozen=True)
class Looks:
    """The usable looks at each pixel; arrays (y, x).

    Attributes:
        count: how many.
        first_day: of the earliest dated one, days since 1970; NO_FIRST where there is none.
        last_day: of the latest dated one; NO_LAST where there is none.
    """

    count: npt.NDArray[np.uint16]
    first_day: Days
    last_day: Days

    @classmethod
    def none(cls, rows: int, cols: int) -> "Looks":
        """No look yet at any pixel."""
        shape = rows, cols
        return cls(
            np.zeros(shape, np.uint16),
            np.full(shape, NO_FIRST, np.int32),
            np.full(shape, NO_LAST, np.int32),
        )

    def fill(self, rows: slice, usable: npt.NDArray[np.bool_], days: Sequence[str | None]) -> None:
        """Say of some rows which looks were usable.

        Args:
            rows: of the arrays, not filled before.
            usable: (look, y, x).
            days: of the looks (ISO 8601), earliest first; None where a scene has no date.
        """
        dated = [
            (day_number(day, NO_FIRST), seen)
            for day, seen in zip(days, usable, strict=True)
            if day is not None
        ]
        for seen in usable:
            self.count[rows] += seen
        for number, seen in dated:
            np.copyto(self.last_day[rows], np.int32(number), where=seen)
        for number, seen in reversed(dated):
            np.copyto(self.first_day[rows], np.int32(number), where=seen)

    def within(self, rows: slice, cols: slice) -> "Looks":
        """The same of a rectangle of pixels."""
        return Looks(self.count[rows, cols], self.first_day[rows, cols], self.last_day[rows, cols])
