use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use super::*;
use crate::data::mask::Mask;
use crate::data::picture::Picture;
use crate::error::exit_code;
use crate::tensor::random::Sampler;

/// A data set of empty files: scanning does not open them.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new(files: &[&str]) -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        files.iter().for_each(|file| folder.add(file));
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        let path = self.0.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    }

    fn add(&self, file: &str) {
        fs::write(self.path(file), "").unwrap();
    }

    fn scan(&self) -> Dataset {
        Dataset::scan(self.0.path()).unwrap()
    }

    fn issues(&self) -> Vec<String> {
        self.scan().issues.iter().map(|issue| format!("{:?} {:?}", issue.path, issue.problem)).collect()
    }
}

#[test]
fn split_is_disjoint_and_complete() {
    for pairs in 0..200 {
        for rule in [SplitRule::Default, SplitRule::Paper] {
            let split = Split::new(pairs, rule);
            assert!(split.leaked().is_empty() && split.train.end == split.test.start && split.test.end == pairs);
            assert_eq!(split.train.len(), (pairs / 3).max(1).min(pairs));
        }
    }
    assert!(Split::new(8, SplitRule::Default).is_short() && !Split::new(9, SplitRule::Default).is_short());
}

/// The released program's condition, pair by pair; and its leak over MVTec AD's 73 types is one pair each.
#[test]
fn official_split_leaks_exactly_one_pair() {
    for pairs in 1..100 {
        let split = Split::new(pairs, SplitRule::Official);
        for index in 0..pairs {
            assert_eq!(split.train.contains(&index), index <= pairs / 3);
            assert_eq!(split.test.contains(&index), index >= pairs / 3);
        }
        assert_eq!(split.leaked(), pairs / 3..pairs / 3 + 1);
        assert_eq!(split.validation(SplitRule::Official).start, pairs / 3);
    }
}

#[test]
fn natural_order_reads_numbers() {
    let mut names = ["10", "9", "img2", "img10", "img02", "a", "B", "007", "7", "img2b", ""];
    names.sort_by(|a, b| natural_order(a, b));
    assert_eq!(names, ["", "007", "7", "9", "10", "B", "a", "img02", "img2", "img2b", "img10"]);
}

#[test]
fn natural_order_is_an_order() {
    let mut sampler = Sampler::new(1, "names", &[]);
    let mut names: Vec<String> = (0..60).map(|_| (0..sampler.below(7)).map(|_| *sampler.pick(&['0', '1', '9', 'a', 'é', '_'])).collect()).collect();
    names.sort_by(|a, b| natural_order(a, b));
    for (index, a) in names.iter().enumerate() {
        for b in &names[index..] {
            assert_ne!(natural_order(a, b), std::cmp::Ordering::Greater, "{a:?} {b:?}");
            assert_eq!(natural_order(a, b), natural_order(b, a).reverse());
            assert_eq!(natural_order(a, b).is_eq(), a == b);
        }
    }
}

#[test]
fn objects_types_and_pairs_are_found_in_natural_order() {
    let folder = Folder::new(&["ring/train/good/2.png", "ring/train/good/10.JPG", "ring/test/good/0.png", "ring/readme.txt", "license.txt"]);
    for stem in ["10", "2", "1"] {
        folder.add(&format!("ring/test/scratch/{stem}.bmp"));
        folder.add(&format!("ring/ground_truth/scratch/{stem}_mask.png"));
    }
    folder.add("ring/test/dent deep/x.webp");
    folder.add("ring/ground_truth/dent deep/x.tif");
    folder.add("ring/test/scratch/.DS_Store");
    let dataset = folder.scan();
    assert!(dataset.issues.is_empty(), "{:?}", dataset.issues);
    let ring = dataset.object("ring").unwrap();
    assert_eq!(ring.normals.iter().map(|path| path.file_name().unwrap()).collect::<Vec<_>>(), ["2.png", "10.JPG"]);
    assert_eq!(ring.test_normals.len(), 1);
    assert_eq!(ring.types.iter().map(|kind| kind.name.as_str()).collect::<Vec<_>>(), ["dent deep", "scratch"]);
    let scratch = ring.defect_type("scratch").unwrap();
    let stems: Vec<_> = scratch.pairs.iter().map(|pair| pair.image.file_stem().unwrap().to_str().unwrap().to_string()).collect();
    assert_eq!(stems, ["1", "2", "10"]);
    for (pair, stem) in scratch.pairs.iter().zip(stems) {
        assert!(pair.mask.ends_with(format!("ring/ground_truth/scratch/{stem}_mask.png")));
    }
    assert_eq!(scratch.training_pairs(SplitRule::Default).len(), 1);
    assert_eq!(scratch.test_pairs(SplitRule::Official).len(), 2);
}

