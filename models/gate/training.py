"""`kilnlight train-gate`: the gate, and how many sites it loses in places it never saw."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from models.chips import Picture
from models.detection import ArrayWindow, PixelBoxes
from models.detector import Detector, network_margin_px
from models.fitting.augment import CONTEXT_PX, Sample
from models.fitting.loop import Batches
from models.fitting.training_config import sources_sha256
from models.gate.card import DEFAULT_WORK, GateCard, Kept
from models.gate.cells import Gate
from models.gate.judging import (
    LOST_SHARE,
    THRESHOLD_MARGIN,
    FoldResult,
    Region,
    Sites,
    finished,
)
from models.gate.network import COARSE_PX, GATE_CELL_PX, GateNet, coarse_samples
from models.inference.precision import resolve_precision
from models.inference.prepared import Prepared
from models.judging.scoring import detect_pictures, off_edge
from models.labelled.dataset import Dataset, load_dataset
from models.labelled.dataset_file import SimulationSource
from models.labelled.sources import simulated_pictures
from models.weights import GateShape, NetworkShape, as_saved, save_weights
from tiles.errors import ConfigError, WeightsError
from tiles.files import write_text
from tiles.skipping import GATE_PX

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

# Samples a step, and the peak of the one-cycle schedule: as for the detector, a little bolder.
BATCH = 24
LEARNING_RATE = 5e-3
WEIGHT_DECAY = 0.01
# Made-up land that no training draws, for the count that is given apart.
SIMULATED_PATCHES = 300
SIMULATED_SEED = 990_000
# A find this near a known site is of that site, as in the evaluation of the detector.
FOUND_PX = 10.0


class GateSettings(BaseModel):
    """What `kilnlight train-gate` is asked to do.

    Attributes:
        dataset: Dataset file of the detector.
        detector: Weights of the detector that the gate stands before.
        out: Weights file to write; `.config.json` and `.md` are written beside it.
        data_root: Folder that the dataset file's paths start from.
        folds: Folds of the dataset; each place should be held out by one of them.
        steps: Optimiser steps of each training.
        seed: Of everything drawn.
        threads: CPU threads.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    dataset: Path
    detector: Path
    out: Path
    data_root: Path = Path("../shared/data")
    folds: tuple[str, ...] = Field(default=("d1", "d2", "d3", "d4"), min_length=2)
    steps: int = Field(default=600, ge=1)
    seed: int = Field(default=0, ge=0)
    threads: int = Field(default=1, ge=1)


def train_gate(settings: GateSettings, say: Callable[[str], None] = lambda _: None) -> Path:
    """Train a gate a fold to judge it, and one on everything to keep.

    Raises:
        ConfigError: `out` is no name for weights.
        DatasetError: The dataset cannot be used.
        WeightsError: The detector cannot be read.
    """
    if settings.out.suffix != ".safetensors":
        raise ConfigError(f"Weights are written as .safetensors: call them so, not {settings.out}.")
    torch.set_num_threads(settings.threads)
    detector = Detector.load(settings.detector, "cpu", "auto")
    margin_px = network_margin_px(_kiln_shape(detector))
    made_up = simulated_pictures(
        SimulationSource(patches=SIMULATED_PATCHES, share=1.0), SIMULATED_SEED + settings.seed
    )
    made_up_finds = _finds(detector, made_up)
    results = []
    for fold in settings.folds:
        dataset = load_dataset(settings.dataset, settings.data_root, fold)
        gate = Gate(_draft(dataset, detector), _tensors(fit_gate(dataset, settings)))
        simulated = _sites(made_up, [_cells(gate, p) for p in made_up], made_up_finds)
        results.append(FoldResult(_judge(gate, detector, dataset.test), simulated))
        say(f"{fold}: {len(results[-1].found)} known sites that the detector finds, scored")
    dataset = load_dataset(settings.dataset, settings.data_root)
    config = _config(dataset, settings, detector)
    net = fit_gate(dataset, settings)
    card = finished(_draft(dataset, detector), results, margin_px).model_copy(
        update={"config_sha256": hashlib.sha256(config.encode()).hexdigest()}
    )
    write_text(settings.out.with_suffix(".config.json"), config)
    save_weights(settings.out, card, _tensors(net))
    write_text(settings.out.with_suffix(".md"), gate_markdown(card))
    return settings.out


