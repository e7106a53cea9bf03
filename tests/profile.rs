//! `anodiff profile` as a user sees it: on the CPU, and on the emulated CUDA device, whose driver counts launches by itself.

mod emulator;
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use anodiff::models::unet::UnetConfig;
use anodiff::profiling::{Preset, arithmetic};

use emulator::{Emulator, Order, Sanitizer};
use program::{World, refused, succeed};
use serde_json::Value;

fn json(world: &World, file: &str) -> Value {
    serde_json::from_slice(&fs::read(world.path(file)).unwrap()).unwrap()
}

fn rows<'a>(part: &'a Value, table: &str) -> BTreeMap<&'a str, &'a Value> {
    part[table].as_array().unwrap().iter().map(|row| (row["name"].as_str().unwrap(), row)).collect()
}

fn sum(part: &Value, table: &str, column: &str) -> f64 {
    part[table].as_array().unwrap().iter().map(|row| row[column].as_f64().unwrap()).sum()
}

/// The events of one process: name, start and end in microseconds.
fn events(trace: &Value, process: u64) -> Vec<(String, f64, f64)> {
    let all = trace["traceEvents"].as_array().unwrap().iter();
    let complete = all.filter(|event| event["ph"] == "X" && event["pid"] == process);
    complete
        .map(|event| {
            let (start, duration) = (event["ts"].as_f64().unwrap(), event["dur"].as_f64().unwrap());
            (event["name"].as_str().unwrap().to_owned(), start, start + duration)
        })
        .collect()
}

/// Requires that each range ends before those end that are around it; the most ranges around one.
fn depth(events: &[(String, f64, f64)]) -> usize {
    let (mut open, mut deepest): (Vec<f64>, usize) = (Vec::new(), 0);
    for (name, start, end) in events {
        // What rounding makes of touching ranges: a GPU's driver gives times since the beginning in 32 bits.
        let rounding = 1e-3 + 2.0 * f64::from(f32::EPSILON) * end;
        open.retain(|outer| *outer > start + rounding);
        assert!(open.iter().all(|outer| *end <= outer + rounding), "{name} ends after what holds it");
        open.push(*end);
        deepest = deepest.max(open.len());
    }
    deepest
}

#[test]
fn on_the_cpu_the_rows_are_the_whole() {
    let world = World::new();
    let arguments = ["--parts", "unet-forward,unet-backward,vae-decode", "--size", "32", "--report", "report.json", "--trace", "trace.json"];
    let text = String::from_utf8(succeed(world.command("profile", &[&["--device", "cpu"], &arguments[..]].concat())).stdout).unwrap();
    for expected in ["unet-forward: ", "% roof", "conv2d forward f32", "unet.mid_block.attentions.0", "measured here"] {
        assert!(text.contains(expected), "expected {expected} in:\n{text}");
    }
    let (report, trace) = (json(&world, "report.json"), json(&world, "trace.json"));
    for (number, part) in report["parts"].as_array().unwrap().iter().enumerate() {
        let (whole, recorded) = (part["watched_milliseconds"].as_f64().unwrap(), part["recorded_milliseconds"].as_f64().unwrap());
        assert!((0.9..1.02).contains(&(recorded / whole)), "{recorded} of {whole} ms");
        for table in ["kernels", "layers"] {
            assert!((sum(part, table, "milliseconds") / recorded - 1.0).abs() < 1e-9 && (sum(part, table, "share") - 1.0).abs() < 1e-9);
        }
        assert!((sum(part, "kernels", "gflop") / sum(part, "layers", "gflop") - 1.0).abs() < 1e-9);
        assert!(depth(&events(&trace, number as u64)) >= 5, "layers in layers");
    }
    let [forward, backward, decode] = [0, 1, 2].map(|number| &report["parts"][number]);
    let (forward, backward, decode) = (rows(forward, "layers"), rows(backward, "kernels"), rows(decode, "layers"));
    // What stands between layers is found: attention between its projections, the skip connection between blocks.
    for layer in ["unet.conv_in", "unet.mid_block.attentions.0.transformer_blocks.0.attn1", "unet.up_blocks.0"] {
        assert!(forward.contains_key(layer), "no {layer} in {:?}", forward.keys());
    }
    assert!(decode.contains_key("vae.decoder.conv_out"));
    // Before the first attention to the context nothing depends on it, so no gradient is computed.
    let [first, second] = ["conv2d forward f32", "conv2d backward f32"].map(|op| backward[op]["calls"].as_u64().unwrap());
    assert!(second > first / 2 && second < first, "{second} of {first}");
}

