use std::fs;

use super::store::MOST_SHAPES;
use super::*;
use crate::device::DType;
use crate::error::anyhow;
use crate::ops::product::Activation;
use crate::ops::tuning::fastest;

fn shape(rows: usize) -> Shape {
    Shape {
        op: "linear".into(),
        pass: "forward".into(),
        dtype: DType::F16,
        rows,
        columns: 320,
        depth: 640,
        windows: None,
        activation: Activation::None,
        added: [true, false, false],
    }
}

/// Those that are chosen from.
const ROUTES: [Route; 3] = [Route::Plain, Route::TensorCores, Route::Hopper];

/// As a GPU on which routes take so long, in the order of [`ROUTES`], and are so wrong.
fn gpu(milliseconds: [f64; 3], errors: [f64; 3]) -> impl FnMut(Route) -> Result<Runs> {
    move |route| {
        let position = route as usize;
        // The median counts, not the best run and not the mean.
        let median = milliseconds[position];
        Ok(Runs { milliseconds: vec![9.0 * median, median, 0.01 * median], error: Some(errors[position]) })
    }
}

/// A GPU on which nothing may be run.
fn idle(route: Route) -> Result<Runs> {
    panic!("{route} was run again")
}

struct Cache {
    folder: tempfile::TempDir,
}

impl Cache {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("routes/gpu.json")
    }

    /// As a process has it that starts now.
    fn process(&self, times: Times) -> Tuning {
        Tuning::new(&self.path(), "a GPU".to_owned(), times)
    }
}

/// What `tuning` chooses of [`ROUTES`]: by what is kept, or by times on `gpu`.
fn chosen(tuning: &Tuning, shape: &Shape, mut gpu: impl FnMut(Route) -> Result<Runs>) -> Route {
    let trials = tuning.kept(shape).unwrap_or_else(|| tuning.tune(shape, &ROUTES, &mut gpu));
    fastest(&trials, &ROUTES, shape.dtype)
}

#[test]
fn the_fastest_right_route_is_chosen() {
    let cache = Cache::new();
    let tuning = cache.process(Times::First);
    for (rows, milliseconds, errors, expected) in [
        (1, [3.0, 2.0, 1.0], [0.0; 3], Route::Hopper),
        (2, [3.0, 1.0, 2.0], [0.0; 3], Route::TensorCores),
        (3, [1.0, 2.0, 3.0], [0.0, 1e-4, 2.9e-3], Route::Plain),
        // Of equals the later one.
        (4, [1.0, 1.0, 1.0], [0.0; 3], Route::Hopper),
        // Fast and wrong.
        (5, [3.0, 2.0, 1.0], [0.0, 0.0, 3.1e-3], Route::TensorCores),
        (6, [3.0, 2.0, 1.0], [0.0, f64::NAN, f64::INFINITY], Route::Plain),
    ] {
        assert_eq!(chosen(&tuning, &shape(rows), gpu(milliseconds, errors)), expected, "{milliseconds:?} {errors:?}");
        assert_eq!(chosen(&tuning, &shape(rows), idle), expected, "it is timed once");
        assert_eq!(chosen(&cache.process(Times::First), &shape(rows), idle), expected, "and kept");
    }
    // A route that may not be used is not chosen for its time; without times the last that may be is.
    let trials = tuning.kept(&shape(1)).unwrap();
    assert_eq!(fastest(&trials, &[Route::Plain, Route::TensorCores], DType::F16), Route::TensorCores);
    assert_eq!(fastest(&[], &ROUTES, DType::F16), Route::Hopper);
    assert_eq!(fastest(&[Trial { route: Route::Hopper, milliseconds: 1.0, error: Some(1.0) }], &ROUTES, DType::F16), Route::TensorCores);
}

#[test]
fn data_that_are_not_finite_judge_nobody() {
    let trial = |error| Trial { route: Route::Hopper, milliseconds: 1.0, error };
    assert!(trial(None).is_right(DType::F16) && trial(Some(2e-2)).is_right(DType::BF16) && !trial(Some(2e-2)).is_right(DType::F16));
}

#[test]
fn times_change_only_when_they_are_taken_again() {
    let cache = Cache::new();
    let running = cache.process(Times::First);
    assert_eq!(chosen(&running, &shape(1), gpu([3.0, 2.0, 1.0], [0.0; 3])), Route::Hopper);
    assert_eq!(chosen(&running, &shape(2), gpu([3.0, 2.0, 1.0], [0.0; 3])), Route::Hopper);
    let again = cache.process(Times::Again);
    assert_eq!(chosen(&again, &shape(1), gpu([3.0, 1.0, 2.0], [0.0; 3])), Route::TensorCores);
    assert_eq!(again.found().len(), 1);
    // The running process goes on as it began; the next one has the new times, and the old ones of what was not timed again.
    assert_eq!(chosen(&running, &shape(1), idle), Route::Hopper);
    let next = cache.process(Times::First);
    assert_eq!((chosen(&next, &shape(1), idle), chosen(&next, &shape(2), idle)), (Route::TensorCores, Route::Hopper));
}

