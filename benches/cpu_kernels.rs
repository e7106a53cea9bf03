//! GFLOP/s of `linear` and `conv2d` on the CPU, forward, input gradient and weight gradient, at the sizes of SD 1.5 (256 px) and of small models.
//!
//! `cargo bench --bench cpu_kernels -- [FILTER]`; `benches/cpu_kernels.py` measures the same shapes in PyTorch and prints both side by side.
//! With `--cpu-time` the clock counts the time that all threads of the process ran (Linux): for one thread (`RAYON_NUM_THREADS=1`) on a busy
//! machine. Output: name, pass, GFLOP, best ms, GFLOP/s, separated by tabs. FLOPs are those of the definition (two a multiply-add), so that an algorithm
//! that needs fewer shows as a higher rate.

use std::time::{Duration, Instant};

use anodiff::autograd::Var;
use anodiff::ops::{Conv2dOptions, Epilogue, conv2d, linear};
use anodiff::testing::random;

/// Time spent on each measurement.
const BUDGET: Duration = Duration::from_millis(300);

/// batch, height and width, in, out, kernel, stride
const CONVOLUTIONS: [[usize; 6]; 24] = [
    [1, 32, 320, 320, 3, 1],
    [1, 32, 960, 320, 3, 1],
    [1, 16, 640, 640, 3, 1],
    [1, 16, 1920, 640, 3, 1],
    [1, 8, 1280, 1280, 3, 1],
    [1, 8, 2560, 1280, 3, 1],
    [1, 4, 1280, 1280, 3, 1],
    [1, 32, 320, 320, 3, 2],
    [1, 32, 320, 320, 1, 1],
    [1, 8, 2560, 1280, 1, 1],
    [1, 32, 4, 320, 3, 1],
    [1, 32, 320, 4, 3, 1],
    [1, 32, 512, 512, 3, 1],
    [1, 64, 512, 512, 3, 1],
    [1, 128, 512, 256, 3, 1],
    [1, 128, 256, 256, 3, 1],
    [1, 256, 128, 128, 3, 1],
    [1, 256, 128, 3, 3, 1],
    [16, 64, 32, 32, 3, 1],
    [16, 32, 64, 64, 3, 1],
    [16, 32, 64, 64, 3, 2],
    [16, 16, 128, 128, 3, 1],
    [16, 8, 192, 192, 3, 1],
    [32, 16, 96, 96, 3, 1],
];

/// rows, in, out
const LINEARS: [[usize; 3]; 13] = [
    [1024, 320, 320],
    [1024, 320, 2560],
    [1024, 1280, 320],
    [256, 640, 5120],
    [64, 1280, 1280],
    [64, 1280, 10240],
    [16, 1280, 1280],
    [77, 768, 320],
    [1, 1280, 1280],
    [16384, 64, 64],
    [4096, 128, 512],
    [1024, 256, 256],
    [2048, 512, 512],
];

fn main() {
    let filter = std::env::args().skip(1).find(|argument| !argument.starts_with("--")).unwrap_or_default();
    println!("# {} threads", rayon::current_num_threads());
    for [batch, size, inputs, outputs, kernel, stride] in CONVOLUTIONS {
        let name = format!("conv {batch}x{size}x{size} {inputs}->{outputs} k{kernel} s{stride}");
        let out = (size + 2 * (kernel / 2) - kernel) / stride + 1;
        let gflop = 2e-9 * (batch * out * out * outputs * inputs * kernel * kernel) as f64;
        let shapes = [&[batch, size, size, inputs][..], &[outputs, kernel, kernel, inputs]];
        let options = Conv2dOptions::new(stride, kernel / 2);
        measure(&name, &filter, gflop, shapes, |x, weight| conv2d(x, weight, None, options, Epilogue::default()).expect("shapes fit"));
    }
    for [rows, inputs, outputs] in LINEARS {
        let gflop = 2e-9 * (rows * inputs * outputs) as f64;
        let name = format!("linear {rows} {inputs}->{outputs}");
        measure(&name, &filter, gflop, [&[rows, inputs], &[outputs, inputs]], |x, weight| linear(x, weight, None).expect("shapes fit"));
    }
}

/// Times the three passes of one op.
fn measure(name: &str, filter: &str, gflop: f64, shapes: [&[usize]; 2], op: impl Fn(&Var, &Var) -> Var) {
    if !name.contains(filter) {
        return;
    }
    let [x, weight] = shapes.map(|shape| random(name, shape));
    let constant = [Var::constant(x.clone()), Var::constant(weight.clone())];
    let gradient = random(name, op(&constant[0], &constant[1]).shape());
    let forward = best(|| (), |()| drop(op(&constant[0], &constant[1])));
    let backward = |x: &Var, weight: &Var| best(|| op(x, weight), |output| drop(output.backward_from(gradient.clone()).expect("a fresh graph")));
    let to_input = backward(&Var::leaf(x), &constant[1]);
    let to_weight = backward(&constant[0], &Var::leaf(weight));
    for (pass, time) in [("forward", forward), ("input", to_input), ("weight", to_weight)] {
        println!("{name}\t{pass}\t{gflop:.3}\t{:.3}\t{:.1}", time.as_secs_f64() * 1e3, gflop / time.as_secs_f64());
    }
}

/// The shortest of as many runs as the budget allows, at least three, or their mean running time; `prepare` is not timed.
fn best<T>(prepare: impl Fn() -> T, run: impl Fn(T)) -> Duration {
    let cpu_time = std::env::args().any(|argument| argument == "--cpu-time");
    let (mut shortest, mut total, mut runs) = (Duration::MAX, Duration::ZERO, 0);
    let start = Instant::now();
    while runs < 3 || start.elapsed() < BUDGET {
        let prepared = prepare();
        let (begin, begin_ran) = (Instant::now(), if cpu_time { ran() } else { Duration::ZERO });
        run(prepared);
        shortest = shortest.min(begin.elapsed());
        // The kernel counts in ticks of milliseconds: only the mean over many runs means something.
        total += if cpu_time { ran() - begin_ran } else { Duration::ZERO };
        runs += 1;
    }
    if cpu_time { total / runs } else { shortest }
}

/// How long the threads of this process have run altogether.
fn ran() -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").expect("--cpu-time needs Linux");
    let nanoseconds = |path: std::path::PathBuf| -> u64 {
        let text = std::fs::read_to_string(path.join("schedstat")).unwrap_or_default();
        text.split(' ').next().and_then(|number| number.parse().ok()).unwrap_or_default()
    };
    Duration::from_nanos(threads.flatten().map(|thread| nanoseconds(thread.path())).sum())
}
