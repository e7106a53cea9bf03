"""Whether generated defects have the colour of the real ones: per type the root mean square, over pictures and RGB (0 to 1), of the difference between
the mean colour under the mask and the training pairs' mean of it; and how far the pictures of a type lie apart (standard deviation of their mean
colours). The held-out real pairs, measured alike, are what to come near to. The sliced distance between patches (patch_distance.py) hardly sees this.

    python benches/defect_color.py DATA GENERATED [GENERATED ...]      # DATA in MVTec layout, GENERATED from `anodiff generate`
"""

import json
import pathlib
import sys

import numpy as np
from PIL import Image


def mean_color(image, mask):
    pixels = np.asarray(Image.open(image).convert("RGB"), np.float64) / 255
    return pixels[np.asarray(Image.open(mask).convert("L")) > 127].mean(axis=0)


def main(data, *generated):
    data = pathlib.Path(data)
    kinds = sorted((folder.parent.parent.name, folder.name) for folder in data.glob("*/ground_truth/*"))
    wanted, held_out = {}, {}
    for thing, kind in kinds:
        images = sorted((data / thing / "test" / kind).glob("*.png"))
        colors = np.array([mean_color(image, data / thing / "ground_truth" / kind / f"{image.stem}_mask.png") for image in images])
        third = max(1, len(images) // 3)
        wanted[thing, kind], held_out[thing, kind] = colors[:third].mean(axis=0), colors[third:]

    def line(name, colors):
        errors = [np.sqrt(((colors[kind] - wanted[kind]) ** 2).mean()) for kind in kinds]
        spread = np.mean([colors[kind].std(axis=0).mean() for kind in kinds])
        print(f"{name:24}", *(f"{value:8.4f}" for value in errors), f"{np.mean(errors):8.4f} {spread:8.4f}")

    print(f"{'':24}", *(f"{kind[:8]:>8}" for _, kind in kinds), f"{'mean':>8} {'spread':>8}")
    line("held-out pairs", held_out)
    for folder in map(pathlib.Path, generated):
        found = {kind: [] for kind in kinds}
        for entry in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines()):
            found[entry["object"], entry["type"]].append(mean_color(folder / entry["image"], folder / entry["mask"]))
        line(folder.name, {kind: np.array(colors) for kind, colors in found.items()})


if __name__ == "__main__":
    if len(sys.argv) < 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
