"""The blocks of data in map.html: whole numbers, known words, names; nothing else fits in."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from maps.layers import PATTERNS

Natural = Annotated[int, Field(ge=0)]
PerCent = Annotated[int, Field(ge=0, le=100)]
ClassDigits = Annotated[str, Field(pattern=r"^[0-9]*$")]  # class of each group, one digit each
Colour = Annotated[str, Field(pattern=r"^#[0-9a-f]{6}$")]
Key = Annotated[str, Field(pattern=r"^[a-z_.0-9]+$")]  # of a text in the catalogues
Tier = Literal["public", "partner"]
Packed = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]*$")]  # whole numbers by short_text.pack
KNOWN_KINDS = ("unknown", "FCBK", "Zigzag", "CFCBK")


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class ClassBlock(_Frozen):
    """One line of a legend."""

    key: Key
    values: dict[Literal["low", "high", "share"], float]
    fill: Colour
    ink: Colour
    pattern: Literal[tuple(PATTERNS)]  # type: ignore[valid-type]  # the names of layers.PATTERNS


class ThemeBlock(_Frozen):
    """The legend of one way to colour the map."""

    key: Key
    classes: tuple[ClassBlock, ...] = Field(max_length=10)


class FiguresBlock(_Frozen):
    """Figures of every group, columns of `shown_figures`; one value a group."""

    expected: tuple[Natural, ...]
    low: tuple[Natural, ...]
    high: tuple[Natural, ...]
    searched: tuple[PerCent, ...]
    area: tuple[Natural, ...]
    cells: tuple[Natural, ...]
    hot: tuple[Natural, ...]
    stability: tuple[PerCent | None, ...]
    rate: tuple[Natural | None, ...]
    rate_low: tuple[Natural | None, ...]
    rate_high: tuple[Natural | None, ...]
    hotspot: ClassDigits
    evidence: ClassDigits
    little: ClassDigits


class PeriodBlock(_Frozen):
    """What one survey says: its figures, the class of each group, and where it looked."""

    period: str
    figures: FiguresBlock
    classes: dict[Key, ClassDigits]
    surveyed: tuple[Natural, ...]
    """Cells that the survey touched, as `encode_cells` writes them."""
    gaps: tuple[Natural, ...]
    """Of these, cells of which under a fifth was searched."""


class SitesBlock(_Frozen):
    """Single sites, partner tier only: steps of 2.5 m from the grid's corner, differences.

    A site's name comes from its square of 25 m, so it is made anew in the browser; `second` holds
    the positions of sites that share a square with the one before, and their numbers.
    """

    south: Packed
    east: Packed
    p: Packed
    """Probability in per cent."""
    kind: ClassDigits
    kinds: tuple[Literal[KNOWN_KINDS], ...]  # type: ignore[valid-type]
    second: dict[Annotated[str, Field(pattern=r"^\d+$")], Natural]


class MapBlock(_Frozen):
    """The block `survey`: everything that is drawn of the survey itself."""

    format: Literal[1]
    tier: Tier
    cell_m: Literal[5000]
    group_ids: tuple[str, ...]
    cells: tuple[Natural, ...]
    """Cells of all groups, as `encode_groups` writes them."""
    themes: tuple[ThemeBlock, ...]
    patterns: dict[str, str]
    periods: tuple[PeriodBlock, ...] = Field(min_length=1)
    sites: SitesBlock | None = None


class LinesBlock(_Frozen):
    """Lines in whole steps of `unit` millionths of a degree: first point, then differences."""

    unit: Literal[2000]
    """0.002 degrees, about 200 m: finer than a border needs to be, too coarse to place a site."""
    lines: tuple[tuple[int, ...], ...]


class NamesBlock(_Frozen):
    """Named places in whole hundredths of a degree, about a kilometre."""

    names: tuple[dict[Literal["en", "hi", "bn", "ur", "ne"], str], ...]
    lon: tuple[int, ...]
    lat: tuple[int, ...]
    reach: tuple[Natural, ...]
    """Half of the larger side, hundredths of a degree: how much the map shows around."""


class BaseBlock(_Frozen):
    """The block `base`: borders, and the names that the map shows and finds."""

    land: LinesBlock
    districts: LinesBlock
    country_names: NamesBlock
    district_names: NamesBlock
    place_names: NamesBlock
