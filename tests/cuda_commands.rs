//! Whole commands on the emulated CUDA device, by the real program with the real cudarc: networks, training, generation and pretraining give what they
//! give on the CPU, and what one device has begun the other goes on with.

mod emulator;
mod program;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anodiff::data::picture::Picture;
use anodiff::models::lpips::{Lpips, Network};
use anodiff::tensor::Tensor;
use anodiff::testing::{Scattered, miniature, random, relative_error};
use anodiff::weights::{self, Archive};
use emulator::{Emulator, Order, Sanitizer, pooled, traced};
use program::{files, json_file, refused, succeed};

/// A miniature model and data set, and the program on both devices.
struct World {
    place: program::World,
    emulator: Emulator,
}

impl World {
    fn new() -> Self {
        Self { place: program::World::of_pairs(3), emulator: Emulator::new(Sanitizer::None) }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.place.path(name)
    }

    /// `anodiff` in the world's folder on `device`; a GPU works in `order`.
    fn anodiff(&self, device: &str, order: Order, arguments: &[&str]) -> Command {
        let mut command = self.emulator.command(env!("CARGO_BIN_EXE_anodiff"), order);
        // Every op is compared by tests of its own.
        command.env("ANODIFF_UNVERIFIED", "1");
        command.current_dir(self.place.folder.path()).args(arguments).args(["--device", device, "--threads", "2"]);
        command
    }

    fn run(&self, device: &str, arguments: &[&str]) -> Vec<u8> {
        succeed(self.anodiff(device, Order::LateAndForward, arguments)).stdout
    }

    /// Two steps of training; the loss of the last.
    fn train(&self, device: &str, out: &str, more: &[&str]) -> f64 {
        let fixed = ["train", "--data", "data", "--model", "model", "--out", out, "--steps", "2", "--batch-size", "1", "--resolution", "32"];
        let output = self.run(device, &[&fixed, &["--checkpoint-every", "1", "--validate-every", "0", "--json"][..], more].concat());
        serde_json::from_slice::<serde_json::Value>(&output).unwrap()["loss"].as_f64().unwrap()
    }

    fn generate(&self, device: &str, out: &str, more: &[&str]) -> Picture {
        let fixed = ["generate", "--data", "data", "--model", "model", "--learned", "cpu", "--object", "plate", "--type", "dot", "--count", "1"];
        self.run(device, &[&fixed, &["--steps", "2", "--out", out][..], more].concat());
        Picture::load(&self.path(out).join("plate/test/dot/000000.png")).unwrap()
    }

    fn tensors(&self, file: &str) -> BTreeMap<String, Vec<f32>> {
        let archive = Archive::open(&self.path(file)).unwrap();
        archive.names().map(|name| (name.to_owned(), archive.tensor(name).unwrap().to_f32_vec().unwrap())).collect()
    }

    /// Every tensor of two files, as close as `tolerance` says.
    #[track_caller]
    fn assert_alike(&self, found: &str, expected: &str, tolerance: f64) {
        let (found, expected) = (self.tensors(found), self.tensors(expected));
        assert!(found.keys().eq(expected.keys()));
        for (name, expected) in expected {
            let error = relative_error(&found[&name], &expected);
            assert!(error <= tolerance, "{name}: relative error {error:.2e}, tolerance {tolerance:.1e}");
        }
    }
}

/// The largest difference of two pictures in [-1, 1].
fn difference(a: &Picture, b: &Picture) -> f32 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    a.pixels().iter().zip(b.pixels()).fold(0.0, |most, (a, b)| most.max((a - b).abs()))
}

