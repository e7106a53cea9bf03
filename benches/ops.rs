//! Times ops at Stable Diffusion's sizes; one JSON object on stdout, milliseconds of the fastest of many runs. The argument is the
//! number of threads, 2 without it. `benches/ops.py` compares with PyTorch.

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use anodiff::autograd::Var;
use anodiff::error::Result;
use anodiff::ops::{self, Activation};
use anodiff::tensor::Tensor;
use anodiff::tensor::random::Stream;

/// How long each op is repeated.
const TIME: Duration = Duration::from_millis(400);

fn random(shape: &[usize]) -> Tensor {
    Stream::new(0, "bench", &[shape.len() as u64]).normal(shape).expect("a shape's own element count")
}

/// Milliseconds of the fastest forward and of the fastest forward with backward.
fn time(inputs: &[Tensor], op: impl Fn(&[Var]) -> Result<Var>) -> [f64; 2] {
    let constants: Vec<Var> = inputs.iter().cloned().map(Var::constant).collect();
    let leaves: Vec<Var> = inputs.iter().cloned().map(Var::leaf).collect();
    let upstream = random(op(&constants).expect("forward").shape());
    let forward = fastest(|| {
        black_box(op(&constants).expect("forward"));
    });
    let both = fastest(|| {
        black_box(op(&leaves).and_then(|output| output.backward_from(upstream.clone())).expect("backward"));
    });
    [forward, both]
}

fn fastest(mut f: impl FnMut()) -> f64 {
    f();
    let (start, mut best) = (Instant::now(), f64::INFINITY);
    while start.elapsed() < TIME {
        let run = Instant::now();
        f();
        best = best.min(run.elapsed().as_secs_f64() * 1e3);
    }
    best
}

/// Milliseconds by name: forward, forward with backward.
#[derive(Default)]
struct Results(BTreeMap<String, [f64; 2]>);

impl Results {
    fn add(&mut self, name: &str, inputs: &[&[usize]], op: impl Fn(&[Var]) -> Result<Var>) {
        let inputs: Vec<Tensor> = inputs.iter().map(|shape| random(shape)).collect();
        self.0.insert(name.to_owned(), time(&inputs, op));
    }
}

fn main() {
    let threads = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(2);
    rayon::ThreadPoolBuilder::new().num_threads(threads).build_global().expect("the first use of the pool");
    let mut results = Results::default();
    results.add("silu 1024x1280", &[&[1, 1024, 1280]], |v| ops::silu(&v[0]));
    results.add("gelu 1024x1280", &[&[1, 1024, 1280]], |v| ops::gelu(&v[0]));
    results.add("geglu 1024x2560", &[&[1, 1024, 2560]], |v| ops::geglu(&v[0]));
    results.add("add 1024x320", &[&[1, 1024, 320], &[1, 1024, 320]], |v| ops::add(&v[0], &v[1]));
    results.add("concat 1024x640+320", &[&[1, 32, 32, 640], &[1, 32, 32, 320]], |v| ops::concat(&[&v[0], &v[1]], 3));
    results.add("layer_norm 1024x320", &[&[1, 1024, 320], &[320], &[320]], |v| ops::layer_norm(&v[0], &v[1], &v[2], 1e-5));
    for (name, size, channels) in
        [("group_norm+silu 64x64x512", 64, 512), ("group_norm+silu 32x32x320", 32, 320), ("group_norm+silu 256x256x128", 256, 128)]
    {
        let shapes: [&[usize]; 3] = [&[1, size, size, channels], &[channels], &[channels]];
        results.add(name, &shapes, |v| ops::group_norm(&v[0], &v[1], &v[2], 32, 1e-5, Activation::Silu));
    }
    for (rows, columns, heads, width) in
        [(1024, 1024, 8, 40), (256, 256, 8, 80), (64, 64, 8, 160), (1024, 77, 8, 40), (1024, 1024, 1, 512), (4096, 4096, 1, 512)]
    {
        let (q, k): (&[usize], &[usize]) = (&[1, rows, heads * width], &[1, columns, heads * width]);
        let name = format!("attention {rows}x{columns} {heads}x{width}");
        results.add(&name, &[q, k, k], |v| ops::attention(&v[0], &v[1], &v[2], heads, false));
    }
    results.add("attention causal 77 12x64", &[&[1, 77, 768][..]; 3], |v| ops::attention(&v[0], &v[1], &v[2], 12, true));
    println!("{}", serde_json::to_string(&results.0).expect("numbers"));
}
