"""How close generated defects are to real ones that the training did not see: the sliced Wasserstein distance (200 fixed random projections, 200
quantiles) between all 5x5 RGB patches, pixels in 0 to 1, whose centre lies in a mask. Two lines for scale: the training pairs against the held-out
ones (what the training could know at best), and normal pictures under the held-out masks (no defect at all).

    python benches/patch_distance.py DATA GENERATED [GENERATED ...]      # DATA in MVTec layout, GENERATED from `anodiff generate`
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image

SIDE = 5


def patches(image, mask):
    pixels = np.asarray(Image.open(image).convert("RGB"), np.float32) / 255
    inside = np.asarray(Image.open(mask).convert("L")) > 127
    border = SIDE // 2
    padded = np.pad(pixels, ((border, border), (border, border), (0, 0)), "reflect")
    return np.stack([padded[y:y + SIDE, x:x + SIDE].reshape(-1) for y, x in zip(*np.nonzero(inside))])


PROJECTIONS = np.random.default_rng(0).normal(size=(SIDE * SIDE * 3, 200)).astype(np.float32)
PROJECTIONS /= np.linalg.norm(PROJECTIONS, axis=0)


def signature(parts):
    return np.quantile(np.concatenate(parts) @ PROJECTIONS, np.linspace(0.005, 0.995, 200), axis=0)


def main(data, *generated):
    data = pathlib.Path(data)
    kinds = sorted((folder.parent.parent.name, folder.name) for folder in data.glob("*/ground_truth/*"))
    held_out, training, normal = {}, {}, {}
    for thing, kind in kinds:
        images = sorted((data / thing / "test" / kind).glob("*.png"))
        masks = [data / thing / "ground_truth" / kind / f"{image.stem}_mask.png" for image in images]
        third = max(1, len(images) // 3)
        found = [patches(*pair) for pair in zip(images, masks)]
        training[thing, kind], held_out[thing, kind] = signature(found[:third]), signature(found[third:])
        good = sorted((data / thing / "train" / "good").glob("*.png"))
        normal[thing, kind] = signature([patches(good[i % len(good)], mask) for i, mask in enumerate(masks[third:])])

    def line(name, signatures):
        values = [np.sqrt(np.mean((signatures[kind] - held_out[kind]) ** 2)) for kind in kinds]
        print(f"{name:24}", *(f"{value:8.4f}" for value in values), f"{np.mean(values):8.4f}")

    print(f"{'':24}", *(f"{kind[:8]:>8}" for _, kind in kinds), f"{'mean':>8}")
    line("training pairs", training)
    line("normal pictures", normal)
    for folder in map(pathlib.Path, generated):
        found = {kind: [] for kind in kinds}
        for entry in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines()):
            found[entry["object"], entry["type"]].append(patches(folder / entry["image"], folder / entry["mask"]))
        line(folder.name, {kind: signature(parts) for kind, parts in found.items()})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