#[test]
fn the_layers_of_a_whole_generation_are_found() {
    let world = World::new();
    let arguments = ["--model", "model", "--parts", "generation-exact", "--steps", "2", "--batch", "2", "--depth", "1", "--report", "report.json"];
    succeed(world.command("profile", &[&["--device", "cpu"], &arguments[..]].concat()));
    let report = json(&world, "report.json");
    let layers = rows(&report["parts"][0], "layers");
    for name in ["unet", "vae", "text_encoder", "spatial"] {
        assert!(layers.contains_key(name), "no {name} in {:?}", layers.keys());
    }
    let kernels = rows(&report["parts"][0], "kernels");
    // Two passes a step and four transformers: each attends to the image and to the context.
    assert!(kernels["attention forward f32"]["calls"].as_u64().unwrap() >= 2 * 2 * 8);
}

#[test]
fn arithmetic_is_that_of_the_published_model() {
    let world = World::new();
    // The smallest image: one cell at the lowest level.
    let arguments = ["--random", "sd15", "--size", "64", "--report", "report.json", "--device", "cpu"];
    succeed(world.command("profile", &arguments));
    let preset = Preset::find("sd15").unwrap();
    let expected = arithmetic::unet(&UnetConfig::from_json(preset.unet, "sd15").unwrap(), 8, 8, 77) / 1e9;
    let found = sum(&json(&world, "report.json")["parts"][0], "kernels", "gflop");
    // The time embedding's projections are left out there.
    assert!((found / expected - 1.0).abs() < 0.01, "{found} GFLOP, expected {expected}");
}

/// `profile` on the emulated device with a miniature model, and how often its driver has launched each kernel.
fn emulated(world: &World, arguments: &[&str], change: impl FnOnce(&mut Command)) -> (String, BTreeMap<String, u64>) {
    let mut command = Emulator::new(Sanitizer::None).command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
    command.env("ANODIFF_UNVERIFIED", "1").env("EMULATOR_TRACE", "1").current_dir(world.folder.path());
    command.args(["profile", "--device", "cuda", "--threads", "2", "--model", "model", "--report", "report.json"]).args(arguments);
    change(&mut command);
    let stderr = String::from_utf8(succeed(command).stderr).unwrap();
    let launches = stderr.lines().filter_map(|line| {
        let (count, name) = line.split_once(" ms ")?.1.split_once(" launches  ")?;
        Some((name.to_owned(), count.trim().parse().ok()?))
    });
    let launches = launches.collect();
    (stderr, launches)
}

#[test]
fn on_a_gpu_every_launch_is_in_the_table() {
    let world = World::new();
    let (stderr, launches) = emulated(&world, &["--parts", "unet-backward", "--trace", "trace.json"], |_| {});
    assert!(stderr.contains("no libnvToolsExt here"), "{stderr}");
    let report = json(&world, "report.json");
    let found = rows(&report["parts"][0], "kernels");
    let calls = |kernel: &str| found[kernel]["calls"].as_u64().unwrap();
    // As the configuration says: twenty convolutions, four transformers of two attentions, three normalisations and one gated layer each.
    let expected = [("conv2d_forward_plain f32", 20), ("attention_plain_forward f32", 8), ("layer_norm_forward f32", 12), ("geglu f32", 4)];
    // Before the first attention to the context nothing depends on it, so no gradient is computed.
    let backward = [("squared_error f32", 1), ("attention_plain_to_q f32", 6), ("attention_plain_to_v f32", 7)];
    for (kernel, count) in expected.into_iter().chain(backward) {
        assert_eq!(calls(kernel), count, "{kernel}");
    }
    // The pass ran three times: to warm up, by the clock, recorded.
    for (kernel, count) in &launches {
        assert_eq!(calls(&format!("{kernel} f32")) * 3, *count, "{kernel}");
    }
    assert!(launches.len() > 20 && found.len() == launches.len());
    let layers = rows(&report["parts"][0], "layers");
    assert!(layers.contains_key("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q") && layers.contains_key("unet.conv_out"));
    assert!(depth(&events(&json(&world, "trace.json"), 0)) >= 5);
}