def fit_gate(dataset: Dataset, settings: GateSettings) -> GateNet:
    """Train on a dataset's training places; each step's samples are from streams of their own."""
    torch.manual_seed(settings.seed)
    shape, bf16 = GateShape(), resolve_precision("auto", "cpu") == "bf16"
    net = GateNet(shape)
    optimiser = torch.optim.AdamW(net.parameters(), LEARNING_RATE, weight_decay=WEIGHT_DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, LEARNING_RATE, total_steps=settings.steps + 1, pct_start=0.1
    )
    batches = Batches(dataset.train, settings.seed, BATCH, {})
    for step in range(settings.steps):
        batch = batches[step]
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            logits = net(coarse_samples(batch, shape))
        loss = gate_loss(logits, batch)
        optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return net.eval()


def gate_loss(logits: torch.Tensor, batch: Sample) -> torch.Tensor:
    """The detector's own loss of its heatmap (Law and Deng, 2018), at the gate's stride.

    Args:
        logits: (batch, 1, y / 4, x / 4) of samples with their context.
        batch: The samples.
    """
    edge = CONTEXT_PX // GATE_CELL_PX
    inner = logits[:, 0, edge:-edge, edge:-edge]
    heat = F.max_pool2d(batch.targets[:, :1], 2)[:, 0]
    counts = -F.max_pool2d(-batch.masks[:, :1], 2)[:, 0]
    p = torch.sigmoid(inner)
    at_site = (heat == 1.0).float()
    found = at_site * (1 - p).square() * F.logsigmoid(inner)
    quiet = (1 - at_site) * (1 - heat).pow(4) * p.square() * F.logsigmoid(-inner)
    return -((found + quiet) * counts).sum() / (at_site * counts).sum().clamp_min(1.0)


def _judge(gate: Gate, detector: Detector, held_out: Sequence[Picture]) -> tuple[Region, ...]:
    regions = []
    for name in sorted({picture.region for picture in held_out}):
        group = [picture for picture in held_out if picture.region == name]
        cells = [_cells(gate, picture) for picture in group]
        sites = _sites(group, cells, _finds(detector, group))
        looked = [
            np.where(_usable_cells(picture), logits, -np.inf)
            for logits, picture in zip(cells, group, strict=True)
        ]
        area_km2 = sum(picture.area_km2 for picture in group)
        regions.append(Region(name, tuple(looked), area_km2, sites))
    return tuple(regions)


def _finds(detector: Detector, pictures: Sequence[Picture]) -> list[PixelBoxes]:
    """What the detector finds in each picture at its own threshold."""
    boxes = detect_pictures(detector, pictures)
    return [found[found.score > detector.card.threshold] for found in boxes]


def _cells(gate: Gate, picture: Picture) -> NDArray[np.float32]:
    """Logits of all cells of a picture, (rows, columns)."""
    prepared = Prepared(picture.pixels[:3], picture.usable, _moments(gate), "cpu")
    return gate.logits(prepared, ArrayWindow(0, 0, *picture.usable.shape))


