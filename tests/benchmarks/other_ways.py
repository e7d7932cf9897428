"""What others do with the same network, to compare with: SAHI's slices, and a loop over chips."""

import os
import time

import numpy as np
import rasterio
import torch
from scipy.spatial import cKDTree

from models.detection import PixelBoxes, PixelOrigin
from models.inference.decoding import Decoding, decode
from models.network import KilnNet, normalise
from models.weights import default_weights, load_weights

SLICE_PX, SLICE_OVERLAP = 512, 0.2  # SAHI's, as its users set it for scenes
CHIP_PX = 256
CORES = len(os.sched_getaffinity(0))


def seconds(work):
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def part_of(scene, part_px):
    with rasterio.open(scene.path) as dataset:
        side = min(part_px, scene.rows)
        return dataset.read(window=rasterio.windows.Window(0, 0, side, side))


def plain_net():
    weights = load_weights(default_weights())
    net = KilnNet(weights.card.shape).eval()
    net.load_state_dict({k: torch.from_numpy(v) for k, v in weights.tensors.items()})
    return net, weights.card


def looked_at(net, card, chip, row, col):
    """One chip through the network in fp32, as anybody would: boxes on the scene."""
    x = torch.from_numpy(chip[None].astype(np.float32))
    with torch.inference_mode():
        out = net(normalise(x, torch.ones_like(x[:, :1]), card.shape))[0]
    return decode(out, PixelOrigin(row, col), Decoding(card.threshold))


def sahi(scene, part_px):
    """Megapixels a second of SAHI's procedure with the same network, and twins that it leaves.

    Its slicing (slices of one size, the last ones pushed inwards) and its merging (greedy, the
    smaller box's ground shared by half) are done here as it does them, one slice at a time: the
    package itself brings OpenCV and is not among the tools of this project.
    """
    net, card = plain_net()
    torch.set_num_threads(CORES)
    land = part_of(scene, part_px)
    side = land.shape[1]
    step = int(SLICE_PX * (1 - SLICE_OVERLAP))
    starts = sorted({min(at, side - SLICE_PX) // 8 * 8 for at in range(0, side, step)})
    found = []

    def work():
        for row in starts:
            for col in starts:
                chip = land[:, row : row + SLICE_PX, col : col + SLICE_PX]
                found.append(looked_at(net, card, chip, row, col))

    took_s = seconds(work)
    torch.set_num_threads(1)
    merged = _greedy(PixelBoxes.concatenate(found))
    return side**2 / 1e6 / took_s, pairs_within(merged.row, merged.col, 6.0)


def _greedy(boxes):
    """Best first, without those that share half of the smaller box's ground (axis-parallel)."""
    order = np.argsort(-boxes.score, kind="stable")
    half = boxes.length_px / 2
    kept = []
    for i in order:
        shared = [
            max(0.0, min(boxes.row[i] + half[i], boxes.row[k] + half[k])
                - max(boxes.row[i] - half[i], boxes.row[k] - half[k]))
            * max(0.0, min(boxes.col[i] + half[i], boxes.col[k] + half[k])
                  - max(boxes.col[i] - half[i], boxes.col[k] - half[k]))
            > 0.5 * (2 * min(half[i], half[k])) ** 2
            for k in kept
        ]  # fmt: skip
        if not any(shared):
            kept.append(i)
    return boxes[np.array(kept, np.int64)]


def chip_loop(scene, part_px):
    """Megapixels a second of a loop that opens the file for each chip, at half overlap, in fp32."""
    net, card = plain_net()
    torch.set_num_threads(CORES)
    side = min(part_px, scene.rows) // 2

    def work():
        for row in range(0, side, CHIP_PX // 2):
            for col in range(0, side, CHIP_PX // 2):
                with rasterio.open(scene.path) as dataset:
                    window = rasterio.windows.Window(col, row, CHIP_PX, CHIP_PX)
                    looked_at(net, card, dataset.read(window=window), row, col)

    took_s = seconds(work)
    torch.set_num_threads(1)
    return side**2 / 1e6 / took_s


def pairs_within(row, col, radius_px):
    return len(cKDTree(np.stack([row, col], 1)).query_pairs(radius_px)) if len(row) else 0
