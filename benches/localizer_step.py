"""One training step of the localisation U-Net in `anodiff evaluate` and in PyTorch, in turn; prints seconds a step and their ratio.

    cargo build --release && python benches/localizer_step.py DATA [--width 64] [--size 256] [--batch 4] [--threads 2] [--steps 6] [--rounds 2]

DATA is any data set in MVTec AD layout with one object. Ours is the command as users run it, pictures drawn and augmented and the log written; PyTorch's is
the step alone (forward, focal loss, backward, Adam) on a batch that is there already. The network and its loss are those of
tests/fixtures/scripts/inspection.py, f32. Needs torch, torchvision and safetensors.
"""

import argparse
import json
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests/fixtures/scripts"))


def pytorch(options):
    import torch
    from inspection import Localizer, focal_loss

    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = Localizer(options.width).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    picture = torch.rand(options.batch, 3, options.size, options.size)
    mask = (torch.rand(options.batch, 1, options.size, options.size) > 0.9).float()
    seconds = []
    for _ in range(options.steps + 1):
        start = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        focal_loss(model(picture), mask).backward()
        optimizer.step()
        seconds.append(time.perf_counter() - start)
    return sum(seconds[1:]) / options.steps


def ours(options):
    with tempfile.TemporaryDirectory() as out:
        command = [options.binary, "evaluate", "--data", options.data, "--out", f"{out}/run", "--sources", "real", "--threads", options.threads]
        command += ["--width", options.width, "--resolution", options.size, "--batch-size", options.batch, "--steps", options.steps]
        done = subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
        log = pathlib.Path(out) / "run/real/seed-0"
        assert log.is_dir(), done.stderr
    # "U-Net …: 6 steps in 12 s, 0.5 steps/s, loss …": the rate is of the whole training, warming up included.
    rate, unit = re.search(r"steps in .*?, ([0-9.]+) (steps/s|s/step)", done.stderr).groups()
    return 1 / float(rate) if unit == "steps/s" else float(rate)


def main(options):
    times = {"anodiff": [], "pytorch": []}
    for _ in range(options.rounds):
        times["anodiff"].append(ours(options))
        command = [sys.executable, __file__, options.data, "--reference"]
        for name in ("width", "size", "batch", "threads", "steps"):
            command += [f"--{name}", str(getattr(options, name))]
        times["pytorch"].append(float(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout))
    found = {name: round(statistics.median(seconds), 3) for name, seconds in times.items()}
    setting = {name: getattr(options, name) for name in ("width", "size", "batch", "threads", "steps", "rounds")}
    print(json.dumps(setting | {"seconds a step": found, "ratio": round(found["anodiff"] / found["pytorch"], 3)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=pathlib.Path)
    for name, value in {"width": 64, "size": 256, "batch": 4, "threads": 2, "steps": 6, "rounds": 2}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/anodiff")
    parser.add_argument("--reference", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.reference:
        print(pytorch(options))
    else:
        main(options)
