use super::*;
use crate::anomaly::presets::{MaskSampling, PresetName};
use crate::data::mask::Mask;
use crate::error::exit_code;
use crate::tensor::random::Sampler;
use crate::testing::miniature::{self, World};
use crate::testing::relative_error;

fn masks(world: &World, name: PresetName) -> LearnedMasks {
    let kinds = vec![Kind::new("plate", "dot"), Kind::new("plate", "line")];
    LearnedMasks::create(&world.base, MaskPreset::new(name, 2), kinds, miniature::RESOLUTION, 5).unwrap()
}

#[test]
fn presets_are_the_methods_numbers() {
    let of = |name| MaskPreset::new(name, 73);
    let (paper, official, default) = (of(PresetName::Paper), of(PresetName::Official), of(PresetName::Default));
    assert_eq!((paper.tokens, official.tokens), (4, 16));
    assert_eq!((paper.start, &official.start), (MaskStart::Random, &MaskStart::Word("crack".into())));
    assert_eq!(official.steps, 30_001 * 73);
    assert_eq!((official.sampling.steps, official.sampling.eta, official.sampling.guidance, official.sampling.threshold), (100, 1.0, 5.0, 0.8));
    assert!(!official.sampling.clean && default.sampling.clean);
    default.check().unwrap();
    let changes: [fn(&mut MaskPreset); 8] = [
        |preset| preset.tokens = 0,
        |preset| preset.steps = 0,
        |preset| preset.batch_size = 0,
        |preset| preset.optimizer.learning_rate = f64::NAN,
        |preset| preset.sampling.steps = 0,
        |preset| preset.sampling.eta = 1.5,
        |preset| preset.sampling.guidance = -1.0,
        |preset| preset.sampling.threshold = 1.0,
    ];
    for change in changes {
        let mut preset = default.clone();
        change(&mut preset);
        assert_eq!(exit_code(&preset.check().unwrap_err()), 2);
    }
}

#[test]
fn a_file_comes_back_and_others_are_refused() {
    let world = World::new();
    for name in [PresetName::Paper, PresetName::Official] {
        let masks = masks(&world, name);
        let path = world.folder.path().join(LEARNED_MASKS);
        masks.save(&path).unwrap();
        let read = LearnedMasks::load(&path, &world.base).unwrap();
        assert_eq!(read.metadata, masks.metadata);
        assert_eq!(read.tensors().unwrap()[1].0, "mask.plate+line");
        assert_eq!(read.embedding(1).value().to_f32_vec().unwrap(), masks.embedding(1).value().to_f32_vec().unwrap());
        let rows = read.embedding(0).value().to_f32_vec().unwrap();
        let same = read.embedding(0).value().to_f32_vec().unwrap() == read.embedding(1).value().to_f32_vec().unwrap();
        assert_eq!(same, name == PresetName::Official, "a word is every type's start, random numbers are each type's own: {rows:?}");
    }
    let error = masks(&world, PresetName::Paper).position(&Kind::new("plate", "dott")).unwrap_err();
    assert!(error.to_string().contains("plate+dot"), "{error}");
    miniature::model(&world.folder.path().join("other"), 2);
    let other = BaseModel::load(Some(&world.folder.path().join("other")), Placement::HOST).unwrap();
    let error = LearnedMasks::load(&world.folder.path().join(LEARNED_MASKS), &other).unwrap_err();
    assert!(exit_code(&error) == 2 && error.to_string().contains("base model"), "{error}");
}

#[test]
fn the_gradient_is_the_losss_and_reaches_present_types_only() {
    let world = World::new();
    let masks = masks(&world, PresetName::Default);
    let examples = MaskExamples::load(&world.dataset, &masks.metadata).unwrap();
    let inversion = MaskInversion::new(&world.base, &masks).unwrap();
    let batch: Vec<MaskExample> = examples.draw("test", 0, 0, 4).into_iter().filter(|example| example.kind == 0).collect();
    assert_eq!(batch.len(), 2, "types take turns");
    let loss = || inversion.loss("test", 0, 0, &batch).unwrap();
    let gradients = loss().backward().unwrap();
    assert!(gradients.by_id(masks.embedding(1).id()).is_none());
    let gradient = gradients.by_id(masks.embedding(0).id()).unwrap().to_f32_vec().unwrap();
    let norm: f64 = gradient.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>().sqrt();
    let start = masks.embedding(0).value();
    let moved = |sign: f64| {
        masks.embedding(0).set(start.clone()).unwrap();
        let step = sign * 1e-2 / norm;
        masks.embedding(0).update(|values| values.iter_mut().zip(&gradient).for_each(|(x, g)| *x += (step * f64::from(*g)) as f32)).unwrap();
        f64::from(loss().item().unwrap())
    };
    let slope = (moved(1.0) - moved(-1.0)) / (2e-2 / norm);
    assert!((slope / norm.powi(2) - 1.0).abs() < 0.05, "slope {slope:.4e}, gradient's square {:.4e}", norm.powi(2));
}

