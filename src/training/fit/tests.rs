use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::*;
use crate::error::exit_code;
use crate::nn::{BatchNorm2d, Linear, ParameterSet, Path as ModelPath, RandomInit};
use crate::ops;
use crate::tensor::random::{Sampler, Stream};
use crate::training::adamw::{AdamW, AdamWOptions};
use crate::training::checkpoint::{CURRENT, Checkpoint};
use crate::training::ema::Ema;
use crate::training::log::LOG;

/// A small run, in this process or in a child that can be killed.
#[derive(Clone, Serialize, Deserialize)]
struct Toy {
    folder: PathBuf,
    width: usize,
    steps: u64,
    accumulate: usize,
    /// Milliseconds that each part of a batch sleeps.
    pause: u64,
    /// The loss of this step is not a number.
    poisoned: Option<u64>,
    rate: f64,
}

impl Toy {
    fn new(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), width: 6, steps: 40, accumulate: 2, pause: 0, poisoned: None, rate: 0.05 }
    }

    fn fit(&self) -> Result<Summary> {
        let source = RandomInit { seed: 3 };
        let root = ModelPath::root(&source);
        let norm = BatchNorm2d::new(&root.child("norm"), self.width, 1e-5)?;
        let linear = Linear::new(&root.child("linear"), self.width, self.width)?;
        let parameters = root.parameters();
        parameters.set_trainable(true);
        let optimiser = AdamW::new(&parameters, AdamWOptions { clip_norm: Some(1.0), ..AdamWOptions::default() })?;
        let ema = Ema::new(&parameters, 0.9)?;
        let mut state = State::new(parameters.clone(), optimiser, Some(ema));
        let schedule = Schedule::WarmUpCosine { rate: self.rate, warm_up: 5, steps: self.steps, last: 0.0 };
        let plan =
            Plan { accumulate: self.accumulate, checkpoint_every: 5, validate_every: 8, log_every: 3, ..Plan::new("toy", self.steps, schedule) };
        let identity = Identity {
            task: "toy".to_owned(),
            base_model: String::new(),
            seed: 3,
            config: json!({"rate": self.rate, "steps": self.steps, "width": self.width}),
        };
        fit(&self.folder, &identity, &plan, &mut state, &mut ToyTask { toy: self, norm, linear, parameters })
    }

    /// The bytes that have to be the same however a run came about.
    fn result(&self) -> (Vec<u8>, String) {
        (fs::read(self.folder.join(CURRENT)).unwrap(), fs::read_to_string(self.folder.join(LOG)).unwrap())
    }

    /// This run in a process of its own.
    fn spawn(&self) -> Child {
        self.command(&std::env::current_exe().unwrap()).spawn().unwrap()
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.args(["--exact", "training::fit::tests::child", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("ANODIFF_TOY", serde_json::to_string(self).unwrap()).stdout(Stdio::null()).stderr(Stdio::piped());
        command
    }
}

struct ToyTask<'a> {
    toy: &'a Toy,
    norm: BatchNorm2d,
    linear: Linear,
    parameters: ParameterSet,
}

impl Task for ToyTask<'_> {
    fn loss(&mut self, step: u64, part: usize) -> Result<Loss> {
        std::thread::sleep(Duration::from_millis(self.toy.pause));
        let shape = [8, 1, 1, self.toy.width];
        let x = Stream::new(3, "x", &[step, part as u64]).normal(&shape)?;
        let y = self.linear.forward(&self.norm.forward(&Var::constant(x.clone()), true)?)?;
        let value = ops::mse(&y, &x)?;
        let metrics = vec![("part", part as f64)];
        let factor = if self.toy.poisoned == Some(step) { f32::NAN } else { 1.0 };
        Ok(Loss { value: ops::affine(&value, factor, 0.0)?, metrics })
    }

    fn validate(&mut self, step: u64, recorder: &mut Recorder) -> Result<()> {
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(self.toy.pause));
            if let Some(interruption) = signals::interruption() {
                return Err(interruption);
            }
        }
        let first = self.parameters.iter().next().unwrap().value();
        recorder.scalars(step, "validation", vec![("average".to_owned(), f64::from(first.f32s()?[0]))]);
        Ok(())
    }
}

