"""Reads what `anodiff export` wrote with the programs that it was written for: anomalib, pycocotools, diffusers. Not part of CI.

    pip install anomalib "pandas<3" pycocotools diffusers transformers       # anomalib 2.7 fails on tables with pandas 3
    anodiff export --format anomalib --generated PAIRS --data DATA --out EXPORTS/anomalib      # likewise coco, yolo, diffusers, emb-params
    python tests/interchange/read_exports.py EXPORTS PAIRS
"""

import json
import sys
from pathlib import Path

import numpy as np
from PIL import Image


def true_mask(path):
    return np.asarray(Image.open(path).convert("L")) > 0


def anomalib(folder):
    import yaml
    from anomalib.data import Folder, MVTecAD, Tabular

    # Paths in the files are relative to the folder.
    configs = sorted(folder.glob("*.yaml"))
    assert configs, "no configuration"
    for path in configs:
        arguments = yaml.safe_load(path.read_text())["init_args"]
        arguments["root"] = folder / arguments["root"]
        name = arguments["name"]
        common = dict(train_batch_size=2, eval_batch_size=2, num_workers=0)
        modules = {
            "Folder": Folder(**arguments, **common),
            "Tabular": Tabular.from_file(name=name, file_path=path.with_suffix(".csv"), root=folder, **common),
        }
        if (folder / name / "test" / "good").is_dir():
            modules["MVTecAD"] = MVTecAD(root=folder, category=name, **common)
        for kind, module in modules.items():
            module.setup()
            samples = module.test_data.samples
            defects = 0
            for item in module.test_data:
                if item.gt_label:
                    expected = true_mask(item.mask_path)
                    assert expected.any() and (np.asarray(item.gt_mask) > 0).squeeze().shape == expected.shape, item.image_path
                    assert ((np.asarray(item.gt_mask).squeeze() > 0) == expected).all(), item.image_path
                    assert Path(item.mask_path).stem == Path(item.image_path).stem + "_mask", item.mask_path
                    defects += 1
            assert defects > 0 and len(module.train_data) > 0
            print(f"anomalib {kind} {name}: {len(module.train_data)} to train, {len(samples)} to test, {defects} with a mask that is the file's")


def coco(folder, pairs):
    from pycocotools.coco import COCO

    data = COCO(str(folder / "instances.json"))
    for image in data.loadImgs(data.getImgIds()):
        mask = np.zeros((image["height"], image["width"]), bool)
        for annotation in data.loadAnns(data.getAnnIds(imgIds=image["id"])):
            region = data.annToMask(annotation) > 0
            assert region.sum() == annotation["area"]
            rows, columns = np.nonzero(region)
            left, top, width, height = annotation["bbox"]
            assert (left, top, left + width, top + height) == (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
            mask |= region
        path = Path(image["file_name"])
        truth = pairs / path.parts[0] / "ground_truth" / path.parts[2] / f"{path.stem}_mask.png"
        assert (mask == true_mask(truth)).all(), path
    print(f"pycocotools: {len(data.getImgIds())} pictures, {len(data.getAnnIds())} regions that are the masks'")


def yolo(folder):
    import yaml
    from PIL import ImageDraw

    names = yaml.safe_load((folder / "data.yaml").read_text())["names"]
    count = 0
    for label in sorted(folder.glob("labels/*/*.txt")):
        picture = Image.open(next((folder / "images" / label.parent.name).glob(label.stem + ".*")))
        for line in label.read_text().splitlines():
            number, *numbers = line.split()
            assert int(number) in names and len(numbers) % 2 == 0 and len(numbers) >= 8, line
            points = np.array(numbers, float).reshape(-1, 2) * picture.size
            assert np.abs(points - points.round()).max() < 1e-2, "corners lie between pixels"
            ImageDraw.Draw(picture).polygon([tuple(point) for point in points])
            count += 1
    assert count > 0
    print(f"YOLO labels: {count} polygons of {len(names)} classes")


def embeddings(folder, parameters):
    from diffusers.loaders import TextualInversionLoaderMixin
    from safetensors.torch import load_file
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    class Pipeline(TextualInversionLoaderMixin):
        components = {}
        _execution_device = "cpu"
        hf_device_map = None

        def __init__(self, tokenizer, text_encoder):
            self.tokenizer, self.text_encoder = tokenizer, text_encoder

    vocabulary = folder.parent / "tokenizer"
    vocabulary.mkdir(exist_ok=True)
    (vocabulary / "vocab.json").write_text(json.dumps({"<|startoftext|>": 0, "<|endoftext|>": 1, "a</w>": 2}))
    (vocabulary / "merges.txt").write_text("#version: 0.2\n")
    files = sorted(folder.glob("*/learned_embeds.safetensors"))
    assert files, "no embedding"
    for path in files:
        ((token, rows),) = load_file(path).items()
        other = load_file(parameters / f"{path.parent.name}.safetensors")["emb_params"]
        assert (rows == other).all(), path
        tokenizer = CLIPTokenizer(str(vocabulary / "vocab.json"), str(vocabulary / "merges.txt"))
        width = rows.shape[1]
        config = CLIPTextConfig(vocab_size=3, hidden_size=width, intermediate_size=8, num_hidden_layers=1, num_attention_heads=1)
        model = CLIPTextModel(config)
        pipeline = Pipeline(tokenizer, model)
        pipeline.load_textual_inversion(str(path))
        expected = [token] + [f"{token}_{row}" for row in range(1, len(rows))]
        ids = tokenizer.convert_tokens_to_ids(expected)
        assert (model.get_input_embeddings().weight[ids].detach() == rows).all(), path
    print(f"diffusers: {len(files)} textual inversions")


if __name__ == "__main__":
    exports, pairs = Path(sys.argv[1]), Path(sys.argv[2])
    coco(exports / "coco", pairs)
    yolo(exports / "yolo")
    embeddings(exports / "diffusers", exports / "emb-params")
    anomalib(exports / "anomalib")
