"""How long `anodiff generate` takes from its start to the first image: a Stable Diffusion 1.5 model of random weights in f16, read from a file that the
system has in its cache.

    python benches/start_up.py --data DATA [--device cuda] [--dtype f16] [--size 512] [--runs 3]

DATA is a data set in MVTec layout, such as `anodiff demo` writes. Needs torch, diffusers and transformers to make the model (2.1 GB in a temporary folder,
or --model, a folder that is there), and a training of one step. Times are of whole processes that make one image each, with the default preset; the first,
which compiles kernels and tries them, is printed by itself.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

import published

ROOT = pathlib.Path(__file__).resolve().parent.parent


def make(folder):
    """A diffusers folder in the shapes of Stable Diffusion 1.5."""
    from diffusers import DDIMScheduler
    from transformers import CLIPTextConfig, CLIPTextModel

    save = lambda name, build: published.filled(build).half().save_pretrained(folder / name)
    save("unet", published.unet)
    save("vae", published.vae)
    text = CLIPTextConfig(vocab_size=49408, hidden_size=768, intermediate_size=3072, num_hidden_layers=12, num_attention_heads=12, hidden_act="quick_gelu",
                          bos_token_id=49406, eos_token_id=49407, pad_token_id=49407)
    save("text_encoder", lambda: CLIPTextModel(text))
    schedule = {"beta_start": 0.00085, "beta_end": 0.012, "beta_schedule": "scaled_linear"}
    DDIMScheduler(**schedule, set_alpha_to_one=False, steps_offset=1, clip_sample=False).save_pretrained(folder / "scheduler")
    (folder / "tokenizer").mkdir()
    merges = (ROOT / "weights/clip/merges.txt").read_text()
    (folder / "tokenizer/merges.txt").write_text(merges)
    (folder / "tokenizer/vocab.json").write_text(json.dumps(vocabulary(merges)))


def vocabulary(merges):
    """CLIP's tokens in order: bytes, bytes that end a word, merges, marks of beginning and end."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [byte for byte in range(256) if byte not in printable]
    bytes_ = [chr(byte) for byte in printable] + [chr(256 + index) for index in range(len(rest))]
    merged = ["".join(line.split()) for line in merges.splitlines() if line and not line.startswith("#version")]
    tokens = bytes_ + [byte + "</w>" for byte in bytes_] + merged + ["<|startoftext|>", "<|endoftext|>"]
    return {token: index for index, token in enumerate(tokens)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=pathlib.Path, required=True)
    parser.add_argument("--model", type=pathlib.Path, help="a model in place of random weights")
    parser.add_argument("--size", type=int, default=512)
    parser.add_argument("--steps", type=int, default=50)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="f32")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--binary", type=pathlib.Path, default=ROOT / "target/release/anodiff")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        model = options.model
        if model is None:
            model = work / "model"
            make(model)
        where = ["--model", model, "--device", options.device, "--dtype", options.dtype]

        def run(*arguments):
            done = subprocess.run([str(word) for word in (options.binary, *arguments, *where)], capture_output=True, text=True)
            if done.returncode:
                sys.exit(f"anodiff {arguments[0]}: exit code {done.returncode}\n{done.stderr}")

        test = next(path for path in sorted(options.data.glob("*/ground_truth/*")) if path.is_dir())
        kind = ["--object", test.parent.parent.name, "--type", test.name]
        run("train", "--data", options.data, "--objects", kind[1], "--types", kind[3], "--out", work / "run", "--steps", 1, "--resolution", options.size)
        seconds = []
        for index in range(options.runs + 1):
            start = time.perf_counter()
            run("generate", "--learned", work / "run", "--data", options.data, *kind, "--count", 1, "--steps", options.steps, "--out", work / f"out{index}")
            seconds.append(time.perf_counter() - start)
    first, *later = seconds
    print(json.dumps({"start_to_first_image_seconds": statistics.median(later), "runs": later, "with_cold_kernels": first, "device": options.device,
                      "dtype": options.dtype, "size": options.size, "steps": options.steps}))


if __name__ == "__main__":
    main()
