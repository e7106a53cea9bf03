use std::fs;

use super::*;
use crate::data::dataset::KeepList;
use crate::error::exit_code;
use crate::evaluation::alignment::Alignment;
use crate::nn::Placement;
use crate::testing::miniature;

const SIDE: usize = 32;

/// A data set, and a generated set of four pairs of one type: a good one, one without a defect, one whose background drifted, one of a wild colour.
fn world(folder: &Path) -> (Dataset, BaseModel) {
    miniature::model(&folder.join("model"), 1);
    miniature::data_set(&folder.join("data"), 6);
    let dataset = Dataset::scan(&folder.join("data")).unwrap();
    let pairs = folder.join("pairs");
    for part in ["test", "ground_truth"] {
        fs::create_dir_all(pairs.join("plate").join(part).join("dot")).unwrap();
    }
    let normal = Picture::load(&folder.join("data/plate/train/good/000.png")).unwrap().resized(SIDE, SIDE);
    let mask = Mask::from_fn(SIDE, SIDE, |x, y| (10..16).contains(&x) && (10..16).contains(&y));
    let mut lines = String::new();
    for index in 0..8_u64 {
        let mut pixels = normal.pixels().to_vec();
        for (position, value) in pixels.iter_mut().enumerate() {
            let inside = mask.pixels()[position / 3];
            match index {
                1 => {}
                2 if !inside => *value = (*value + 0.5).min(1.0),
                3 if inside => *value = if position % 3 == 0 { 1.0 } else { -0.2 },
                _ if inside => *value = -0.9 + 0.004 * index as f32,
                _ => {}
            }
        }
        let image = format!("plate/test/dot/{index:06}.png");
        let mask_name = format!("plate/ground_truth/dot/{index:06}_mask.png");
        Picture::from_parts(SIDE, SIDE, pixels).save(&pairs.join(&image)).unwrap();
        mask.save(&pairs.join(&mask_name)).unwrap();
        let line = serde_json::json!({"image": image, "mask": mask_name, "normal": "plate/train/good/000.png", "object": "plate", "type": "dot",
            "index": index, "seed": 0, "template": "{}", "mask_source": "real", "steps": 1, "eta": 0.0, "guidance": 1.0, "coarse_noise": 1.0, "reweight": "off",
            "recipe": "r"});
        lines.push_str(&format!("{line}\n"));
    }
    fs::write(pairs.join("manifest.jsonl"), lines).unwrap();
    (dataset, BaseModel::load(Some(&folder.join("model")), Placement::HOST).unwrap())
}

#[test]
fn failed_pairs_are_told_apart_and_nothing_is_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, base) = world(folder.path());
    let pairs = folder.path().join("pairs");
    let mut seen = Vec::new();
    let limits = Limits { most_distance: 1.5, ..Limits::default() };
    let scores = score(&pairs, &dataset, &base, SplitRule::Default, &limits, &mut |done, total| {
        seen.push((done, total));
        Ok(())
    })
    .unwrap();
    assert_eq!((seen.len(), seen[7]), (8, (8, 8)));
    assert_eq!(scores[0].reasons, [], "{:?}", scores[0]);
    assert!(scores[1].reasons.contains(&Reason::Change) && scores[1].mask_changed == 0.0, "{:?}", scores[1]);
    assert!(scores[2].reasons.contains(&Reason::Background), "{:?}", scores[2]);
    assert!(scores[0].background_psnr == Alignment::IDENTICAL);
    // Of a median of all pairs, whatever the untrained autoencoder makes of colours.
    let mut relative: Vec<f64> = scores.iter().map(|score| score.relative_distance).collect();
    relative.sort_by(f64::total_cmp);
    assert_eq!(relative[4], 1.0);
    for score in &scores {
        assert_eq!(score.reasons.contains(&Reason::Distance), score.relative_distance > 1.5, "{score:?}");
    }

    let out = folder.path().join("lists");
    write(&out, &scores).unwrap();
    let keep = fs::read_to_string(out.join(KEEP)).unwrap();
    let drop = fs::read_to_string(out.join(DROP)).unwrap();
    assert_eq!(keep.lines().count() + drop.lines().count(), 8);
    assert!(keep.starts_with("plate/test/dot/000000.png\n") && drop.contains("000001.png"), "{keep} {drop}");
    let table = fs::read_to_string(out.join(SCORES)).unwrap();
    assert!(table.lines().count() == 9 && table.contains(",false,change"), "{table}");
    assert!((0..8).all(|index| pairs.join(format!("plate/test/dot/{index:06}.png")).is_file()));

    let mut kept = Dataset::scan(&pairs).unwrap();
    KeepList::load(&out.join(KEEP)).unwrap().apply(&mut kept).unwrap();
    assert_eq!(kept.objects[0].types[0].pairs.len(), keep.lines().count());
    for (text, reason) in [("plate/test/dot/000099.png\n", "000099.png"), ("\n", "empty")] {
        fs::write(out.join(KEEP), text).unwrap();
        let error = KeepList::load(&out.join(KEEP)).unwrap().apply(&mut Dataset::scan(&pairs).unwrap()).unwrap_err();
        assert!(exit_code(&error) == 2 && error.to_string().contains(reason), "{error}");
    }
}