def _usable_cells(picture: Picture) -> Bools:
    """Which cells of a picture hold a usable pixel."""
    pad = [(0, -side % GATE_PX) for side in picture.usable.shape]
    whole = np.pad(picture.usable, pad)
    rows, cols = (side // GATE_PX for side in whole.shape)
    return np.asarray(whole.reshape(rows, GATE_PX, cols, GATE_PX).any(axis=(1, 3)))


def _sites(
    pictures: Sequence[Picture],
    cells: Sequence[NDArray[np.float32]],
    finds: Sequence[PixelBoxes],
) -> Sites:
    """The known sites of pictures; labels in a picture's blind edge do not count."""
    logit, found = [], []
    for picture, logits, boxes in zip(pictures, cells, finds, strict=True):
        whole = off_edge(picture, picture.sites.row, picture.sites.col)
        row, col = picture.sites.row[whole], picture.sites.col[whole]
        apart = np.hypot(row[:, None] - boxes.row, col[:, None] - boxes.col)
        found.append((apart <= FOUND_PX).any(axis=1))
        down, across = (
            np.clip(value.astype(np.int64) // GATE_PX, 0, side - 1)
            for value, side in zip((row, col), logits.shape, strict=True)
        )
        logit.append(logits[down, across].astype(np.float64))
    return Sites(np.concatenate(logit), np.concatenate(found))


def _draft(dataset: Dataset, detector: Detector) -> GateCard:
    """A card that claims nothing yet."""
    return GateCard(
        name=f"{dataset.file.name}_gate",
        version=dataset.file.version,
        site_class=detector.card.site_class,
        licence=dataset.file.licence,
        bands=detector.card.bands,
        shape=GateShape(window_px=detector.card.shape.window_px),
        threshold=0.0,
        detector=f"{detector.card.name} {detector.card.version}",
        detector_sha256=detector.sha256,
        kept=(Kept.count("nothing counted yet", 0, 0),),
        trained_on=dataset.credits,
        limits=(
            "What the gate shuts out is not looked at by the detector: kilns lost there are lost, "
            "at the rates above for land like that; on other land nobody has counted.",
            "Counted are kilns that the detector finds; those that it misses anyway are lost more "
            "often by the gate too.",
        ),
    )


def _tensors(net: GateNet) -> dict[str, NDArray[Any]]:
    return as_saved({name: value.numpy() for name, value in net.state_dict().items()})


def _kiln_shape(detector: Detector) -> NetworkShape:
    """The shape of a detector of boxes.

    Raises:
        WeightsError: It is a classifier of chips, before which no gate can stand.
    """
    shape = detector.card.shape
    if not isinstance(shape, NetworkShape):
        raise WeightsError(
            f"{detector.card.name} classifies chips, and a gate stands before a network of boxes: "
            "give such weights with --weights."
        )
    return shape


def _moments(gate: Gate) -> NetworkShape:
    return NetworkShape(window_px=gate.card.shape.window_px)


def _config(dataset: Dataset, settings: GateSettings, detector: Detector) -> str:
    content = {
        "dataset": dataset.file.model_dump(mode="json", by_alias=True),
        "training_data_sha256": sources_sha256(dataset.train),
        "detector_sha256": detector.sha256,
        "folds": settings.folds,
        "steps": settings.steps,
        "seed": settings.seed,
        "batch": BATCH,
        "learning_rate": LEARNING_RATE,
        "coarse_px": COARSE_PX,
        "lost_share": LOST_SHARE,
        "threshold_margin": THRESHOLD_MARGIN,
    }
    return json.dumps(content, indent=1, sort_keys=True) + "\n"


def gate_markdown(card: GateCard) -> str:
    """The card as a page of Markdown."""
    use = "used unless told otherwise" if card.may_be_default else "used where `--gate` asks for it"
    lines = [
        f"# Model card: {card.name} {card.version}",
        f"A gate in front of the detector {card.detector}: a small network at 20 m that says in "
        f"which cells of {GATE_PX} px the detector need not look. It is {use}. Licence: "
        f"{card.licence}.",
        "## What it keeps",
        "Sites in places that the gate in question never saw, with thresholds chosen on other "
        "places; the made-up ones on land that no training drew.",
        *_bullets(str(kept) for kept in card.kept),
        "## What it lets through",
        *_bullets(str(passed) for passed in card.passed),
        *_worth(card),
        "## Training data",
        *_bullets(card.trained_on),
        "## Known failures",
        *_bullets(card.limits),
    ]
    return "\n\n".join(lines) + "\n"


def _worth(card: GateCard) -> list[str]:
    if card.spares_enough:
        return []
    return [
        f"By itself a gate is used only where it spares the detector {1 - DEFAULT_WORK:.0%} of its "
        "work or more on every land that was measured: less is not worth the sites that it loses."
    ]


def _bullets(items: Iterator[str] | Sequence[str]) -> list[str]:
    return ["\n".join(f"- {item}" for item in items)]
