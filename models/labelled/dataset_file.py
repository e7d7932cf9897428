"""A dataset file: which labelled imagery there is, which places, and what each fold holds out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from models.labelled.formats.tiles import TileFormat
from models.labelled.places import BLOCK_M
from models.licences import UNSTATED, forbids_more
from models.weights import TrainedPlace
from tiles.errors import DatasetError
from tiles.settings_file import read_settings

Share = Annotated[float, Field(gt=0)]
Side = Annotated[float, Field(ge=BLOCK_M / 1000)]
Band = Annotated[int, Field(ge=1)]
RGB_BANDS = (1, 2, 3)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class AnySource(_Frozen):
    """What every kind of source says.

    Attributes:
        region: Name of the region it lies in; a fold may hold out a whole region by it.
        credit: Source, for the card.
        licence: Of pixels and labels, an SPDX expression, or `none stated`.
        share: Share of the training samples, relative to the other sources.
        evaluation_only: Never trained on, whatever the fold.
    """

    region: str = Field(min_length=1)
    credit: str
    licence: str
    share: Share = 1.0
    evaluation_only: bool = False


class SceneSource(AnySource):
    """A scene with a table of sites; see `formats.sites.read_scene`.

    Attributes:
        image: Raster, relative to the data folder.
        labels: The sites.
        notes: Corrections of the labels.
        strips: Number of strips from west to east that are places of their own, `region/1` and so
            on; without it blocks of at least 20 km are.
        bands: One-based numbers of red, green and blue.
    """

    image: Path
    labels: Path
    notes: Path | None = None
    strips: int | None = Field(default=None, ge=1)
    bands: tuple[Band, Band, Band] = RGB_BANDS


class TilesSource(AnySource):
    """A folder of labelled tiles; see `formats.tiles`.

    Attributes:
        images: Folder of the images.
        labels: Folder of the labels, or the COCO file.
        format: `obb_json`, `yolo_obb` or `coco`.
        table: CSV `name, district`, the place of each tile; else COCO's `place`, else blocks.
        notes: Corrections of the labels.
        classes: Label classes that count; empty takes all.
        block_km: Side of the blocks.
        blind_edge_px: Along the edge sites may be unlabelled; this margin counts neither way.
        bands: One-based numbers of red, green and blue.
    """

    images: Path
    labels: Path
    format: TileFormat = "obb_json"
    table: Path | None = None
    notes: Path | None = None
    classes: tuple[str, ...] = ()
    block_km: Side = BLOCK_M / 1000
    blind_edge_px: int = Field(default=5, ge=0)
    bands: tuple[Band, Band, Band] = RGB_BANDS


class ChipsSource(AnySource):
    """Chips in one .npz with a table of positions; see `formats.npz.PositionChips`.

    Attributes:
        chips: The .npz.
        labels: The table.
        key: Array of the .npz.
        positions: Column of positions in the table.
        name: Column of names in the table.
        bands: One-based numbers of red, green and blue among the chips' bands.
        keep_sources: Lists whose positions may be learnt from; other positions teach nothing.
        block_km: Side of the blocks of land that are the chips' places.
        blind_edge_px: Along the edge sites may be unlabelled.
    """

    chips: Path
    labels: Path
    key: str = "x"
    positions: str = "kilns"
    name: str = "chip"
    bands: tuple[Band, Band, Band] = RGB_BANDS
    keep_sources: tuple[str, ...] = ()
    block_km: Side = BLOCK_M / 1000
    blind_edge_px: int = Field(default=5, ge=0)


class EmptyChipsSource(AnySource):
    """Chips without any site of the class; see `formats.npz.EmptyChips`.

    Attributes:
        chips: The .npz.
        key: Array of the chips.
        label_key: Array of labels, one a chip.
        keep_label: Only chips with this label hold no site.
        group_key: Array that says which group a chip belongs to.
        group_names_key: Array of the groups' names, where groups are numbers.
        exclude: Patterns of group names that are not used.
        places: CSV with the column `place`, one row a chip, beside the dataset file.
        kept_out_share: Share of the places that no training ever sees, for counting false alarms.
    """

    chips: Path
    key: str = "x"
    label_key: str = "y"
    keep_label: int | None = None
    group_key: str | None = None
    group_names_key: str | None = None
    exclude: tuple[str, ...] = ()
    places: Path | None = None
    kept_out_share: float = Field(default=0.0, ge=0, lt=1)


class SimulationSource(_Frozen):
    """Made-up patches of `tiles.simulate`."""

    patches: int = Field(ge=1)
    size_px: int = Field(default=192, ge=64)
    share: Share = 1.0


class Fold(_Frozen):
    """What one training holds out: names of places or regions, or patterns such as `Delhi/*`.

    Attributes:
        test: Scored, never trained on.
        validate_: Sets threshold and calibration, never trained on; `validate` in the file.
    """

    test: tuple[str, ...] = Field(min_length=1)
    validate_: tuple[str, ...] = Field(default=(), alias="validate")


class DatasetFile(_Frozen):
    """The whole file.

    Attributes:
        name: Name of the weights made from it.
        version: Version of those weights.
        site_class: Class of the labels.
        licence: Licence of the weights, an SPDX expression.
        seed: Of everything drawn at random.
        steps: Training steps.
        scenes: Scenes with tables.
        tiles: Folders of tiles.
        chips: Chips with positions.
        empty_chips: Chips without sites.
        simulation: Made-up patches.
        folds: What may be held out, by name. Without a fold everything is trained on.
        out_of_fold: CSVs of scores in places not trained on, beside the dataset file, written by
            trainings of its folds; they set threshold, recall and calibration of a training
            without a fold.
        transfers: The same of trainings that held out a whole region; they say how far the curve
            from score to probability may be off elsewhere, and their figures stand in the card.
        adapted: The same of these trainings once `kilnlight adapt` had brought each to the region
            it had held out; they set what holds for weights once they are adapted.
        limits: Known failures, for the card.
        places: Where the labelled imagery lies, for the card.
    """

    name: str = Field(min_length=1)
    version: str = "0.1"
    site_class: str = "brick_kiln"
    licence: str
    seed: int = Field(default=0, ge=0)
    steps: int = Field(ge=1)
    scenes: tuple[SceneSource, ...] = ()
    tiles: tuple[TilesSource, ...] = ()
    chips: tuple[ChipsSource, ...] = ()
    empty_chips: tuple[EmptyChipsSource, ...] = ()
    simulation: SimulationSource | None = None
    folds: dict[str, Fold] = {}
    out_of_fold: tuple[Path, ...] = ()
    transfers: tuple[Path, ...] = ()
    adapted: tuple[Path, ...] = ()
    limits: tuple[str, ...] = ()
    places: tuple[TrainedPlace, ...] = ()

    @property
    def sources(self) -> tuple[AnySource, ...]:
        """All sources of real imagery, in the order of the file's kinds."""
        return (*self.scenes, *self.tiles, *self.chips, *self.empty_chips)

    @property
    def trained_sources(self) -> tuple[AnySource, ...]:
        """Those that are not for evaluation only."""
        return tuple(source for source in self.sources if not source.evaluation_only)

    @model_validator(mode="after")
    def _tables_once(self) -> Self:
        for name in ("out_of_fold", "transfers", "adapted"):
            tables = getattr(self, name)
            if len(set(tables)) < len(tables):
                raise ValueError(f"{name} names a table twice: its sites would count double")
        return self

    @model_validator(mode="after")
    def _licences_allow(self) -> Self:
        for source in self.trained_sources:
            if source.licence == UNSTATED:
                raise ValueError(
                    f"{source.credit} states no licence: set evaluation_only, or leave it out"
                )
            if forbids_more(source.licence, self.licence):
                raise ValueError(
                    f"{source.credit} is {source.licence}, so weights trained on it cannot be "
                    f"{self.licence}"
                )
        return self


def read_dataset_file(path: Path) -> DatasetFile:
    """Check a dataset file without reading any imagery.

    Raises:
        DatasetError: The file is missing or wrong.
    """
    return read_settings(
        path, DatasetFile, "dataset file", "models/datasets/brick_kiln.toml", DatasetError
    )
