"""Measures the shapes of cpu_kernels.rs in PyTorch and prints both side by side.

cargo bench --bench cpu_kernels -- [FILTER] > ours.tsv; python benches/cpu_kernels.py ours.tsv
With --cpu-time, here and there, one thread each and its running time instead of the wall's: for a busy machine.
"""

import re
import sys
import time

import torch
import torch.nn.functional as functional

BUDGET = 0.3


CPU_TIME = "--cpu-time" in sys.argv
clock = time.process_time if CPU_TIME else time.perf_counter


def best(run):
    run()
    shortest, start, runs = float("inf"), time.perf_counter(), 0
    while runs < 3 or time.perf_counter() - start < BUDGET:
        begin = clock()
        run()
        shortest = min(shortest, clock() - begin)
        runs += 1
    return shortest


def convolution(batch, size, inputs, outputs, kernel, stride):
    x, weight = torch.randn(batch, inputs, size, size), torch.randn(outputs, inputs, kernel, kernel)
    padding = kernel // 2
    gradient = torch.randn_like(functional.conv2d(x, weight, None, stride, padding))

    def backward(mask):
        return lambda: torch.ops.aten.convolution_backward(
            gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0], 1, mask
        )

    return {
        "forward": lambda: functional.conv2d(x, weight, None, stride, padding),
        "input": backward([True, False, False]),
        "weight": backward([False, True, False]),
    }


def linear(rows, inputs, outputs):
    x, weight, gradient = torch.randn(rows, inputs), torch.randn(outputs, inputs), torch.randn(rows, outputs)
    return {
        "forward": lambda: functional.linear(x, weight),
        "input": lambda: gradient @ weight,
        "weight": lambda: gradient.T @ x,
    }


def main():
    torch.set_num_threads(1 if CPU_TIME else 2)
    torch.set_grad_enabled(False)
    cache = {}
    print(f"{'shape':34}{'pass':9}{'GFLOP':>8}{'ours':>9}{'torch':>9}   time ratio ours/torch")
    for line in open(sys.argv[1]):
        if "\t" not in line:
            continue
        name, step, gflop, _, rate = line.rstrip().split("\t")
        numbers = [int(number) for number in re.findall(r"\d+", name)]
        if name not in cache:
            cache = {name: linear(*numbers) if name.startswith("linear") else convolution(*numbers[:2], *numbers[3:])}
        theirs = float(gflop) / best(cache[name][step])
        print(f"{name:34}{step:9}{gflop:>8}{float(rate):9.1f}{theirs:9.1f}   {theirs / float(rate):.2f}", flush=True)


if __name__ == "__main__":
    main()
