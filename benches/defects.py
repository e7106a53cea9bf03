"""The pairs that patch_distance.py and defect_color.py compare: real ones of a data set in MVTec layout, generated ones of a manifest."""

import json
import pathlib


def kinds(data):
    """(object, type) of all defects, sorted."""
    return sorted((folder.parent.parent.name, folder.name) for folder in pathlib.Path(data).glob("*/ground_truth/*"))


def real(data, kind):
    """Paths (image, mask) of a type: those trained on, and those held out."""
    thing, name = kind
    images = sorted((pathlib.Path(data) / thing / "test" / name).glob("*.png"))
    pairs = [(image, pathlib.Path(data) / thing / "ground_truth" / name / f"{image.stem}_mask.png") for image in images]
    third = max(1, len(pairs) // 3)
    return pairs[:third], pairs[third:]


def generated(folder):
    """(kind, image, mask) of every pair that `anodiff generate` wrote."""
    folder = pathlib.Path(folder)
    for entry in map(json.loads, (folder / "manifest.jsonl").read_text().splitlines()):
        yield (entry["object"], entry["type"]), folder / entry["image"], folder / entry["mask"]
