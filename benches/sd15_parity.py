"""Builds a full-width Stable Diffusion 1.5 UNet with random weights in diffusers' format in a temporary folder, runs it in PyTorch and through
`anodiff forward unet`, and compares output and gradient. Exits with 1 above the limit of 1e-4. Needs 8 GB of memory and 4 GB of disk.

    cargo build --release && python benches/sd15_parity.py [--size 256] [--folder DIR]
"""

import argparse
import pathlib
import subprocess
import sys
import tempfile

import published
import torch
from safetensors.torch import load_file, save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent
LIMIT = 1e-4


def error(found, expected):
    return ((found.double() - expected.double()).norm() / expected.double().norm()).item()


def main(options, folder):
    torch.manual_seed(0)
    torch.set_num_threads(2)
    unet = published.unet().eval()
    unet.requires_grad_(False)
    unet.save_pretrained(folder / "unet")
    cells = options.size // 8
    inputs = {"sample": torch.randn(1, 4, cells, cells), "timestep": torch.tensor([801], dtype=torch.int32),
              "encoder_hidden_states": torch.randn(1, 77, 768), "target": torch.randn(1, 4, cells, cells),
              "mask": (torch.rand(1, 1, cells, cells) < 0.2).float()}
    save_file(inputs, folder / "in.safetensors")
    context = inputs["encoder_hidden_states"].clone().requires_grad_()
    out = unet(inputs["sample"], inputs["timestep"], context).sample
    loss = (inputs["mask"] * (inputs["target"] - out)).square().mean()
    loss.backward()
    expected = {"out": out.detach(), "loss": loss.detach(), "grad_encoder_hidden_states": context.grad}
    del unet
    command = [options.binary, "forward", "unet", "--model", folder, "--in", folder / "in.safetensors", "--out", folder / "out.safetensors"]
    subprocess.run([str(word) for word in command], check=True)
    found = load_file(folder / "out.safetensors")
    errors = {name: error(found[name], value) for name, value in expected.items()}
    for name, value in errors.items():
        print(f"{name}: relative error {value:.2e}")
    return 0 if max(errors.values()) <= LIMIT else 1


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--folder", type=pathlib.Path, help="keep the model here")
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/anodiff")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        sys.exit(main(options, options.folder or pathlib.Path(temporary)))