#[test]
fn batches_that_fit_a_gpu_are_found() {
    let world = World::new();
    let train = |out: &str, memory: u64, more: &[&str]| {
        let fixed = ["train", "--data", "data", "--out", out, "--steps", "1", "--batch-size", "12", "--resolution", "128"];
        let mut command = world.anodiff("cuda", Order::LateAndForward, &[&fixed[..], &["--validate-every", "0"], more].concat());
        // Memory is all that counts here.
        command.env("EMULATOR_MEMORY", memory.to_string()).env("EMULATOR_IDLE", "*");
        command
    };
    let outline: serde_json::Value = serde_json::from_slice(&succeed(train("none", 4 << 30, &["--dry-run", "--json"])).stdout).unwrap();
    let memory = outline["memory"].as_u64().unwrap() * 3 / 4;
    refused(train("all", memory, &[]), &["the memory of cuda:0", "--batch-size"]);
    succeed(train("fitted", memory, &["--auto-batch"]));
    let config = fs::read_to_string(world.path("fitted/config.toml")).unwrap();
    assert!(!config.contains("batch-size = 12") && !config.contains("accumulate = 1\n"), "{config}");
}

#[test]
fn where_a_batch_does_not_fit_a_gpu_smaller_ones_are_made() {
    let world = World::new();
    world.train("cpu", "cpu", &[]);
    succeed(world.anodiff("cpu", Order::LateAndForward, &["train-masks", "--data", "data", "--model", "model", "--out", "cpu", "--steps", "2"]));
    let images = ["generate", "--object", "plate", "--type", "dot", "--steps", "2"];
    // Most are no good and drawn again: more steps take longer and show nothing more.
    let masks = ["masks", "--objects", "plate", "--types", "dot", "--steps", "1"];
    for (name, fixed) in [("images", images), ("masks", masks)] {
        let command = |out: &str, memory: u64| {
            let more = ["--data", "data", "--model", "model", "--learned", "cpu", "--count", "8", "--batch-size", "7", "--out", out];
            let mut command = world.anodiff("cuda", Order::LateAndForward, &[&fixed[..], &more].concat());
            pooled(&mut command);
            command.env("EMULATOR_MEMORY", memory.to_string());
            command
        };
        let (whole, parts) = (format!("whole {name}"), format!("{name} in parts"));
        let report = String::from_utf8(succeed(command(&whole, 1 << 30)).stderr).unwrap();
        let (_, peak) = report.rsplit_once("tensors on cuda:0 ").unwrap();
        let mut memory = peak.split_once(' ').unwrap().0.parse::<u64>().unwrap() * 1_000_000;
        loop {
            memory -= memory / 4;
            let output = succeed(command(&parts, memory));
            let together: Vec<usize> = String::from_utf8_lossy(&output.stderr)
                .lines()
                .filter(|line| line.starts_with("the memory of cuda:0"))
                .map(|line| line.split_once("going on with ").unwrap().1.split_once(' ').unwrap().0.parse().unwrap())
                .collect();
            if !together.is_empty() {
                assert!([4, 2, 1].starts_with(&together), "{together:?}");
                break;
            }
            fs::remove_dir_all(world.path(&parts)).unwrap();
        }
        assert_eq!(files(&world.path(&parts)), files(&world.path(&whole)));
    }
}

#[test]
fn networks_give_what_they_give_on_the_cpu() {
    let world = World::new();
    let tensors = |inputs: &[(&str, Tensor)]| inputs.iter().map(|(name, tensor)| ((*name).to_owned(), tensor.clone())).collect::<Vec<_>>();
    let unet = tensors(&[
        ("sample", random("sample", &[2, 4, 6, 5])),
        ("timestep", Tensor::from_i32(vec![999, 3], &[2]).unwrap()),
        ("encoder_hidden_states", random("context", &[2, 7, 24])),
        ("target", random("target", &[2, 4, 6, 5])),
        ("mask", Tensor::full(1.0, &[2, 1, 6, 5])),
        ("attention_weight", random("weight", &[2, 6, 5])),
        ("attention_weight_columns", Tensor::from_i32([1, 0, 1, 1, 0, 0, 0].repeat(2), &[2, 7]).unwrap()),
    ]);
    for (part, inputs) in [
        ("text-encoder", tensors(&[("input_ids", Tensor::from_i32(vec![512, 7, 90, 513], &[1, 4]).unwrap())])),
        ("vae-encode", tensors(&[("image", random("image", &[1, 3, 12, 16]))])),
        ("vae-decode", tensors(&[("latent", random("latent", &[1, 4, 4, 5]))])),
        ("unet", unet),
    ] {
        weights::save(&world.path("in.safetensors"), &inputs, &BTreeMap::new()).unwrap();
        let run = |device: &str, dtype: &str, out: &str| {
            world.run(device, &["forward", part, "--model", "model", "--in", "in.safetensors", "--out", out, "--dtype", dtype]);
        };
        run("cpu", "f32", "expected.safetensors");
        for (dtype, tolerance) in [("f32", 2e-5), ("f16", 1e-2), ("bf16", 8e-2)] {
            run("cuda", dtype, "found.safetensors");
            eprintln!("{part} in {dtype}");
            world.assert_alike("found.safetensors", "expected.safetensors", tolerance);
        }
    }
}

