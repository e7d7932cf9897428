"""Weights: tensors with a card that says what they are, checked by digest, and never any code."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pyproj import Geod
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from models.calibration import Calibration
from tiles.errors import WeightsError
from tiles.files import atomic_path

# One key only: safetensors writes several in no fixed order, and the same weights must be the same
# bytes. Its value is JSON: the card's text and the digest.
METADATA_KEY = "kilnlight"
DEFAULT_NAME = "brick_kiln"
ADAPTED_SUFFIX = "-adapted"  # behind the name of the weights that `kilnlight adapt` began with
FAR_KM = 500.0  # about the width of one of the belt's states; detectors fall in the next one

Card = TypeVar("Card", bound=BaseModel)


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NetworkShape(_Frozen):
    """All that is needed to build the network before its tensors are loaded.

    Attributes:
        fine_channels: Channels at full resolution; 0 folds pixels two by two into channels instead.
        stem_channels: Channels at stride 2, where the heads sit.
        stage_channels: Channels at strides 4 and 8.
        blocks: Residual blocks per stage.
        window_px: Side of the window whose mean and deviation normalise a pixel.
    """

    fine_channels: int = Field(default=16, ge=0)
    stem_channels: int = Field(default=32, ge=1)
    stage_channels: tuple[int, int] = (64, 96)
    blocks: int = Field(default=2, ge=1)
    window_px: int = Field(default=56, ge=8)


class PatchShape(_Frozen):
    """The same for the classifier of chips, `models.patches.network`.

    Attributes:
        kind: Tells this shape from the other in a card.
        channels: Channels at strides 4 and 8.
        chip_px: Side of the square that one score speaks for; a multiple of 8.
        dropout: Share of features left out while training.
    """

    kind: Literal["patches"] = "patches"
    channels: tuple[int, int] = (48, 96)
    chip_px: int = Field(default=48, ge=16, multiple_of=8)
    dropout: float = Field(default=0.3, ge=0, lt=1)

    @property
    def window_px(self) -> int:
        """Side of the window whose mean and deviation normalise a pixel: the chip itself."""
        return self.chip_px


class GateShape(_Frozen):
    """The same for the gate, `models.gate.network`.

    Attributes:
        kind: Tells this shape from the others in a card.
        channels: Channels at strides 4 and 8.
        window_px: Side of the window whose mean and deviation normalise a pixel; the detector's.
    """

    kind: Literal["gate"] = "gate"
    channels: tuple[int, int] = (24, 48)
    window_px: int = Field(default=56, ge=8)


class Recall(_Frozen):
    """Share of labelled sites found at the card's threshold in places not trained on."""

    mean: float = Field(ge=0, le=1)
    low: float = Field(ge=0, le=1)
    high: float = Field(ge=0, le=1)


class FamiliarSource(_Frozen):
    """Mean and inverse covariance of one training source's patches; see `inference.familiarity`."""

    name: str
    mean: tuple[float, ...]
    inverse_covariance: tuple[tuple[float, ...], ...]


class Familiarity(_Frozen):
    """What the training imagery looked like, and the distance beyond which imagery is unlike it."""

    sources: tuple[FamiliarSource, ...] = Field(min_length=1)
    threshold: float = Field(gt=0)


class Figure(_Frozen):
    """One measured figure, with its 95 % interval where there is one.

    Attributes:
        name: What was measured, and where.
        value: The figure; the mean over seeds where several networks were trained.
        low: Lower end of the interval.
        high: Upper end.
        seed_spread: The greatest less the smallest over seeds.
    """

    name: str
    value: float
    low: float | None = None
    high: float | None = None
    seed_spread: float | None = None


class TrainedPlace(_Frozen):
    """A place that training knew, by its middle in degrees, WGS 84."""

    name: str
    lon: float = Field(ge=-180, le=180)
    lat: float = Field(ge=-90, le=90)


class OnceAdapted(_Frozen):
    """What holds for weights once `kilnlight adapt` has brought them to a region.

    Measured on networks trained without a region, then adapted to it without its labels.

    Attributes:
        threshold: As in `WeightsCard`, like the others.
        calibration: From score to probability.
        recall: At `threshold`.
        figures: By region.
    """

    threshold: float = Field(gt=0, lt=1)
    calibration: Calibration
    recall: Recall
    figures: tuple[Figure, ...]