/// Pairing by order, as the released program does, would pair wrongly here without a word.
#[test]
fn unmatched_files_are_listed_and_pairs_stay_right() {
    let folder = Folder::new(&["o/train/good/0.png"]);
    for name in ["o/test/t/a.png", "o/test/t/b.png", "o/test/t/c.png", "o/test/t/c.jpg", "o/test/t/d.png"] {
        folder.add(name);
    }
    for name in ["a.png", "b_mask.png", "b.png", "c_mask.png", "e_mask.png"] {
        folder.add(&format!("o/ground_truth/t/{name}"));
    }
    folder.add("o/ground_truth/ghost/a_mask.png");
    folder.add("o/test/lonely/a.png");
    let dataset = folder.scan();
    let pairs = &dataset.objects[0].types[0].pairs;
    let names: Vec<_> = pairs.iter().map(|pair| (pair.image.file_name().unwrap(), pair.mask.file_name().unwrap())).collect();
    assert_eq!(names, [("a.png", "a.png"), ("b.png", "b_mask.png"), ("c.jpg", "c_mask.png")].map(|(a, b)| (a.as_ref(), b.as_ref())));
    let mut issues = folder.issues();
    issues.sort();
    assert_eq!(
        issues,
        [
            r#""o/ground_truth/ghost" NoImages"#,
            r#""o/ground_truth/t/e_mask.png" NoImage"#,
            r#""o/test/lonely" NoPairs"#,
            r#""o/test/lonely/a.png" NoMask"#,
            r#""o/test/t/b.png" SeveralMasks("b_mask.png")"#,
            r#""o/test/t/c.png" SameStem("c.jpg")"#,
            r#""o/test/t/d.png" NoMask"#,
        ]
    );
}

#[test]
fn hostile_names_are_reported_and_left_out() {
    let folder = Folder::new(&["o/train/good/0.png", "o/train/good/two\nlines.png", "a+b/train/good/0.png", "back\\slash/train/good/0.png"]);
    fs::write(folder.path("o/train/good").join(std::ffi::OsStr::from_bytes(b"\xFF\xFE.png")), "").unwrap();
    symlink("loop.png", folder.path("o/train/good/loop.png")).unwrap();
    symlink("missing.png", folder.path("o/train/good/broken.png")).unwrap();
    symlink("..", folder.path("o/test/up")).unwrap();
    fs::create_dir(folder.path("o/train/good/folder.png")).unwrap();
    let dataset = folder.scan();
    assert_eq!(dataset.objects.len(), 1);
    assert_eq!(dataset.objects[0].normals.len(), 1);
    let text: Vec<String> = dataset.issues.iter().map(Issue::to_string).collect();
    for expected in ["two\\nlines", "\\xFF\\xFE", "loop.png", "broken.png", "folder.png", "a+b", "back\\\\slash", "test/up"] {
        assert_eq!(text.iter().filter(|line| line.contains(expected)).count(), 1, "{expected}: {text:#?}");
    }
    assert!(text.iter().all(|line| !line.contains('\n')));
}

