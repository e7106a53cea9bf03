"""Whether generated defects have the colour of the real ones: per type the root mean square, over pictures and RGB (0 to 1), of the difference between
the mean colour under the mask and the training pairs' mean of it; and how far the pictures of a type lie apart (standard deviation of their mean
colours). The held-out real pairs, measured alike, are what to come near to. The sliced distance between patches (patch_distance.py) hardly sees this.

    python benches/defect_color.py DATA GENERATED [GENERATED ...]      # DATA in MVTec layout, GENERATED from `anodiff generate`
"""

import pathlib
import sys

import defects
import numpy as np
from PIL import Image


def mean_color(image, mask):
    pixels = np.asarray(Image.open(image).convert("RGB"), np.float64) / 255
    return pixels[np.asarray(Image.open(mask).convert("L")) > 127].mean(axis=0)


def main(data, *generated):
    kinds = defects.kinds(data)
    wanted, held_out = {}, {}
    for kind in kinds:
        training, others = (np.array([mean_color(*pair) for pair in pairs]) for pairs in defects.real(data, kind))
        wanted[kind], held_out[kind] = training.mean(axis=0), others

    def line(name, colors):
        errors = [np.sqrt(((colors[kind] - wanted[kind]) ** 2).mean()) for kind in kinds]
        spread = np.mean([colors[kind].std(axis=0).mean() for kind in kinds])
        print(f"{name:24}", *(f"{value:8.4f}" for value in errors), f"{np.mean(errors):8.4f} {spread:8.4f}")

    print(f"{'':24}", *(f"{kind[:8]:>8}" for _, kind in kinds), f"{'mean':>8} {'spread':>8}")
    line("held-out pairs", held_out)
    for folder in map(pathlib.Path, generated):
        found = {kind: [] for kind in kinds}
        for kind, image, mask in defects.generated(folder):
            found[kind].append(mean_color(image, mask))
        line(folder.name, {kind: np.array(colors) for kind, colors in found.items()})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
