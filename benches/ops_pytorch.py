"""Compares every op that `anodiff kernels verify` compares with PyTorch: our error and that of a plain PyTorch implementation in the same precision.

    anodiff kernels verify --record FOLDER                    # operands, parameters and results of every case, on a GPU or the emulated one
    python benches/ops_pytorch.py FOLDER [--device cuda]      # a line for each case, element type and route
    python benches/ops_pytorch.py FOLDER --fixture tests/fixtures/pytorch_errors.json

The reference is PyTorch in f64 on the same operands: the value, and where there are gradients those of a weighted sum of it. Errors are
||found - reference|| / ||reference||. In f32 ours may be 1e-5. In f16 and bf16 it may be twice that of PyTorch in this type, where each function of
torch.nn.functional rounds what it gives; but never has to be below 1e-5, since PyTorch may be exact by luck. The results of the CPU (route cpu), which are
f32 whatever the operands were rounded to, may be off by 1e-5. Exit code 1 when one is above its bound, 2 when a case is unknown here.

The fixture keeps PyTorch's errors in f16 and bf16, for machines without PyTorch and without a GPU (tests/pytorch_errors.rs).
"""

import argparse
import collections
import json
import math
import pathlib
import sys

import torch
from torch.nn import functional

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I32": torch.int32}
F32_BOUND = 1e-5
# How much larger than PyTorch's an error may be in 16 bits.
FACTOR = 2.0


# Files

