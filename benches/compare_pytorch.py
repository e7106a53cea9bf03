"""Runs the models' main passes in anodiff and in PyTorch/diffusers, in turn, and prints times, ratios and peak memory.

    cargo build --release && python benches/compare_pytorch.py [--model sd15] [--size 256] [--batch 1] [--threads 2] [--runs 5] [--rounds 2]
    ... --device cuda --dtype f16 [--compile] [--parts generation generation-exact] [--steps 50]

Random weights of the published shapes. On a GPU PyTorch runs channels-last with its own choice of attention, with --compile under torch.compile
(max-autotune). Whole images (pytorch_generation.py) are measured where --parts names them. Every pass runs in a process of its own, so that its peak memory
is its own; ours and PyTorch's take turns, so that a busy machine disturbs both. Needs torch and diffusers. Times are medians over all rounds; on a busy
machine the processor time (all threads, mean) says more.
"""

import argparse
import json
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import time

import published

ROOT = pathlib.Path(__file__).resolve().parent.parent
NETWORKS = ("unet-forward", "unet-backward", "vae-decode")
PARTS = NETWORKS + ("generation", "generation-exact")


def pytorch(options):
    """The measured pass, in a process of its own; prints what `anodiff bench --json` prints for one part."""
    import torch

    def placed(build):
        model = published.filled(build, options.device)
        return model.to(dtype).to(memory_format=torch.channels_last) if options.device == "cuda" else model

    def random(*shape):
        return torch.randn(*shape, device=options.device, dtype=dtype)

    def finish():
        if options.device == "cuda":
            torch.cuda.synchronize()

    dtype = {"f32": torch.float32, "f16": torch.float16, "bf16": torch.bfloat16}[options.dtype]
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    cells = options.size // 8
    noise = random(options.batch, 4, cells, cells)
    autoencoder, denoiser = lambda: placed(published.vae), lambda: placed(lambda: published.unet(options.model))
    if options.part.startswith("generation"):
        from pytorch_generation import generation

        work = generation(denoiser(), autoencoder(), options, dtype, exact=options.part == "generation-exact")
    elif options.part == "vae-decode":
        vae = autoencoder()
        vae = torch.compile(vae.decode, mode="max-autotune") if options.compile else vae.decode
        work = lambda: vae(noise)
    else:
        unet = torch.compile(denoiser(), mode="max-autotune") if options.compile else denoiser()
        context = random(options.batch, 77, published.UNETS[options.model][1])
        target, mask = torch.randn_like(noise), torch.ones(options.batch, 1, cells, cells, device=options.device, dtype=dtype)
        timestep = torch.tensor([500] * options.batch, device=options.device)

        def work():
            leaf = context.clone().requires_grad_(options.part == "unet-backward")
            out = unet(noise, timestep, leaf).sample
            if leaf.requires_grad:
                (mask * (target - out)).square().mean().backward()

    def peak():
        # Of a GPU what PyTorch has of its memory, as ours: without the driver's own needs.
        return torch.cuda.max_memory_reserved() if options.device == "cuda" else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    milliseconds, processor = [], []
    with torch.set_grad_enabled(options.part == "unet-backward"):
        warm_up = 3 if options.device == "cuda" and options.part in NETWORKS else 1
        for run in range(options.runs + warm_up):
            start, processor_start = time.perf_counter(), time.process_time()
            work()
            finish()
            milliseconds.append(1e3 * (time.perf_counter() - start))
            processor.append(1e3 * (time.process_time() - processor_start))
    measured = slice(warm_up, None)
    return {"milliseconds": milliseconds[measured], "processor": statistics.mean(processor[measured]), "peak": peak()}


def ours(options, part):
    command = [str(options.binary), "bench", "--json", "--threads", options.threads, "--random", options.model, "--size", options.size]
    command += ["--batch", options.batch, "--runs", options.runs, "--parts", part, "--device", options.device, "--dtype", options.dtype]
    command += ["--steps", options.steps]
    found = json.loads(subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True).stdout)["parts"][0]
    times = found["milliseconds"]
    return {"milliseconds": [times["median"]], "processor": times["processor"], "peak": found.get("peak_bytes", 0)}


def reference(options, part):
    command = [sys.executable, __file__, "--part", part]
    for name in ("model", "size", "batch", "steps", "threads", "runs", "device", "dtype"):
        command += [f"--{name}", str(getattr(options, name))]
    command += ["--compile"] if options.compile else []
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()[-1])


def compare(options):
    rows = []
    for part in options.parts:
        times, processor, peaks = ({name: [] for name in ("anodiff", "pytorch")} for _ in range(3))
        for _ in range(options.rounds):
            for name, run in (("anodiff", ours), ("pytorch", reference)):
                found = run(options, part)
                times[name] += found["milliseconds"]
                processor[name].append(found["processor"])
                peaks[name].append(found["peak"] / 2**30)
        row = {"part": part}
        for kind, values, digest in (("ms", times, statistics.median), ("processor_ms", processor, statistics.mean), ("peak_gib", peaks, max)):
            one, other = digest(values["anodiff"]), digest(values["pytorch"])
            row[kind] = {"anodiff": round(one, 2), "pytorch": round(other, 2), "ratio": round(one / other, 3)}
        rows.append(row)
        print(json.dumps(row), flush=True)
    import torch

    setting = {name: getattr(options, name) for name in ("model", "size", "batch", "steps", "threads", "runs", "rounds", "device", "dtype", "compile")}
    machine = torch.cuda.get_device_name() if options.device == "cuda" else processor_name()
    return {"machine": machine, "torch": torch.__version__, **setting, "parts": rows}


def processor_name():
    try:
        lines = pathlib.Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", choices=published.UNETS, default="sd15")
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--steps", type=int, default=50, help="denoising steps of a whole image")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--dtype", choices=("f32", "f16", "bf16"), default="f32")
    parser.add_argument("--compile", action="store_true", help="PyTorch under torch.compile")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=NETWORKS)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/anodiff")
    parser.add_argument("--out", type=pathlib.Path, help="write the result as JSON, too")
    parser.add_argument("--part", choices=PARTS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.part:
        print(json.dumps(pytorch(options)))
    else:
        result = compare(options)
        if options.out:
            options.out.write_text(json.dumps(result, indent=1) + "\n")