#[test]
fn a_step_can_be_cut_into_batches() {
    let world = World::new();
    let masks = masks(&world, PresetName::Default);
    let examples = MaskExamples::load(&world.dataset, &masks.metadata).unwrap();
    let inversion = MaskInversion::new(&world.base, &masks).unwrap();
    let batch = examples.draw("test", 2, 0, 4);
    let gradient = |first: u64, examples: &[MaskExample]| {
        let gradients = inversion.loss("test", 2, first, examples).unwrap().backward().unwrap();
        gradients.by_id(masks.embedding(0).id()).unwrap().to_f32_vec().unwrap()
    };
    let (first, second) = (gradient(0, &batch[..2]), gradient(2, &batch[2..]));
    let halves: Vec<f32> = first.iter().zip(&second).map(|(a, b)| 0.5 * (a + b)).collect();
    assert!(relative_error(&halves, &gradient(0, &batch)) < 1e-5);
}

#[test]
fn a_drawn_mask_depends_on_its_number_and_attempt_alone() {
    let world = World::new();
    let masks = masks(&world, PresetName::Default);
    let settings = MaskSampling { steps: 3, ..masks.metadata.preset.sampling.clone() };
    let painter = MaskPainter::new(&world.base, &masks, Kind::new("plate", "dot"), settings, 4).unwrap();
    let together = painter.draw(&[(0, 0), (1, 0), (1, 1)], &|| None).unwrap();
    for (position, wanted) in [(0, 0), (1, 0), (1, 1)].into_iter().enumerate() {
        let alone = painter.draw(&[wanted], &|| None).unwrap().remove(0);
        assert_eq!(alone.picture, together[position].picture);
        let above = alone.picture.pixels().chunks(3).filter(|pixel| pixel.iter().sum::<f32>() > 0.0).count();
        assert_eq!(alone.mask.area(), above);
    }
    assert_ne!(together[0].picture, together[1].picture);
    assert_ne!(together[1].picture, together[2].picture);
    assert_eq!(exit_code(&painter.draw(&[(0, 0)], &|| Some(2)).unwrap_err()), 130);
}

#[test]
fn scattered_masks_lie_everywhere_alike() {
    let spot = Mask::from_fn(64, 64, |column, row| (column as f32 - 12.0).hypot(row as f32 - 11.0) < 6.0);
    let mut quarters = [0; 4];
    for index in 0..2000 {
        let mask = varied_mask(std::slice::from_ref(&spot), Reach::Anywhere, &mut Sampler::new(index, "test", &[]));
        let [x, y] = mask.bounding_box().unwrap().middle();
        quarters[2 * usize::from(y > 31.5) + usize::from(x > 31.5)] += 1;
    }
    assert!(quarters.iter().all(|count| (430..570).contains(count)), "{quarters:?}");
}

#[test]
fn varied_masks_keep_their_size_and_stay_where_they_may_be() {
    let spot = Mask::from_fn(64, 48, |column, row| (column as f32 - 12.0).hypot(row as f32 - 11.0) < 6.0);
    let (mut area, mut places) = (0, std::collections::HashSet::new());
    for index in 0..2000 {
        let draw = || varied_mask(std::slice::from_ref(&spot), Reach::Near, &mut Sampler::new(index, "test", &[]));
        let mask = draw();
        assert_eq!(mask, draw(), "the same numbers, the same mask");
        let [x, y] = mask.bounding_box().unwrap().middle();
        let (across, down) = ((x - 12.0).abs().min((x - 51.0).abs()), (y - 11.0).abs().min((y - 36.0).abs()));
        assert!(across <= 8.5 && down <= 6.5, "{across} and {down} from where the spot or its mirror image lies");
        area += mask.area();
        places.insert((x as usize, y as usize));
    }
    let ratio = area as f32 / (2000 * spot.area()) as f32;
    assert!((0.95..1.08).contains(&ratio), "areas are {ratio} times the real ones");
    assert!(places.len() > 300, "{} places", places.len());
    let line = Mask::from_fn(64, 48, |column, row| row == 20 && column < 60);
    assert!((0..500).all(|index| !varied_mask(std::slice::from_ref(&line), Reach::Near, &mut Sampler::new(index, "test", &[])).is_empty()));
    assert!(varied_mask(&[Mask::empty(8, 8)], Reach::Near, &mut Sampler::new(0, "test", &[])).is_empty());
    assert!(varied_mask(&[Mask::empty(8, 8).inverted()], Reach::Anywhere, &mut Sampler::new(0, "test", &[])).area() > 30);
}