def read(path):
    """The tensors and the metadata of a safetensors file. It is a length, a header in JSON, and bytes: no package is needed."""
    content = bytearray(path.read_bytes())
    start = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:start])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        first, end = (start + offset for offset in entry["data_offsets"])
        tensors[name] = torch.frombuffer(content[first:end], dtype=TYPES[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def series(tensors, prefix):
    """prefix/0, prefix/1, ..."""
    return [tensors[f"{prefix}/{index}"] for index in range(sum(name.startswith(f"{prefix}/") for name in tensors))]


# Ops: x are the operands in the order of the case, p its parameters. Images are [batch, height, width, channels].

def on_images(f):
    """f of [batch, channels, height, width] for channels that come last."""
    return lambda x, *rest, **named: f(x.movedim(-1, 1), *rest, **named).movedim(1, -1)


def quick_gelu(x):
    return x * torch.sigmoid(1.702 * x)


def geglu(x):
    value, gate = x.chunk(2, -1)
    return value * functional.gelu(gate)


def scaled(product, bias, p):
    return p["scale"] * product + bias


def linear(x, p):
    y = scaled(functional.linear(*x[:2]), x[2], p) if "scale" in p else functional.linear(*x[:3])
    behind = {"silu": functional.silu, "gelu": functional.gelu, "quick_gelu": quick_gelu, "geglu": geglu, "residual": lambda y: y + x[3]}
    return behind[p["epilogue"]](y) if "epilogue" in p else y


def conv2d(x, p):
    sources = p.get("sources", 1)
    image, (weight, bias, *added) = torch.cat(x[:sources], -1), x[sources:]
    if "repeated_to" in p:
        height, width = p["repeated_to"]
        image = image.repeat_interleave(2, 1).repeat_interleave(2, 2)[:, :height, :width]
    convolve = lambda bias: on_images(functional.conv2d)(image, weight.movedim(-1, 1), bias, stride=p["stride"], padding=p["padding"])
    y = scaled(convolve(None), bias, p) if "scale" in p else convolve(bias)
    if added:
        per_channel, residual = added
        y = y + per_channel[:, None, None, :] + residual
    return y


def heads_of(x, heads):
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def attention(x, p):
    q, k, v = (heads_of(operand, p["heads"]) for operand in x[:3])
    logits = q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5
    if p.get("causal"):
        rows, columns = logits.shape[-2:]
        logits = logits.masked_fill(torch.ones(rows, columns, dtype=torch.bool, device=logits.device).triu(1), -math.inf)
    return (functional.softmax(logits, -1) @ v).transpose(1, 2).flatten(2)


def cross_attention(x, p):
    q, k, v = (heads_of(operand, p["heads"]) for operand in x[:3])
    columns, probability, logit = x[3:]
    marked = columns[:, None, :] > 0

    def weighted(values, weights):
        return values * torch.where(marked, weights[:, :, None], 1)[:, None]

    shares = functional.softmax(weighted(q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5, logit), -1)
    return (weighted(shares, probability) @ v).transpose(1, 2).flatten(2)


def group_norm(x, p):
    *sources, weight, bias = x
    return functional.silu(on_images(functional.group_norm)(torch.cat(sources, -1), p["groups"], weight, bias, p["epsilon"]))


def layer_norm(x, p):
    return functional.layer_norm(x[0], x[0].shape[-1:], x[1], x[2], p["epsilon"])


def batch_norm(x, p):
    return on_images(functional.batch_norm)(x[0], None, None, x[1], x[2], training=True, eps=p["epsilon"])


def concat(x, p):
    return torch.cat(x, p["axis"]).narrow(p["axis"], p["start"], p["length"])


def masked_mse(x, p):
    prediction, target, mask = x
    errors = (mask * (target - prediction)).square().sum((1, 2, 3))
    return (errors / (mask.sum((1, 2, 3)) * prediction.shape[-1])).mean()


def focal_loss(x, p):
    """As in DRAEM's loss.py."""
    logits, mask = x
    target = torch.cat((1 - mask, mask), -1).clamp(1e-5, 1 - 1e-5)
    probability = (target * functional.softmax(logits, -1)).sum(-1) + 1e-5
    return (-((1 - probability) ** 2) * probability.log()).mean()


def philox(counter, key):
    """Ten rounds of Philox4x32 (Salmon et al., SC 2011)."""
    for _ in range(10):
        first, second = 0xD2511F53 * counter[0], 0xCD9E8D57 * counter[2]
        counter = [second >> 32 ^ counter[1] ^ key[0], second & 0xFFFFFFFF, first >> 32 ^ counter[3] ^ key[1], first & 0xFFFFFFFF]
        key = [(key[0] + 0x9E3779B9) & 0xFFFFFFFF, (key[1] + 0xBB67AE85) & 0xFFFFFFFF]
    return counter


def normal(streams, sample, like):
    """Box-Muller on the words of each stream, which two words of key and two of nonce name: [streams, ..sample] in the type of `like`, where it is."""
    count = math.prod(sample)
    words = [[philox([block, 0, *name[2:]], name[:2]) for block in range(-(-count // 4))] for name in streams]
    words = (torch.tensor(words, device=like.device) >> 8).to(like.dtype)
    radius = (-2 * ((words[..., 0::2] + 1) / 2**24).log()).sqrt()
    angle = 2 * math.pi * (words[..., 1::2] / 2**24)
    pairs = torch.stack((radius * angle.cos(), radius * angle.sin()), -1)
    return pairs.flatten(1)[:, :count].reshape(-1, *sample)


def denoise(x, p):
    noisy, conditional, unconditional, mask = x
    clean, epsilon, previous, outside = p["clean"], p["epsilon"], p["previous"], p["outside"]
    output = (1 - p["guidance"]) * unconditional + p["guidance"] * conditional
    found = clean[0] * noisy + clean[1] * output
    noise = epsilon[0] * noisy + epsilon[1] * output
    fresh = normal(p["streams"], noisy.shape[1:], noisy)
    latent = previous[0] * found + previous[1] * noise + p["deviation"] * fresh
    # The unconditional output stands for the normal image, too.
    return torch.where(mask > 0, latent, outside[0] * unconditional + outside[1] * fresh)


def adamw(x, p):
    """As torch.optim.AdamW (_single_tensor_adamw)."""
    value, first, gradient = x
    gradient = gradient * p["scale"] + p["decay"] * value
    second = first.square() * p["beta2"] + p["one_minus_beta2"] * gradient.square()
    first = first + p["one_minus_beta1"] * (gradient - first)
    return value * p["keep"] + p["step"] * first / (second.sqrt() / p["correction"] + p["epsilon"])


def weight_map(x, p):
    """Paper, Eq. 7, and the two other formulas of src/ops/weight_map."""
    squares = (x[0] - x[1]).square()
    mask = x[2][..., 0] > 0
    of_image = {"paper": paper, "official": official, "balanced": balanced}[p["formula"]]
    difference = squares.sum(-1) if p["formula"] == "paper" else squares.mean(-1)
    return torch.stack([of_image(*image) for image in zip(difference, mask)])


def paper(difference, mask):
    weights = torch.zeros_like(difference)
    weights[mask] = mask.sum() * functional.softmax(1 / difference[mask], 0)
    return weights


def official(difference, mask):
    weights = torch.ones_like(difference)
    inverse = 1 / difference[mask]
    weights[mask] = (mask.sum() * inverse / inverse.sum()).clamp(1, 1.5)
    return weights


def balanced(difference, mask):
    inside = difference[mask]
    raw = 1 / (inside / inside.mean() + 0.25)
    # The mean of the limited weights grows with the scale: halving finds where it is 1.
    low, high = 0.0, 2 * (1 / raw).max().item()
    for _ in range(60):
        middle = (low + high) / 2
        low, high = (middle, high) if (middle * raw).clamp(0.5, 2).mean() < 1 else (low, middle)
    weights = torch.ones_like(difference)
    weights[mask] = (high * raw).clamp(0.5, 2)
    return weights


def of_first(f):
    return lambda x, p: f(x[0])


OPS = {
    "linear": linear,
    "conv2d": conv2d,
    "attention": attention,
    "cross-attention": cross_attention,
    "group_norm": group_norm,
    "layer_norm": layer_norm,
    "batch_norm": batch_norm,
    "softmax": lambda x, p: functional.softmax(x[0], -1),
    "silu": of_first(functional.silu),
    "gelu": of_first(functional.gelu),
    "quick_gelu": of_first(quick_gelu),
    "sigmoid": of_first(torch.sigmoid),
    "tanh": of_first(torch.tanh),
    "exp": of_first(torch.exp),
    "geglu": of_first(geglu),
    "prelu": lambda x, p: torch.where(x[0] > 0, x[0], x[1] * x[0]),
    "broadcast_mul": lambda x, p: x[0] * x[1],
    "concat": concat,
    "embedding": lambda x, p: functional.embedding(x[1], x[0]),
    "upsample_nearest": lambda x, p: on_images(functional.interpolate)(x[0], scale_factor=p["factor"]),
    "resize_bilinear": lambda x, p: on_images(functional.interpolate)(x[0], size=p["size"], mode="bilinear", align_corners=False),
    "area_pool": lambda x, p: on_images(functional.adaptive_avg_pool2d)(x[0], p["size"]),
    "average_pool": lambda x, p: on_images(functional.avg_pool2d)(x[0], p["kernel"], stride=1, padding=p["kernel"] // 2),
    "max_pool": lambda x, p: on_images(functional.max_pool2d)(x[0], p["kernel"], stride=p["stride"], padding=p["padding"]),
    "masked_mse": masked_mse,
    "focal_loss": focal_loss,
    "softmax_cross_entropy": lambda x, p: functional.cross_entropy(x[0], x[1].long()),
    "normal": lambda x, p: normal(p["streams"], [p["size"]], x[0]),
    "denoise": denoise,
    "adamw": adamw,
    "weight_map": weight_map,
}


# Comparison

class Case:
    """One op in one element type: operands, and what each route has found."""

    def __init__(self, path, device):
        tensors, metadata = read(path)
        self.name, self.dtype = metadata["op"], metadata["dtype"]
        # An op's function has the first word of its name.
        self.function = self.name.replace(",", " ").split()[0]
        self.parameters = json.loads(metadata["parameters"])
        tensors = {name: tensor.to(device) for name, tensor in tensors.items()}
        self.operands, self.weights = series(tensors, "operand"), tensors.get("weights")
        self.variables = int(metadata["variables"])
        routes = {name.rsplit("/", 1)[0] for name in tensors if "/" in name} - {"operand"}
        self.found = {route: series(tensors, route) for route in sorted(routes)}

    def results(self, dtype):
        """The value in PyTorch, computed in `dtype`, then the gradient of each variable."""
        x = [operand.to(dtype) if operand.is_floating_point() else operand for operand in self.operands]
        # An op without operands still says where and in what it computes.
        x = x or [torch.empty(0, dtype=dtype, device=self.found["cpu"][0].device)]
        variables = [operand.requires_grad_() for operand in x[: self.variables]] if self.weights is not None else []
        value = OPS[self.function](x, self.parameters)
        weights = self.weights.to(value.dtype) if variables else None
        return [value.detach(), *(torch.autograd.grad(value, variables, weights) if variables else ())]

    def compared(self):
        """PyTorch's errors, and those of every route."""
        reference = self.results(torch.float64)
        plain = self.results(TYPES[self.dtype.upper()])
        return errors(plain, reference), {route: errors(found, reference) for route, found in self.found.items()}

    def bounds(self, route, of_pytorch):
        exact = self.dtype == "f32" or route == "cpu"
        return [F32_BOUND if exact else max(F32_BOUND, FACTOR * error) for error in of_pytorch]


def errors(found, reference):
    assert len(found) == len(reference), f"{len(found)} results, PyTorch has {len(reference)}"
    return [relative_error(*pair) for pair in zip(found, reference)]


def relative_error(found, reference):
    assert found.shape == reference.shape, f"a result of shape {tuple(found.shape)}, PyTorch's has {tuple(reference.shape)}"
    difference, norm = (found.double() - reference).norm().item(), reference.norm().item()
    error = difference / norm if norm else difference
    return error if math.isfinite(error) else math.inf


def row(case, route, ours, of_pytorch):
    """The result that is nearest to its bound, and whether it is within."""
    bounds = case.bounds(route, of_pytorch)
    # Where PyTorch's error is no number there is no bound to keep.
    kept = all(mine <= bound < math.inf for mine, bound in zip(ours, bounds))
    worst = max(range(len(ours)), key=lambda index: ours[index] / bounds[index])
    what = "value" if worst == 0 else f"gradient {worst - 1}"
    ratio = f"{ours[worst] / of_pytorch[worst]:8.2f}" if of_pytorch[worst] else "       -"
    line = f"{'right' if kept else 'ABOVE'}  {case.dtype:<4}  {route:<9}  {case.name:<44}  {what:<10}  {ours[worst]:.1e}  {of_pytorch[worst]:.1e}  {ratio}"
    return kept, line


def fixture(kept):
    """PyTorch's errors as JSON, a line for each case."""
    rounded = {name: {dtype: [float(f"{error:.3e}") for error in of_type] for dtype, of_type in types.items()} for name, types in kept.items()}
    cases = ",\n".join(f"  {json.dumps(name)}: {json.dumps(types, allow_nan=False)}" for name, types in rounded.items())
    torch_version = torch.__version__.split("+")[0]
    return f'{{\n "script": "benches/ops_pytorch.py",\n "torch": "{torch_version}",\n "errors": {{\n{cases}\n }}\n}}\n'


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path, help="what `anodiff kernels verify --record` has written")
    parser.add_argument("--device", default="cpu", help="where PyTorch computes: cpu or cuda")
    parser.add_argument("--fixture", type=pathlib.Path, help="write PyTorch's errors in f16 and bf16 to this file")
    options = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    paths = sorted(options.folder.glob("*.safetensors"))
    if not paths:
        sys.exit(f"{options.folder} has no record: make one with `anodiff kernels verify --record {options.folder}`")
    kept, above, lines = collections.defaultdict(dict), 0, 0
    print(f"{'':<5}  type  {'route':<9}  {'op':<44}  {'nearest':<10}  ours     PyTorch  ratio")
    for path in paths:
        case = Case(path, options.device)
        if case.function not in OPS:
            print(f"{case.name}: no op of this file is called {case.function}; add it to OPS", file=sys.stderr)
            sys.exit(2)
        of_pytorch, of_routes = case.compared()
        if case.dtype != "f32":
            kept[case.name][case.dtype] = of_pytorch
        for route, ours in of_routes.items():
            right, line = row(case, route, ours, of_pytorch)
            above, lines = above + (not right), lines + 1
            print(line)
    print(f"{lines} comparisons of {len(paths)} cases with PyTorch {torch.__version__} on {options.device}; {above} above their bound")
    if options.fixture:
        options.fixture.write_text(fixture(kept))
    sys.exit(1 if above else 0)


if __name__ == "__main__":
    main()