/// Not a test: what the tests below start, stop and kill.
#[test]
#[ignore = "started by other tests"]
fn child() {
    let Ok(text) = std::env::var("ANODIFF_TOY") else { return };
    let toy: Toy = serde_json::from_str(&text).unwrap();
    if let Err(error) = toy.fit() {
        eprintln!("{error:#}");
        std::process::exit(exit_code(&error));
    }
}

/// An uninterrupted run with the settings of `toy`.
fn uninterrupted(toy: &Toy) -> (Vec<u8>, String) {
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy { folder: folder.path().to_owned(), pause: 0, ..toy.clone() };
    toy.fit().unwrap();
    toy.result()
}

#[test]
fn a_toy_problem_is_learnt_and_logged() {
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy { steps: 200, ..Toy::new(folder.path()) };
    let summary = toy.fit().unwrap();
    assert_eq!((summary.steps, summary.steps_here), (200, 200));
    let log = toy.result().1;
    let lines: Vec<serde_json::Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    let (train, validation) = (of("train"), of("validation"));
    assert_eq!((train.len(), validation.len()), (200 / 3 + 1, 200 / 8));
    let loss = |line: &serde_json::Value| line["loss"].as_f64().unwrap();
    assert!(loss(train[train.len() - 1]) < 0.25 * loss(train[0]), "{log}");
    assert_eq!(train[0]["part"], 0.5);
    let again = toy.fit().unwrap();
    assert_eq!((again.steps, again.steps_here, again.loss.is_none()), (200, 0, true), "nothing is left to do");
}

#[test]
fn resumed_after_a_stop_anywhere_it_is_the_same_bit_by_bit() {
    let expected = uninterrupted(&Toy::new(Path::new("")));
    for stop in [0, 1, 7, 12, 39] {
        let folder = tempfile::tempdir().unwrap();
        let toy = Toy::new(folder.path());
        // A loss that is not finite stops a run like a crash: what came after the last checkpoint is lost.
        assert!(Toy { poisoned: Some(stop), ..toy.clone() }.fit().is_err());
        toy.fit().unwrap();
        assert!(toy.result() == expected, "stopped in step {stop}");
    }
}

#[test]
fn a_loss_that_is_not_finite_stops_with_the_step_and_keeps_the_last_good_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", Toy { poisoned: Some(13), ..Toy::new(folder.path()) }.fit().unwrap_err());
    for part in [
        "step 10, is kept",
        "loss of step 14 (part 1 of 2) is NaN",
        "part 0",
        "try a lower learning rate",
        "all trained parameters are finite",
        "largest magnitude",
    ] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert_eq!(Checkpoint::load(folder.path()).unwrap().unwrap().step, 10);
}

#[test]
fn a_checkpoint_of_other_settings_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    Toy::new(folder.path()).fit().unwrap();
    let error = Toy { rate: 0.5, ..Toy::new(folder.path()) }.fit().unwrap_err();
    assert_eq!(exit_code(&error), 2);
    assert!(error.to_string().contains("config.rate: expected 0.5, found 0.05"), "{error}");
    assert!(Plan { steps: 0, ..Plan::new("none", 1, Schedule::Constant { rate: 0.1 }) }.check().is_err());
}

#[test]
fn nothing_is_said_of_the_learning_rate_before_anything_was_learned() {
    let folder = tempfile::tempdir().unwrap();
    let error = format!("{:#}", Toy { poisoned: Some(0), ..Toy::new(folder.path()) }.fit().unwrap_err());
    for part in ["stopped before its first checkpoint", "loss of step 1 (part 1 of 2) is NaN", "it is the first", "learning rate is not the cause"] {
        assert!(error.contains(part), "{part}: {error}");
    }
    assert!(!error.contains("lower learning rate"), "{error}");
}

/// Kills a run at seeded random moments, many of them while a checkpoint is written. `ANODIFF_KILLS` sets how many.
#[test]
fn killed_again_and_again_it_is_the_same_bit_by_bit() {
    let kills: u64 = std::env::var("ANODIFF_KILLS").ok().and_then(|text| text.parse().ok()).unwrap_or(12);
    // A checkpoint of several MB every five steps: most of the time is spent in writing it.
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy { width: 500, steps: 40 + 5 * kills, ..Toy::new(folder.path()) };
    let expected = uninterrupted(&toy);
    let mut killed = 0;
    for attempt in 0.. {
        let mut process = toy.spawn();
        if killed < kills {
            let mut moment = Sampler::new(0, "moment of the kill", &[attempt]);
            std::thread::sleep(Duration::from_millis(10 + moment.below(250) as u64));
            let _ = process.kill();
            killed += 1;
            process.wait().unwrap();
        } else {
            assert!(process.wait().unwrap().success());
            break;
        }
        // Whatever the moment, what is there is whole.
        Checkpoint::load(folder.path()).unwrap();
    }
    assert!(toy.result() == expected, "after {killed} kills");
}