#[test]
fn training_and_generation_give_what_they_give_on_the_cpu() {
    let world = World::new();
    let expected = world.train("cpu", "cpu", &[]);
    for (dtype, tolerance) in [("f32", 1e-5), ("bf16", 2e-2)] {
        let loss = world.train("cuda", dtype, &["--dtype", dtype]);
        assert!((loss / expected - 1.0).abs() <= tolerance, "in {dtype} the loss is {loss}, expected {expected}");
    }
    world.assert_alike("f32/learned.safetensors", "cpu/learned.safetensors", 1e-3);

    // What one device has saved after a step the other goes on with: both meet again.
    for (run, other) in [("cpu", "cuda"), ("f32", "cpu")] {
        let folder = world.path(run);
        fs::copy(folder.join("learned.safetensors"), world.path("whole.safetensors")).unwrap();
        fs::rename(folder.join("checkpoint.previous.safetensors"), folder.join("checkpoint.safetensors")).unwrap();
        fs::remove_file(folder.join("learned.safetensors")).unwrap();
        world.train(other, run, &["--resume"]);
        world.assert_alike(&format!("{run}/learned.safetensors"), "whole.safetensors", 1e-3);
    }

    let expected = world.generate("cpu", "expected", &[]);
    for (dtype, most) in [("f32", 0.02), ("f16", 0.1)] {
        let found = world.generate("cuda", &format!("pairs in {dtype}"), &["--dtype", dtype]);
        assert!(difference(&found, &expected) <= most, "{dtype}: {}", difference(&found, &expected));
    }
    assert_ne!(difference(&world.generate("cpu", "other", &["--seed", "1"]), &expected), 0.0, "the comparison sees a difference");
}

/// Every way to re-weight, as a graph and as plain launches: the same files. Later steps allocate nothing from the driver; a later batch does so only for
/// a size that did not come up before.
#[test]
fn captured_steps_give_the_same_files_and_allocate_nothing() {
    let world = World::new();
    world.train("cpu", "cpu", &[]);
    let generate = |out: &str, captured: bool, more: &[&str]| {
        let fixed = ["generate", "--data", "data", "--model", "model", "--learned", "cpu", "--object", "plate", "--type", "dot", "--out", out];
        let mut command = world.anodiff("cuda", Order::LateAndForward, &[&fixed[..], more].concat());
        command.env("EMULATOR_TRACE", "1");
        if captured {
            pooled(&mut command);
        }
        let output = succeed(command);
        let images = fs::read_dir(world.path(out).join("plate/test/dot")).unwrap().map(|entry| entry.unwrap().path());
        let images: BTreeMap<PathBuf, Vec<u8>> = images.map(|path| (path.file_name().unwrap().into(), fs::read(path).unwrap())).collect();
        let counted = |what: &str| traced(&output, what);
        let (replays, between) = (counted("launches of graphs"), counted("allocations between launches of graphs"));
        (images, replays, between, counted("allocations of device memory"))
    };
    for mode in ["off", "default", "paper", "official"] {
        // Two batches of two and one of one; the first step with the estimate of the one before it has none and is not repeated.
        let more = ["--reweight", mode, "--count", "5", "--batch-size", "2", "--steps", "4", "--eta", "1", "--guidance", "2"];
        let (plain, none, ..) = generate(&format!("plain {mode}"), false, &more);
        let (found, replays, ..) = generate(&format!("captured {mode}"), true, &more);
        assert!(plain.len() == 5 && found == plain, "{mode}");
        let repeated = if mode == "default" { 3 } else { 4 };
        assert_eq!((none, replays), (0, 3 * repeated - 2), "{mode}");
    }
    let run = |out: &str, count: &str| generate(out, true, &["--reweight", "default", "--batch-size", "1", "--steps", "12", "--count", count]);
    let (_, replays, between, _) = run("one", "1");
    assert_eq!((replays, between), (10, 0), "later steps");
    let (two, four) = (run("two", "2").3, run("four", "4").3);
    assert!(four <= two + 2, "later batches: {two} allocations for two images, {four} for four");
}