class WeightsCard(_Frozen):
    """The machine-readable model card; it travels inside the weights file.

    Attributes:
        name: Name of the weights.
        version: Version of the weights, `major.minor`.
        site_class: Name of the class that the weights find.
        licence: Licence of the weights, as an SPDX expression.
        bands: Bands that the network takes, in order.
        gsd_m: Ground sample distance of the grid it works on.
        stride: Blocks must start on multiples of this many pixels.
        halo_px: Margin around a block's core that decides nothing outside the core.
        threshold: Score above which a peak is a detection.
        shape: The network's sizes.
        calibration: From score to probability.
        recall: At `threshold`.
        familiarity: Of the training imagery; None where it was not measured.
        trained_on: Sources of the training data with their licences.
        trained_places: Where those data lie; far from them nobody knows how the detector does.
        figures: Measured on places that training never saw.
        limits: Known failures, one sentence each.
        config_sha256: Of the configuration they were trained with, written down before; see
            `models.fitting.training_config`.
        once_adapted: What holds in their place after an adaptation; None where nobody measured it.
        adapted_to: Imagery that they were adapted to; it had no labels.
    """

    name: str
    version: str
    site_class: str
    licence: str
    bands: tuple[str, ...]
    gsd_m: float = Field(gt=0)
    stride: int = Field(ge=1)
    halo_px: int = Field(ge=1)
    threshold: float = Field(gt=0, lt=1)
    shape: NetworkShape | PatchShape
    calibration: Calibration
    recall: Recall
    familiarity: Familiarity | None = None
    trained_on: tuple[str, ...] = ()
    trained_places: tuple[TrainedPlace, ...] = ()
    figures: tuple[Figure, ...] = ()
    limits: tuple[str, ...] = ()
    config_sha256: str = ""
    once_adapted: OnceAdapted | None = None
    adapted_to: tuple[str, ...] = ()


@dataclass(frozen=True)
class Nearest:
    """The place trained on that lies nearest, and how far it is."""

    name: str
    distance_km: float

    @property
    def is_far(self) -> bool:
        """Whether nobody knows how the detector does there."""
        return self.distance_km > FAR_KM


def nearest_place(card: WeightsCard, lon: float, lat: float) -> Nearest | None:
    """The place trained on that lies nearest to a position (degrees, WGS 84); None if none is said.

    Distances are those of the WGS 84 ellipsoid.
    """
    geod = Geod(ellps="WGS84")
    places = [
        Nearest(place.name, geod.inv(lon, lat, place.lon, place.lat)[2] / 1000)
        for place in card.trained_places
    ]
    return min(places, key=lambda place: place.distance_km, default=None)


@dataclass(frozen=True)
class LoadedWeights:
    """A weights file's content.

    Attributes:
        card: The card.
        tensors: Arrays by name, float32.
        sha256: Digest of the card and the tensors.
    """

    card: WeightsCard
    tensors: dict[str, NDArray[Any]]
    sha256: str


def default_weights(site_class: str = DEFAULT_NAME) -> Path:
    """Path of the weights that come with the program for a class.

    Raises:
        WeightsError: There are none.
    """
    path = weights_folder() / f"{site_class}.safetensors"
    if not path.is_file():
        raise WeightsError(
            f"No weights come with the program for the class {site_class!r}: "
            "train some with `kilnlight train` and hand them over with --weights."
        )
    return path


def find_weights(named: Path | None) -> Path:
    """Weights by their file, or by the name of those that come with the program.

    Args:
        named: A file; or a name such as `brick_kiln_free`, where there is no file of that name;
            None for those of brick kilns.

    Raises:
        WeightsError: There are none of that name.
    """
    if named is None:
        return default_weights()
    if named.suffix or named.name != str(named) or named.exists():
        return named
    path = weights_folder() / f"{named}.safetensors"
    if not path.is_file():
        known = sorted(p.stem for p in weights_folder().glob("*.safetensors"))
        raise WeightsError(
            f"There is no file {named}, and no weights called '{named}' come with the "
            f"program: give a .safetensors file or one of {', '.join(known)}."
        )
    return path


def weights_folder() -> Path:
    """Where the weights lie that come with the program."""
    return Path(__file__).parent / "weights"


