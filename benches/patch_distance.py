"""How close generated defects are to real ones that the training did not see: the sliced Wasserstein distance (200 fixed random projections, 200
quantiles) between all 5x5 RGB patches, pixels in 0 to 1, whose centre lies in a mask. Two lines for scale: the training pairs against the held-out
ones (what the training could know at best), and normal pictures under the held-out masks (no defect at all).

    python benches/patch_distance.py DATA GENERATED [GENERATED ...]      # DATA in MVTec layout, GENERATED from `anodiff generate`
"""

import pathlib
import sys

import defects
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
    kinds = defects.kinds(data)
    held_out, training, normal = {}, {}, {}
    for kind in kinds:
        for pairs, signatures in zip(defects.real(data, kind), (training, held_out)):
            signatures[kind] = signature([patches(*pair) for pair in pairs])
        good = sorted((pathlib.Path(data) / kind[0] / "train" / "good").glob("*.png"))
        masks = [mask for _, mask in defects.real(data, kind)[1]]
        normal[kind] = signature([patches(good[i % len(good)], mask) for i, mask in enumerate(masks)])

    def line(name, signatures):
        values = [np.sqrt(np.mean((signatures[kind] - held_out[kind]) ** 2)) for kind in kinds]
        print(f"{name:24}", *(f"{value:8.4f}" for value in values), f"{np.mean(values):8.4f}")

    print(f"{'':24}", *(f"{kind[:8]:>8}" for _, kind in kinds), f"{'mean':>8}")
    line("training pairs", training)
    line("normal pictures", normal)
    for folder in map(pathlib.Path, generated):
        found = {kind: [] for kind in kinds}
        for kind, image, mask in defects.generated(folder):
            found[kind].append(patches(image, mask))
        line(folder.name, {kind: signature(parts) for kind, parts in found.items()})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