#[test]
fn the_device_is_named_and_a_full_one_is_the_users_to_correct() {
    let world = World::new();
    weights::save(&world.path("in.safetensors"), &[("image".to_owned(), random("image", &[1, 3, 12, 16]))], &BTreeMap::new()).unwrap();
    let forward = |device: &str| {
        let arguments = ["forward", "vae-encode", "--model", "model", "--in", "in.safetensors", "--out", "out.safetensors"];
        world.anodiff(device, Order::LateAndForward, &arguments)
    };
    let stderr = |command| String::from_utf8(succeed(command).stderr).unwrap();
    assert!(stderr(forward("auto")).starts_with("computing on cuda:0, "));
    let mut without = forward("auto");
    assert!(
        stderr({
            without.env("EMULATOR_DEVICES", "0");
            without
        })
        .starts_with("computing on the CPU: ")
    );
    let mut full = forward("cuda");
    full.env("EMULATOR_MEMORY", "20000");
    refused(full, &["memory of cuda:0", "is full", "--device cpu"]);
    assert!(Path::new(&world.path("out.safetensors")).is_file());
}

#[test]
fn a_gpu_is_verified_before_its_first_use_and_what_is_wrong_is_not_used() {
    let world = World::new();
    weights::save(&world.path("in.safetensors"), &[("image".to_owned(), random("image", &[1, 3, 12, 16]))], &BTreeMap::new()).unwrap();
    let verifying = |device: &str, arguments: &[&str]| {
        let mut command = world.anodiff(device, Order::LateAndForward, arguments);
        // As if Hopper's products were wrong.
        command.env_remove("ANODIFF_UNVERIFIED").env("ANODIFF_CACHE", world.path("cache")).env("EMULATOR_IDLE", "product_");
        // What they leave out must not be taken for what others wrote to the same memory before.
        pooled(&mut command);
        command
    };
    let forward = ["forward", "vae-encode", "--model", "model", "--in", "in.safetensors", "--out", "out.safetensors", "--dtype", "f16"];
    let stderr = |command| String::from_utf8(succeed(command).stderr).unwrap();
    let part = succeed(verifying("cuda", &["kernels", "verify", "--op", "weight_map,silu"]));
    assert_eq!(String::from_utf8_lossy(&part.stdout).matches("right").count(), 12);
    assert!(!world.path("cache/verdicts").exists(), "a part is no verdict");
    let products = verifying("cuda", &["kernels", "verify", "--op", "linear 7x,linear 4x"]).output().unwrap();
    let lines = String::from_utf8(products.stdout).unwrap();
    let of = |word: &str, route: &str| lines.lines().filter(|line| line.starts_with(word) && line.contains(route)).count();
    assert_eq!((products.status.code(), lines.lines().count()), (Some(1), 12), "{lines}");
    assert_eq!([of("WRONG", "wgmma"), of("WRONG", "multicast"), of("right", "mma.sync"), of("right", "plain")], [2, 2, 2, 6], "{lines}");

    // Others compute instead, and both times it is said.
    let [first, second] = ["cuda", "auto"].map(|device| stderr(verifying(device, &forward)));
    assert!(first.contains("comparing the CUDA kernels with the CPU") && !second.contains("comparing"), "the verdict is kept");
    // What is right is timed where it first comes up, and kept, too.
    assert!(first.contains("timing the kernels of each product on") && !second.contains("timing"), "{first}{second}");
    for text in [first, second] {
        for named in ["linear by wgmma in f16", "conv2d by multicast in bf16"] {
            assert!(text.contains(named) && text.contains("so other kernels are used"), "{named}: {text}");
        }
    }
    succeed(verifying("cpu", &[&forward[..6], &["--out", "cpu.safetensors"]].concat()));
    world.assert_alike("out.safetensors", "cpu.safetensors", 1e-2);
    let times = json_file(&world.path("cache/routes"));
    for (fast, slow, route) in [("plain", "tensor-cores", "plain"), ("tensor-cores", "plain", "64x64")] {
        let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&times).unwrap()).unwrap();
        for trial in content["products"].as_array_mut().unwrap().iter_mut().flat_map(|product| product["trials"].as_array_mut().unwrap()) {
            trial["milliseconds"] = if trial["route"] == fast { 1.0 } else { 2.0 }.into();
            assert!(trial["route"] == fast || trial["route"] == slow, "what is wrong is not timed: {trial}");
        }
        fs::write(&times, content.to_string()).unwrap();
        let mut command = verifying("cuda", &forward);
        command.env("EMULATOR_TRACE", "1");
        let launched = stderr(command);
        let other = if route == "plain" { "64x64" } else { "plain" };
        // Three channels at the network's end leave but one kernel.
        assert!(launched.contains(&format!("linear_forward_{route}")) && !launched.contains(&format!("linear_forward_{other}")), "{launched}");
    }

    // As if softmax had been found wrong.
    let verdict = json_file(&world.path("cache/verdicts"));
    let mut content: serde_json::Value = serde_json::from_slice(&fs::read(&verdict).unwrap()).unwrap();
    let softmax = content["verdicts"].as_array_mut().unwrap().iter_mut().find(|verdict| verdict["op"] == "softmax").unwrap();
    softmax["errors"] = serde_json::json!([0.5]);
    fs::write(&verdict, content.to_string()).unwrap();
    let wrong = verifying("cuda", &forward).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("computes softmax in f32 differently from the CPU"));
    assert!(stderr(verifying("auto", &forward)).lines().any(|line| line.starts_with("computing on the CPU: ")));
}

