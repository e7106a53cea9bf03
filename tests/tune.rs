//! `anodiff kernels tune` on the emulated device: a miniature model's products by every kernel, and which is taken. How long the emulator takes for a kernel
//! says nothing, so what is looked at is that the choice follows from the times, whatever they are.

mod emulator;
mod program;

use std::fs;
use std::process::Command;

use emulator::{Emulator, Order, Sanitizer, pooled};
use program::{World, json_file, refused, succeed};
use serde_json::Value;

/// `kernels tune` with the world's model, in a cache of its own.
fn tune(world: &World, arguments: &[&str]) -> Command {
    let mut command = Emulator::new(Sanitizer::None).command(env!("CARGO_BIN_EXE_anodiff"), Order::LateAndForward);
    // Results on these shapes are compared all the same.
    command.env("ANODIFF_UNVERIFIED", "1").env("ANODIFF_CACHE", world.path("cache")).current_dir(world.folder.path());
    pooled(&mut command);
    command.args(["kernels", "tune", "--model", "model", "--threads", "2"]).args(arguments);
    command
}

fn report(command: Command) -> (Value, String) {
    let output = succeed(command);
    (serde_json::from_slice(&output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
}

/// The route that took the least time, of those that were right.
fn fastest(product: &Value) -> &str {
    let is_right = |route: &str| !product["wrong"].as_array().unwrap().iter().any(|wrong| wrong == route);
    let times = product["milliseconds"].as_object().unwrap().iter().map(|(route, time)| (route.as_str(), time.as_f64().unwrap()));
    times.filter(|(route, _)| is_right(route)).min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
}

fn kept(world: &World) -> Value {
    serde_json::from_slice(&fs::read(json_file(&world.path("cache/routes"))).unwrap()).unwrap()
}

#[test]
fn the_fastest_kernel_of_every_product_is_taken_and_kept() {
    let world = World::new();
    let (found, notes) = report(tune(&world, &["--dtype", "f16", "--steps", "1", "--json"]));
    let products = found["products"].as_array().unwrap();
    for product in products {
        assert_eq!(product["chosen"], fastest(product), "{product}");
        assert!(product["wrong"].as_array().unwrap().is_empty() && product["milliseconds"]["plain"].is_number(), "{product}");
    }
    // Products of both ops, of gradients, and with what is read in place; those of Hopper have four kernels.
    let count = |filter: &dyn Fn(&Value) -> bool| products.iter().filter(|product| filter(product)).count();
    assert!(count(&|product| product["op"] == "linear") > 10 && count(&|product| product["op"] == "conv2d") > 10, "{products:?}");
    assert!(count(&|product| product["pass"] == "to_x") > 5);
    assert!(count(&|product| product["windows"]["doubled"] == true) > 1);
    assert!(count(&|product| product["milliseconds"].as_object().unwrap().len() == 4) > 20);
    for part in ["generation: ", "unet-backward: ", "vae-decode: "] {
        assert!(notes.contains(part), "{notes}");
    }
    assert_eq!(kept(&world)["products"].as_array().unwrap().len(), products.len());

    // A part again, as a table; what else is kept stays.
    let table = String::from_utf8(succeed(tune(&world, &["--dtype", "f16", "--parts", "vae-decode"])).stdout).unwrap();
    let mut lines = table.lines().skip(1);
    let header: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    assert_eq!(header, ["milliseconds", "plain", "mma.sync", "wgmma", "multicast", "taken"]);
    let rows: Vec<&str> = lines.filter(|line| line.starts_with("conv2d forward f16") || line.starts_with("linear forward f16")).collect();
    assert!(rows.len() > 5 && rows.iter().all(|row| ["plain", "mma.sync", "wgmma", "multicast"].iter().any(|name| row.ends_with(name))), "{table}");
    assert_eq!(kept(&world)["products"].as_array().unwrap().len(), products.len());
}

#[test]
fn a_kernel_that_is_fast_and_wrong_is_not_taken() {
    let world = World::new();
    let mut command = tune(&world, &["--dtype", "bf16", "--parts", "unet-forward", "--json"]);
    command.env("EMULATOR_IDLE", "product_");
    let (found, notes) = report(command);
    let products = found["products"].as_array().unwrap();
    let wrong: Vec<&Value> = products.iter().filter(|product| product["milliseconds"]["hopper"].is_number()).collect();
    assert!(wrong.len() > 10, "{products:?}");
    for product in &wrong {
        assert_eq!(product["wrong"].as_array().unwrap(), &["hopper", "multicast"], "{product}");
        assert!(product["chosen"] != "hopper" && product["chosen"] != "multicast" && product["chosen"] == fastest(product), "{product}");
    }
    let time = |product: &Value, route: &Value| product["milliseconds"][route.as_str().unwrap()].as_f64().unwrap();
    let tempting = |product: &&&Value| time(product, &"hopper".into()) < time(product, &product["chosen"]);
    assert!(wrong.iter().filter(tempting).count() > wrong.len() / 2, "what does nothing is fast");
    for route in ["wgmma", "multicast"] {
        assert_eq!(notes.matches(&format!("by {route} is wrong on")).count(), wrong.len(), "{notes}");
    }
}

#[test]
fn what_cannot_be_tuned_is_refused() {
    let world = World::new();
    refused(tune(&world, &[]), &["--dtype f32", "f16 or bf16"]);
    refused(tune(&world, &["--dtype", "f16", "--device", "cpu"]), &["--device cpu", "expected a GPU"]);
    refused(tune(&world, &["--dtype", "f16", "--size", "33"]), &["--size 33", "a multiple of"]);
    let mut without = tune(&world, &["--dtype", "f16"]);
    without.env("EMULATOR_DEVICES", "0");
    refused(without, &["no NVIDIA GPU"]);
    let mut nowhere = tune(&world, &["--dtype", "f16"]);
    nowhere.env("ANODIFF_CACHE", "").env_remove("XDG_CACHE_HOME").env_remove("HOME");
    refused(nowhere, &["ANODIFF_CACHE"]);
}