#[test]
fn wrong_limits_and_empty_sets_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, base) = world(folder.path());
    let refused = |pairs: &str, limits: Limits| {
        let error = score(&folder.path().join(pairs), &dataset, &base, SplitRule::Default, &limits, &mut |_, _| Ok(())).unwrap_err();
        assert_eq!(exit_code(&error), 2, "{error}");
    };
    refused("pairs", Limits { least_change: 2.0, ..Limits::default() });
    refused("pairs", Limits { least_psnr: f64::NAN, ..Limits::default() });
    refused("pairs", Limits { most_distance: 0.5, ..Limits::default() });
    refused("data", Limits::default());
}

#[test]
fn pairs_that_lead_elsewhere_or_do_not_fit_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let (dataset, base) = world(folder.path());
    let (pairs, secret) = (folder.path().join("pairs"), folder.path().join("secret.png"));
    let manifest = fs::read_to_string(pairs.join("manifest.jsonl")).unwrap();
    Mask::empty(SIDE, SIDE).save(&secret).unwrap();
    let refused = |lines: &str, expected: &[&str]| {
        fs::write(pairs.join("manifest.jsonl"), lines).unwrap();
        let error = score(&pairs, &dataset, &base, SplitRule::Default, &Limits::default(), &mut |_, _| Ok(())).unwrap_err();
        let message = format!("{error:#}");
        assert!(exit_code(&error) == 2 && !message.contains('\n'), "{message}");
        expected.iter().for_each(|part| assert!(message.contains(part), "{part:?} in {message}"));
    };
    let absolute = secret.to_str().unwrap();
    for name in ["plate/test/dot/000003.png", "plate/ground_truth/dot/000003_mask.png", "plate/train/good/000.png"] {
        for path in ["../secret.png", "plate/../../secret.png", "../../../../../../etc/passwd", absolute, ""] {
            refused(&manifest.replace(&format!("{name:?}"), &format!("{path:?}")), &[&format!("{path:?}"), "inside the folder"]);
        }
    }
    let mask = pairs.join("plate/ground_truth/dot/000003_mask.png");
    Mask::empty(SIDE, SIDE).save(&mask).unwrap();
    refused(&manifest, &["000003_mask.png", "no pixel"]);
    Mask::from_fn(SIDE + 1, SIDE, |x, _| x == 0).save(&mask).unwrap();
    refused(&manifest, &["000003_mask.png", "32x32 and 33x32"]);
    fs::remove_file(&mask).unwrap();
    refused(&manifest, &["000003_mask.png", "cannot read"]);
}
