//! What `train --dry-run` says of memory is what a step takes. Alone in its process, because buffers are counted for all threads together.

use anodiff::anomaly::inversion::{Examples, Inversion};
use anodiff::anomaly::learned::{Kind, Learned};
use anodiff::anomaly::presets::{Preset, PresetName};
use anodiff::anomaly::templates::Templates;
use anodiff::data::dataset::Dataset;
use anodiff::device::cpu;
use anodiff::models::base::BaseModel;
use anodiff::nn::Placement;
use anodiff::tensor::DType;
use anodiff::testing::miniature;
use anodiff::training::embeddings::Growth;

#[test]
fn three_small_steps_foretell_the_memory_of_a_real_one() {
    let folder = tempfile::tempdir().unwrap();
    miniature::data_set(folder.path(), 2);
    let dataset = Dataset::scan(folder.path()).unwrap();
    let base = BaseModel::load(None, Placement::HOST).unwrap();
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    for (batch, side) in [(4, 128), (1, 192)] {
        let mut preset = Preset::new(PresetName::Default);
        preset.training.batch_size = batch;
        let templates = Templates::built_in(preset.templates);
        let before = cpu::held_bytes();
        let learned = Learned::create(&base, preset, templates, kinds.clone(), side, 0).unwrap();
        let values = cpu::held_bytes() - before;
        let growth = Growth::measure(&base, &learned, &dataset, DType::F32).unwrap();
        let footprint = growth.of_batch(batch, 1);
        assert_eq!(learned.metadata.resolution, side);

        let examples = Examples::load(&dataset, &learned.metadata).unwrap().draw("train", 0, 0, batch);
        let inversion = Inversion::new(&base, &learned).unwrap();
        let before = cpu::held_bytes();
        cpu::reset_peak_bytes();
        inversion.loss("train", 0, 0, &examples).unwrap().backward().unwrap();
        let step = cpu::peak_bytes() - before;

        let error = footprint.step as f64 / step as f64 - 1.0;
        assert!(error.abs() < 0.05, "{footprint:?} foretold for {batch} pictures of {side} pixels, {step} bytes taken by the step");
        // Recycled buffers may be an eighth larger than what is in them.
        assert!((1.0..1.125).contains(&(3.0 * values as f64 / footprint.trained as f64)), "{values} bytes of values, {footprint:?}");
        let narrow = Growth::measure(&base, &learned, &dataset, DType::F16).unwrap().of_batch(batch, 1);
        assert!(2 * narrow.model == footprint.model && narrow.step < footprint.step, "{narrow:?}");
        assert_eq!(growth.of_batch(batch, 2).step - footprint.step, footprint.trained / 3, "the gradients of the first batch wait");
        eprintln!("batch {batch}, {side} pixels: {} bytes foretold, {step} taken", footprint.step);
    }
}
