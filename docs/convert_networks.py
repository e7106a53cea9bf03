"""Makes the safetensors files that `anodiff quality`, `train` and `evaluate` take, from what torchvision and lpips download and ship:

    pip install torch torchvision lpips safetensors
    python docs/convert_networks.py FOLDER

FOLDER gets inception_v3, lpips_vgg, lpips_alex, resnet50 and resnet34, each as .safetensors. Names stay those of the two packages.
"""

import sys
from pathlib import Path

import lpips
import torch
import torchvision
from safetensors.torch import save_file


def network(make, keep):
    return {name: value.contiguous() for name, value in make(weights="DEFAULT").state_dict().items() if keep(name)}


def layers(name):
    path = Path(lpips.__file__).parent / "weights/v0.1" / f"{name}.pth"
    state = torch.load(path, map_location="cpu", weights_only=True)
    return {key: value.contiguous() for key, value in state.items() if key.startswith("lin")}


def main(folder):
    folder.mkdir(parents=True, exist_ok=True)
    models = torchvision.models
    tensors = network(models.inception_v3, lambda name: not name.startswith("AuxLogits.") and not name.endswith("num_batches_tracked"))
    save_file(tensors, folder / "inception_v3.safetensors")
    for name, make in {"vgg": models.vgg16, "alex": models.alexnet}.items():
        save_file(network(make, lambda name: name.startswith("features.")) | layers(name), folder / f"lpips_{name}.safetensors")
    for name, make in {"resnet50": models.resnet50, "resnet34": models.resnet34}.items():
        save_file(network(make, lambda name: not name.endswith("num_batches_tracked")), folder / f"{name}.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