#[test]
fn nsight_is_shown_the_layers() {
    let world = World::new();
    // In place of NVIDIA's library one that writes down what it is told.
    let source = r#"#include <cstdio>
        static int depth = 0;
        static FILE* file() { static FILE* opened = fopen("ranges.txt", "w"); return opened; }
        extern "C" int nvtxRangePushA(const char* name) { fprintf(file(), "%*s%s\n", 2 * depth, "", name); fflush(file()); return depth++; }
        extern "C" int nvtxRangePop() { return --depth; }"#;
    fs::write(world.path("nvtx.cpp"), source).unwrap();
    let built = Command::new("g++").args(["-shared", "-fPIC", "nvtx.cpp", "-o", "libnvToolsExt.so.1"]).current_dir(world.folder.path()).status();
    assert!(built.unwrap().success());
    let libraries = Emulator::new(Sanitizer::None).libraries();
    let (stderr, _) = emulated(&world, &[], |command| {
        command.env("LD_LIBRARY_PATH", format!("{}:{}", libraries.display(), world.folder.path().display()));
    });
    assert!(!stderr.contains("no libnvToolsExt"), "{stderr}");
    let ranges = fs::read_to_string(world.path("ranges.txt")).unwrap();
    for expected in ["unet\n", "\n  mid_block\n    resnets\n      0\n        time_emb_proj\n", "\n                to_q\n"] {
        assert!(ranges.contains(expected), "expected {expected:?} in:\n{ranges}");
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let world = World::new();
    for (arguments, parts) in [
        (&["--parts", "unet"][..], &["unet", "unet-forward"][..]),
        (&["--top", "0"], &["--top 0", "at least 1"]),
        (&["--depth", "0"], &["--depth 0"]),
        (&["--size", "33"], &["--size 33", "a multiple of"]),
        (&["--batch", "0"], &["--batch 0"]),
        (&["--steps", "0"], &["--steps 0"]),
        (&["--random", "sd3"], &["--random sd3"]),
        (&["--tarce", "x"], &["--trace"]),
    ] {
        refused(world.command("profile", arguments), parts);
    }
}

#[test]
fn passes_are_timed_beside_the_roofline() {
    let world = World::new();
    let arguments =
        ["--model", "model", "--size", "32", "--runs", "3", "--parts", "unet-forward,unet-backward,vae-decode,generation", "--steps", "2"];
    let json = [&["--device", "cpu", "--json"], &arguments[..]].concat();
    let report: Value = serde_json::from_slice(&succeed(world.command("bench", &json)).stdout).unwrap();
    for part in report["parts"].as_array().unwrap() {
        let number = |key: &str| part[key].as_f64();
        let times = ["lowest", "median", "highest"].map(|key| part["milliseconds"][key].as_f64().unwrap());
        assert!(times[0] > 0.0 && times.is_sorted() && part["milliseconds"]["runs"] == 3, "{part}");
        assert!(number("peak_bytes").unwrap() > 0.0 && number("images_per_second").unwrap() * times[1] > 999.0, "{part}");
        for key in ["gflop", "gflop_per_second", "gigabytes_per_second", "roofline"] {
            assert!(number(key).is_some_and(|value| value > 0.0), "{key} in {part}");
        }
    }
    // Two steps of two passes each, an encoder and a decoder. The context's keys and values, a good part of so small a UNet, are none of a step's.
    let gflop = |index: usize| report["parts"][index]["gflop"].as_f64().unwrap();
    assert!(gflop(1) > 1.3 * gflop(0) && gflop(3) > 2.0 * gflop(0) + gflop(2), "{report}");
    let text = String::from_utf8(succeed(world.command("bench", &[&["--device", "cpu"], &arguments[..6]].concat())).stdout).unwrap();
    for expected in [" TFLOP/s, ", " GB/s, ", "% of the roofline, peak ", "roofline: "] {
        assert!(text.contains(expected), "expected {expected} in:\n{text}");
    }

    // On a GPU the peak is of its own memory: the weights and what a pass needs besides.
    let mut command = Emulator::new(Sanitizer::None).command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
    emulator::pooled(&mut command);
    command.env("ANODIFF_UNVERIFIED", "1").current_dir(world.folder.path());
    command.args(["bench", "--device", "cuda", "--dtype", "f16", "--json", "--parts", "vae-decode"]).args(&arguments[..6]);
    let report: Value = serde_json::from_slice(&succeed(command).stdout).unwrap();
    let weights = fs::metadata(world.path("model/vae/diffusion_pytorch_model.safetensors")).unwrap().len() / 2;
    let peak = report["parts"][0]["peak_bytes"].as_u64().unwrap();
    assert!(peak > weights * 9 / 10 && peak < 64 << 20, "{peak} bytes for {weights} of weights");
}

#[test]
fn a_machine_without_a_gpu_predicts() {
    let world = World::new();
    refused(world.command("bench", &["--predict"]), &["--random"]);
    refused(world.command("bench", &["--predict", "--random", "sd15", "--size", "100"]), &["--size 100", "a multiple of"]);
    // The emulated compiler knows no registers.
    let mut command = Emulator::new(Sanitizer::None).command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
    command.args(["bench", "--predict", "--random", "sd15"]);
    let output = command.output().unwrap();
    assert!(!output.status.success() && String::from_utf8_lossy(&output.stderr).contains("how many registers"));
}