fn send(signal: &str, process: &Child) {
    assert!(Command::new("kill").args([signal, &process.id().to_string()]).status().unwrap().success());
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    for _ in 0..3_000 {
        if condition() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}

fn ended(process: &mut Child) -> ExitStatus {
    let mut status = None;
    wait_for("the end of a process", || {
        status = process.try_wait().unwrap();
        status.is_some()
    });
    status.unwrap()
}

#[test]
fn signals_save_and_end_and_the_run_goes_on_bit_by_bit() {
    let expected = uninterrupted(&Toy::new(Path::new("")));
    let folder = tempfile::tempdir().unwrap();
    let toy = Toy { pause: 8, ..Toy::new(folder.path()) };
    let log_lines = || fs::read_to_string(folder.path().join(LOG)).map_or(0, |text| text.lines().count());
    // One of them is likely to hit a validation, which takes as long as ten parts of a batch.
    for (signal, code, lines) in [("-TERM", 143, 1), ("-INT", 130, 3), ("-USR1", 138, 6)] {
        let mut process = toy.spawn();
        wait_for("the log", || log_lines() >= lines);
        send(signal, &process);
        assert_eq!(ended(&mut process).code(), Some(code), "{signal}");
        let checkpoint = Checkpoint::load(folder.path()).unwrap().expect("a signal saves");
        assert!(checkpoint.step > 0 && checkpoint.step < 40);
    }
    assert!(toy.spawn().wait().unwrap().success());
    assert!(toy.result() == expected);
}

#[test]
fn a_second_control_c_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut process = Toy { pause: 60_000, ..Toy::new(folder.path()) }.spawn();
    wait_for("the log", || folder.path().join(LOG).exists());
    send("-INT", &process);
    std::thread::sleep(Duration::from_millis(100));
    assert!(process.try_wait().unwrap().is_none(), "the first waits for the step");
    send("-INT", &process);
    assert_eq!(ended(&mut process).code(), Some(130));
}

/// A disk that fills up at the third checkpoint, and is enlarged; needs a user name space for the mount.
#[test]
fn a_full_disk_ends_clearly_and_the_run_goes_on_after_space_is_freed() {
    let may_mount = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "none", "/mnt"]).output();
    if !may_mount.is_ok_and(|output| output.status.success()) {
        assert!(std::env::var_os("ANODIFF_CI").is_none(), "this machine lets no test mount a small disk: unshare -rm mount -t tmpfs none /mnt");
        return eprintln!("NOT RUN: this machine lets no test mount a small disk");
    }
    let folder = tempfile::tempdir().unwrap();
    let disk = folder.path().join("disk");
    fs::create_dir(&disk).unwrap();
    let toy = Toy { folder: disk.clone(), width: 100, ..Toy::new(folder.path()) };
    let expected = uninterrupted(&toy);
    let size = expected.0.len() * 5 / 2 / 1024;
    let script = format!(
        "mount -t tmpfs -o size={size}k none '{disk}' || exit 99; \"$@\" 2>'{log}'; code=$?; \
         mount -o remount,size=100m '{disk}' && \"$@\" 2>&1 && cp '{disk}'/*.* '{out}'; exit $code",
        disk = disk.display(),
        log = folder.path().join("stderr").display(),
        out = folder.path().display()
    );
    let inner = toy.command(&std::env::current_exe().unwrap());
    let mut outer = Command::new("unshare");
    outer.args(["-rm", "sh", "-c", &script, "sh"]).arg(inner.get_program()).args(inner.get_args());
    outer.envs(inner.get_envs().filter_map(|(name, value)| Some((name, value?)))).stdout(Stdio::null());
    assert_eq!(outer.status().unwrap().code(), Some(2));
    let message = fs::read_to_string(folder.path().join("stderr")).unwrap();
    assert!(message.contains("No space left on device") && message.contains("step 10, is kept"), "{message}");
    assert!(Toy { folder: folder.path().to_owned(), ..toy }.result() == expected);
}