impl World {
    /// With pairs to look at and a normal picture to test on.
    fn of_pairs() -> Self {
        let world = Self::new();
        miniature::data_set(&world.path("pairs"), 2);
        fs::remove_dir_all(world.path("pairs/plate/train")).unwrap();
        fs::create_dir_all(world.path("data/plate/test/good")).unwrap();
        fs::copy(world.path("data/plate/train/good/000.png"), world.path("data/plate/test/good/000.png")).unwrap();
        world
    }

    /// Loss and length of the gradient, means over the steps of a training in `folder`.
    fn logged(&self, folder: &str) -> [f64; 2] {
        let text = fs::read_to_string(self.path(folder).join("log.jsonl")).unwrap();
        let mut lines = text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        let last = lines.rfind(|line| line["kind"] == "train").unwrap();
        ["loss", "gradient_norm"].map(|name| last[name].as_f64().unwrap())
    }

    /// What a training of one step saw on two devices. Its parameters are no measure: the optimiser's first step is the sign of the gradient, which of a
    /// gradient that is zero but for rounding is either. Gradients are compared by the networks' own tests (`gpus_agree…`).
    #[track_caller]
    fn assert_trained_alike(&self, found: &str, expected: &str) {
        for (found, expected) in self.logged(found).into_iter().zip(self.logged(expected)) {
            assert!(expected > 0.0 && (found / expected - 1.0).abs() < 1e-3, "{found}, expected {expected}");
        }
    }

    /// The cells of a table that a command wrote; numbers as numbers.
    fn cells(&self, file: &str) -> Vec<Result<f64, String>> {
        let text = fs::read_to_string(self.path(file)).unwrap();
        text.split([',', '\n']).map(|cell| cell.parse().map_err(|_| cell.to_owned())).collect()
    }