#[test]
fn circular_folders_end_the_scan() {
    let folder = Folder::new(&["o/train/good/0.png"]);
    symlink(folder.0.path(), folder.path("o/test")).unwrap();
    symlink(folder.0.path(), folder.path("again")).unwrap();
    assert!(folder.scan().object("o").is_ok());
}

#[track_caller]
fn assert_refused<T: std::fmt::Debug>(result: Result<T>, expected: &[&str]) {
    let error = result.expect_err("should be refused");
    let message = format!("{error:#}");
    assert_eq!(exit_code(&error), 2);
    assert!(expected.iter().all(|part| message.contains(part)), "{expected:?} in {message:?}");
}

#[test]
fn unusable_roots_and_unknown_names_say_what_to_do() {
    let folder = Folder::new(&["bottle/train/good/0.png", "bottle/test/crack/0.png", "bottle/ground_truth/crack/0_mask.png", "x.txt"]);
    assert_refused(Dataset::scan(&folder.path("absent")), &["cannot read", "absent"]);
    assert_refused(Dataset::scan(&folder.path("x.txt")), &["not a folder"]);
    assert_refused(Dataset::scan(&folder.path("bottle")), &["pass the folder above"]);
    assert_refused(Dataset::scan(tempfile::tempdir().unwrap().path()), &["no object found", "train/good"]);
    let dataset = folder.scan();
    assert_refused(dataset.object("botle"), &["did you mean \"bottle\"?"]);
    assert_refused(dataset.object("../bottle"), &["path separator"]);
    assert_refused(dataset.object(".."), &["a path, not a name"]);
    assert_refused(dataset.objects[0].defect_type("zzzzzzzz"), &["there are: crack"]);
    let names = |names: &[&str]| names.iter().map(|name| name.to_string()).collect::<Vec<_>>();
    assert_refused(dataset.select(None, Some(&names(&["crak"]))), &["did you mean \"crack\"?"]);
    assert_refused(dataset.select(Some(&names(&["cable"])), None), &["no object"]);
    assert_eq!(dataset.select(Some(&names(&["bottle"])), Some(&names(&["crack"]))).unwrap().types().count(), 1);
}

#[test]
fn inspection_names_empty_full_misfit_and_damaged() {
    let folder = Folder::new(&["o/train/good/damaged.png"]);
    let picture = Picture::from_parts(8, 6, vec![0.25; 144]);
    picture.save(&folder.path("o/train/good/0.png")).unwrap();
    let some = Mask::from_fn(8, 6, |column, _| column < 2);
    for (stem, mask) in [
        ("empty", Mask::empty(8, 6)),
        ("full", Mask::empty(8, 6).inverted()),
        ("other", Mask::from_fn(4, 3, |column, _| column == 0)),
        ("fine", some),
    ] {
        picture.save(&folder.path(&format!("o/test/t/{stem}.png"))).unwrap();
        mask.save(&folder.path(&format!("o/ground_truth/t/{stem}_mask.png"))).unwrap();
    }
    folder.add("o/test/t/damaged.png");
    image::GrayImage::from_raw(8, 6, (0..48).collect()).unwrap().save(folder.path("o/ground_truth/t/damaged.png")).unwrap();
    let dataset = folder.scan();
    let look = inspect_type(&dataset.root, &dataset.objects[0].types[0]);
    assert_eq!(look.sizes, Sizes::from([((8, 6), 4)]));
    assert_eq!((look.usable, look.shares.len()), (2, 5));
    let text: Vec<String> = look.issues.iter().map(Issue::to_string).collect();
    for expected in ["empty mask", "full mask", "mask 4x3, image 8x6", "damaged.png\": left out", "not binary: 46 of 48"] {
        assert_eq!(text.iter().filter(|line| line.contains(expected)).count(), 1, "{expected}: {text:#?}");
    }
    let (sizes, issues) = inspect_normals(&dataset.root, &dataset.objects[0].normals);
    assert_eq!((sizes, issues.len()), (Sizes::from([((8, 6), 1)]), 1));
}