#[test]
fn of_processes_that_time_at_once_the_first_counts_for_all() {
    let cache = Cache::new();
    let (a, b) = (cache.process(Times::First), cache.process(Times::First));
    assert_eq!(chosen(&a, &shape(1), gpu([3.0, 2.0, 1.0], [0.0; 3])), Route::Hopper);
    assert_eq!(chosen(&b, &shape(1), gpu([1.0, 2.0, 3.0], [0.0; 3])), Route::Hopper, "as the other has found");

    // Eight at once on twelve shapes, each with times of its own.
    let all: Vec<Vec<Route>> = std::thread::scope(|scope| {
        let processes = (0..8).map(|process: usize| {
            let cache = &cache;
            scope.spawn(move || {
                let tuning = cache.process(Times::First);
                let times = |rows: usize| [0, 1, 2].map(|route| ((process + rows + route) % 3 + 1) as f64);
                (10..22).map(|rows| chosen(&tuning, &shape(rows), gpu(times(rows), [0.0; 3]))).collect::<Vec<_>>()
            })
        });
        processes.collect::<Vec<_>>().into_iter().map(|process| process.join().unwrap()).collect()
    });
    assert!(all.iter().all(|chosen| *chosen == all[0]), "{all:?}");
    assert_eq!(cache.process(Times::First).state().known.len(), 13, "nobody's shapes are lost");
}

#[test]
fn a_damaged_file_is_as_none() {
    let cache = Cache::new();
    chosen(&cache.process(Times::First), &shape(1), gpu([3.0, 2.0, 1.0], [0.0; 3]));
    let whole = fs::read(cache.path()).unwrap();
    let text = String::from_utf8(whole.clone()).unwrap();
    for damaged in
        [&whole[..whole.len() / 2], b"", b"[]", text.replace("\"form\": 1", "\"form\": 2").as_bytes(), text.replace("hopper", "tpu").as_bytes()]
    {
        assert_ne!(damaged, whole);
        fs::write(cache.path(), damaged).unwrap();
        let tuning = cache.process(Times::First);
        assert_eq!(tuning.kept(&shape(1)), None);
        assert_eq!(chosen(&tuning, &shape(1), gpu([1.0, 2.0, 3.0], [0.0; 3])), Route::Plain);
        assert_eq!(chosen(&cache.process(Times::First), &shape(1), idle), Route::Plain, "what was found is kept in its place");
    }
}

#[test]
fn what_cannot_be_kept_or_run_is_not_timed() {
    let cache = Cache::new();
    fs::write(cache.folder.path().join("routes"), "a file in the folder's place").unwrap();
    let tuning = cache.process(Times::First);
    for rows in [1, 2] {
        // Once it is seen, nothing is run any more.
        let gpu = gpu([1.0, 2.0, 3.0], [0.0; 3]);
        let chosen = if rows == 1 { chosen(&tuning, &shape(rows), gpu) } else { chosen(&tuning, &shape(rows), idle) };
        assert_eq!(chosen, Route::Hopper);
    }
    assert!(tuning.found().is_empty());

    // A route that fails: the shape is kept without times, so that it has the same route ever after.
    let cache = Cache::new();
    let mut full = gpu([1.0, 2.0, 3.0], [0.0; 3]);
    let full = move |route| if route == Route::TensorCores { Err(anyhow!("memory is full")) } else { full(route) };
    assert_eq!(chosen(&cache.process(Times::First), &shape(1), full), Route::Hopper);
    assert_eq!(chosen(&cache.process(Times::First), &shape(1), idle), Route::Hopper);
}

#[test]
fn the_file_is_bounded() {
    let cache = Cache::new();
    let store = Store::new(&cache.path());
    let trials: Vec<Trial> = Route::ALL.map(|route| Trial { route, milliseconds: 0.123_456_789, error: Some(1.234_567_89e-4) }).into();
    let products: Vec<Timed> = (0..MOST_SHAPES).map(|rows| Timed { shape: shape(1_000_000 + rows), trials: trials.clone() }).collect();
    let content = serde_json::json!({"form": 1, "products": products});
    kept::write(&cache.path(), &content).unwrap();
    assert_eq!(store.read().len(), MOST_SHAPES, "a full file can be read");
    let error = store.add(&Timed { shape: shape(1), trials: Vec::new() }, false).unwrap_err().to_string();
    assert!(error.contains("remove it"), "{error}");
    assert_eq!(store.add(&products[7], true).unwrap().len(), MOST_SHAPES, "what is there can be timed again");
}
