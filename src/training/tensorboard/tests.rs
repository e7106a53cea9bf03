use super::*;

/// A one-pixel PNG file.
const PNG: &[u8] = include_bytes!("../../../tests/fixtures/pixel.png");

/// The bytes that TensorFlow's writer would leave, checked by reading them with the tensorboard package
/// (`tests/fixtures/scripts/tensorboard_events.py`).
#[test]
fn golden_bytes() {
    let golden = include_bytes!("../../../tests/fixtures/events.bin");
    let picture = Picture { png: PNG, width: 1, height: 1 };
    let events = [
        event(1.5, 0, |event| event.bytes(3, b"brain.Event:2")),
        scalar(2.5, 1, "train/loss", 0.25),
        scalar(3.5, 300, "train/loss", f64::NAN),
        image(4.5, u64::from(u32::MAX), "validation/grid", &picture),
    ];
    let bytes: Vec<u8> = events.iter().flat_map(|event| record::frame(event)).collect();
    if std::env::var_os("ANODIFF_WRITE_FIXTURES").is_some() {
        fs::write("tests/fixtures/events.bin", &bytes).unwrap();
    }
    assert_eq!(bytes, golden);
}

#[test]
fn events_are_cut_back_to_the_step_gone_on_from() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FOLDER).join(FILE);
    let mut events = EventFile::open(folder.path(), 0).unwrap();
    let mut lengths = vec![fs::metadata(&path).unwrap().len()];
    for step in [1, 127, 128, 1_000_000] {
        events.scalar(step, "loss", 0.5).unwrap();
        lengths.push(fs::metadata(&path).unwrap().len());
    }
    drop(events);
    let (first, last, step) = span(folder.path()).unwrap();
    assert!(first > 1e9 && last >= first && step == 1_000_000);
    let whole = fs::read(&path).unwrap();
    for (step, kept) in [(2_000_000, 4), (999_999, 3), (128, 3), (127, 2), (1, 1)] {
        fs::write(&path, &whole).unwrap();
        drop(EventFile::open(folder.path(), step).unwrap());
        assert_eq!(fs::metadata(&path).unwrap().len(), lengths[kept], "step {step}");
    }
    fs::write(&path, &whole[..whole.len() - 3]).unwrap();
    drop(EventFile::open(folder.path(), 2_000_000).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), lengths[3], "a torn record is cut off");
    fs::write(&path, b"no event file").unwrap();
    drop(EventFile::open(folder.path(), 5).unwrap());
    assert_eq!(fs::metadata(&path).unwrap().len(), lengths[0], "begun anew");
}