    /// Two tables of one form whose numbers differ by at most `most`.
    #[track_caller]
    fn assert_same_table(&self, found: &str, expected: &str, most: f64) {
        let (found, expected) = (self.cells(found), self.cells(expected));
        assert_eq!(found.len(), expected.len());
        for (found, expected) in found.into_iter().zip(expected) {
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert!((found - expected).abs() <= most, "{found}, expected {expected}"),
                (found, expected) => assert_eq!(found, expected),
            }
        }
    }
}

#[test]
fn inspection_networks_are_trained_and_asked_as_on_the_cpu() {
    let world = World::of_pairs();
    for device in ["cpu", "cuda"] {
        // The deepest layers are left with 2 x 2 pixels: of two values in all, a normalisation would make their difference, however small, as large as any.
        let sizes = ["--resolution", "64", "--width", "2", "--steps", "1", "--batch-size", "4", "--classifier-width", "2", "--classifier-steps", "1"];
        let fixed = ["evaluate", "--data", "data", "--generated", "pairs", "--out", device, "--classify"];
        world.run(device, &[&fixed[..], &sizes].concat());
    }
    for network in ["localizer", "classifier"] {
        let [found, expected] = ["cuda", "cpu"].map(|device| format!("{device}/generated/seed-0/plate/{network}"));
        world.assert_trained_alike(&found, &expected);
    }
    // A pixel whose probability differs in the last place may change its rank.
    world.assert_same_table("cuda/results.csv", "cpu/results.csv", 0.01);
}

#[test]
fn pairs_are_filtered_and_judged_as_on_the_cpu() {
    let world = World::of_pairs();
    world.train("cpu", "cpu", &[]);
    world.generate("cpu", "made", &[]);
    let root = anodiff::nn::Path::root(&Scattered);
    Lpips::new(&root, Network::Alex).unwrap();
    weights::save(&world.path("lpips.safetensors"), &root.parameters().tensors().unwrap(), &BTreeMap::new()).unwrap();
    for device in ["cpu", "cuda"] {
        let [scores, quality] = ["scores", "quality"].map(|name| format!("{name} on {device}"));
        world.run(device, &["filter", "--data", "data", "--generated", "made", "--model", "model", "--out", &scores]);
        let judge = ["--lpips", "lpips.safetensors", "--lpips-network", "alex", "--resolution", "64", "--types", "dot"];
        world.run(device, &[&["quality", "--data", "data", "--generated", "pairs", "--out", &quality], &judge[..]].concat());
    }
    world.assert_same_table("scores on cuda/scores.csv", "scores on cpu/scores.csv", 1e-4);
    world.assert_same_table("quality on cuda/quality.csv", "quality on cpu/quality.csv", 1e-5);
    assert!(world.cells("quality on cpu/quality.csv").iter().any(|cell| cell.as_ref().is_ok_and(|number| (0.0..1.0).contains(number))));
}

#[test]
fn the_ablation_runs_as_on_the_cpu() {
    let world = World::of_pairs();
    for device in ["cpu", "cuda"] {
        let sizes = ["--train-steps", "1", "--denoising-steps", "2", "--count", "1", "--images-together", "1"];
        let network = ["--resolution", "64", "--width", "2", "--steps", "1", "--batch-size", "4"];
        world.run(device, &[&["ablate", "--data", "data", "--model", "model", "--out", device][..], &sizes, &network].concat());
    }
    let runs: Vec<PathBuf> = fs::read_dir(world.path("cpu/trained")).unwrap().map(|entry| entry.unwrap().file_name().into()).collect();
    assert!(runs.len() > 2, "{runs:?}");
    for run in runs {
        let [found, expected] = ["cuda", "cpu"].map(|device| format!("{device}/trained/{}", run.display()));
        world.assert_trained_alike(&found, &expected);
    }
    for variant in ["none", "all"] {
        let picture = |device: &str| {
            let name = format!("{device}/generated/{variant}/plate/test/dot/000000.png");
            Picture::load(&world.path(&name)).unwrap()
        };
        assert!(difference(&picture("cuda"), &picture("cpu")) <= 0.05, "{variant}: {}", difference(&picture("cuda"), &picture("cpu")));
    }
}