def save_weights(path: Path, card: BaseModel, tensors: Mapping[str, NDArray[Any]]) -> None:
    """Write tensors and card as safetensors; floating point is kept as float16 to stay small."""
    kept = {name: _compact(np.asarray(tensors[name])) for name in sorted(tensors)}
    text = card.model_dump_json()
    header = json.dumps({"card": text, "sha256": _digest(text, kept)})
    with atomic_path(path) as temporary:
        # not `save_file`, whose files nobody but their owner may read
        temporary.write_bytes(save(kept, metadata={METADATA_KEY: header}))


def as_saved(tensors: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """Tensors as they come back from a file: rounded to its precision."""
    return {name: _expand(_compact(np.asarray(value))) for name, value in tensors.items()}


def load_card(path: Path) -> WeightsCard:
    """The card of a weights file, without reading the tensors.

    Raises:
        WeightsError: The file is missing, damaged, or holds no card of this version.
    """
    return _parse_card(path, _read(path, with_tensors=False)[0], WeightsCard)


def load_weights(path: Path) -> LoadedWeights:
    """Card and tensors of a weights file, after its digest was checked.

    Raises:
        WeightsError: The file is missing or damaged, or its content does not fit its digest.
    """
    return LoadedWeights(*load_tensors_with(path, WeightsCard))


def load_tensors_with(path: Path, kind: type[Card]) -> tuple[Card, dict[str, NDArray[Any]], str]:
    """The same with a card of any kind: card, tensors by name as float32, digest.

    Raises:
        WeightsError: The file is missing or damaged, or its card is of another kind.
    """
    header, tensors = _read(path, with_tensors=True)
    card = _parse_card(path, header, kind)
    digest = _digest(header.get("card", ""), tensors)
    if digest != header.get("sha256"):
        raise WeightsError(
            f"The weights {path} are damaged: their SHA-256 is {digest[:12]}..., "
            f"their header says {str(header.get('sha256'))[:12]}...; fetch or train them again."
        )
    return card, {k: _expand(v) for k, v in tensors.items()}, digest


def check_bands(card: WeightsCard, bands: tuple[str, ...]) -> None:
    """Refuse imagery whose first bands are not the ones that the weights take.

    Raises:
        WeightsError: They are not.
    """
    if bands[: len(card.bands)] != card.bands:
        raise WeightsError(
            f"The weights {card.name} take the bands {', '.join(card.bands)} in this order, "
            f"the imagery gives {', '.join(bands) or 'none'}: choose bands or other weights."
        )


def _read(path: Path, with_tensors: bool) -> tuple[dict[str, str], dict[str, NDArray[Any]]]:
    if not path.is_file():
        raise WeightsError(f"There are no weights at {path}: check the path.")
    try:
        with safe_open(path, framework="numpy") as file:
            names = file.keys() if with_tensors else []
            header = json.loads((file.metadata() or {}).get(METADATA_KEY, "{}"))
            return header, {name: file.get_tensor(name) for name in names}
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(
            f"The weights {path} are not a whole safetensors file ({error}): "
            "fetch or train them again."
        ) from error


def _parse_card(path: Path, header: Mapping[str, str], kind: type[Card]) -> Card:
    if "card" not in header:
        raise WeightsError(
            f"The weights {path} carry no card of this program: use weights that "
            "`kilnlight train` wrote."
        )
    try:
        return kind.model_validate_json(header["card"])
    except ValidationError as error:
        raise WeightsError(
            f"The card of the weights {path} does not fit this version of the program: "
            "train the weights again."
        ) from error


def _digest(card: str, tensors: Mapping[str, NDArray[Any]]) -> str:
    """SHA-256 over the card, and name, type, shape and bytes of each tensor in order of name."""
    digest = hashlib.sha256(card.encode())
    for name in sorted(tensors):
        array = np.ascontiguousarray(tensors[name])
        digest.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        digest.update(array.tobytes())
    return digest.hexdigest()


def _compact(array: NDArray[Any]) -> NDArray[Any]:
    """Half precision, in C order: safetensors writes a strided array's memory as it lies."""
    return np.ascontiguousarray(array, np.float16 if array.dtype.kind == "f" else array.dtype)


def _expand(array: NDArray[Any]) -> NDArray[Any]:
    return array.astype(np.float32) if array.dtype.kind == "f" else array
