"""Ops at Stable Diffusion's sizes, ours and PyTorch's in turns on the same machine, the fastest run of each.

    cargo build --release --bench ops && python benches/ops.py target/release/deps/ops-* [THREADS]
"""

import json
import subprocess
import sys
import time

import torch
import torch.nn.functional as F

ROUNDS = 3


def fastest(f, seconds=0.4):
    f()
    best, start = float("inf"), time.perf_counter()
    while time.perf_counter() - start < seconds:
        run = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - run)
    return best * 1e3


def measure(op, *shapes):
    inputs = [torch.randn(shape) for shape in shapes]
    leaves = [x.clone().requires_grad_() for x in inputs]
    with torch.no_grad():
        upstream = torch.randn_like(op(*inputs))
        forward = fastest(lambda: op(*inputs))
    return [forward, fastest(lambda: torch.autograd.grad(op(*leaves), leaves, upstream))]


def attention(heads, causal=False):
    def op(q, k, v):
        split = lambda x: x.view(x.shape[0], x.shape[1], heads, -1).transpose(1, 2)
        out = F.scaled_dot_product_attention(split(q), split(k), split(v), is_causal=causal)
        return out.transpose(1, 2).reshape(q.shape)

    return op


def geglu(x):
    a, b = x.chunk(2, dim=-1)
    return a * F.gelu(b)


def cases():
    yield "silu 1024x1280", F.silu, (1, 1024, 1280)
    yield "gelu 1024x1280", F.gelu, (1, 1024, 1280)
    yield "geglu 1024x2560", geglu, (1, 1024, 2560)
    yield "add 1024x320", torch.add, (1, 1024, 320), (1, 1024, 320)
    yield "concat 1024x640+320", lambda a, b: torch.cat([a, b], 1), (1, 640, 32, 32), (1, 320, 32, 32)
    yield "layer_norm 1024x320", lambda x, w, b: F.layer_norm(x, (320,), w, b), (1, 1024, 320), (320,), (320,)
    norm = lambda x, w, b: F.silu(F.group_norm(x, 32, w, b))
    for size, channels in [(64, 512), (32, 320), (256, 128)]:
        yield f"group_norm+silu {size}x{size}x{channels}", norm, (1, channels, size, size), (channels,), (channels,)
    for n, m, heads, d in [(1024, 1024, 8, 40), (256, 256, 8, 80), (64, 64, 8, 160), (1024, 77, 8, 40), (1024, 1024, 1, 512), (4096, 4096, 1, 512)]:
        yield f"attention {n}x{m} {heads}x{d}", attention(heads), (1, n, heads * d), (1, m, heads * d), (1, m, heads * d)
    yield "attention causal 77 12x64", attention(12, True), *[(1, 77, 768)] * 3


def main(binary, threads="2"):
    torch.set_num_threads(int(threads))
    ours, theirs = {}, {}
    for _ in range(ROUNDS):
        for name, times in json.loads(subprocess.run([binary, threads], check=True, capture_output=True, text=True).stdout).items():
            ours[name] = [min(pair) for pair in zip(times, ours.get(name, times))]
        for name, op, *shapes in cases():
            times = measure(op, *shapes)
            theirs[name] = [min(pair) for pair in zip(times, theirs.get(name, times))]
    print(f"{'':30} {'forward':>27}   {'forward + backward':>27}\n{'':30}" + 2 * "   ours ms  torch ms   ratio  ")
    for name, (forward, both) in theirs.items():
        row = [(ours[name][0], forward), (ours[name][1], both)]
        print(f"{name:30}" + "".join(f"{a:10.3f}{b:10.3f}{a / b:8.2f}  " for a, b in row))


main(*sys.argv[1:])
