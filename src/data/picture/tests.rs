use std::path::{Path, PathBuf};

use super::*;
use crate::error::exit_code;
use crate::testing::random;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/images").join(name)
}

fn load(name: &str) -> Picture {
    Picture::load(&fixture(name)).unwrap()
}

/// The largest difference in levels of 255.
fn levels_apart(a: &Picture, b: &Picture) -> f32 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    a.pixels().iter().zip(b.pixels()).map(|(x, y)| (x - y).abs() * 127.5).fold(0.0, f32::max)
}

#[test]
fn resizing_agrees_with_pillow() {
    let picture = load("rgb8.png");
    for (width, height) in [(16, 16), (64, 48), (20, 90), (7, 31)] {
        let expected = load(&format!("rgb8_bicubic_{width}x{height}.png"));
        let found = picture.resized(width, height);
        let different = found.to_bytes().iter().zip(expected.to_bytes()).filter(|(a, b)| **a != *b).count();
        // Pillow's fixed-point weights may settle a tie the other way.
        assert!(levels_apart(&found, &expected) <= 1.001 && different <= 3, "{width}x{height}: {different} values differ");
    }
}

#[test]
fn lossless_formats_agree() {
    let expected = load("rgb8.png");
    for name in ["rgb8.bmp", "rgb8.tif", "rgb8.ppm", "rgb8.webp", "wrong_extension.jpg", "animated.webp", "animated.png", "rgba8.png"] {
        assert_eq!(levels_apart(&load(name), &expected), 0.0, "{name}");
    }
}

#[test]
fn lossy_formats_and_other_colour_types_are_close() {
    let expected = load("rgb8.png");
    for (name, tolerance) in [("color.jpg", 25.0), ("progressive.jpg", 25.0), ("cmyk.jpg", 150.0), ("palette.png", 100.0)] {
        assert!(levels_apart(&load(name), &expected) < tolerance, "{name}: {}", levels_apart(&load(name), &expected));
    }
    let gray = load("gray8.png");
    assert!(gray.pixels().chunks(3).all(|pixel| pixel[0] == pixel[1] && pixel[1] == pixel[2]));
    assert!(levels_apart(&load("gray16.png"), &gray) < 1e-3);
    assert!(load("bits.png").pixels().iter().all(|&x| x == -1.0 || x == 1.0));
    assert_eq!(load("one_pixel.png").to_bytes(), [10, 20, 30]);
}

#[test]
fn exif_orientation_is_applied() {
    let turned = load("turned.jpg");
    let upright = load("rgb8.png");
    assert_eq!((turned.width(), turned.height()), (31, 45));
    assert_eq!(dimensions(&fixture("turned.jpg")).unwrap(), (31, 45));
    // Clockwise: the left column becomes the top row, from the bottom up.
    for row in 0..31 {
        let difference = turned.pixel(30 - row, 0)[1] - upright.pixel(0, row)[1];
        assert!(difference.abs() < 0.2, "row {row}: {difference}");
    }
}

#[track_caller]
fn assert_refused(path: &Path, expected: &str) {
    let error = Picture::load(path).expect_err("should be refused");
    let message = format!("{error:#}");
    assert_eq!(exit_code(&error), 2, "{message}");
    assert!(message.contains(expected), "expected {expected:?} in {message:?}");
    assert!(message.contains(path.file_name().unwrap().to_str().unwrap()) && !message.contains('\n'), "{message:?}");
}

#[test]
fn bombs_and_strangers_are_refused() {
    assert_refused(&fixture("bomb.png"), "too large");
    assert_refused(&fixture("bomb_within_sides.png"), "at most");
    assert_refused(&fixture("absent.png"), "cannot read");
    let folder = tempfile::tempdir().unwrap();
    assert_refused(folder.path(), "folder");
    let empty = folder.path().join("empty.png");
    std::fs::write(&empty, "").unwrap();
    assert_refused(&empty, "does not start like an image");
    let text = folder.path().join("text.png");
    std::fs::write(&text, "no picture").unwrap();
    assert_refused(&text, "does not start like an image");
    std::fs::write(&text, b"GIF89a\x01\0\x01\0\0\0\0;").unwrap();
    assert_refused(&text, "expected PNG");
}

/// Every truncation of every format is refused or, where the format has no end marker, decoded: never a panic.
#[test]
fn truncated_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    for name in
        ["rgb8.png", "palette.png", "color.jpg", "progressive.jpg", "cmyk.jpg", "rgb8.bmp", "rgb8.tif", "rgb8.webp", "animated.webp", "rgb8.ppm"]
    {
        let whole = std::fs::read(fixture(name)).unwrap();
        let path = folder.path().join(name);
        for eighth in 1..8 {
            std::fs::write(&path, &whole[..whole.len() * eighth / 8]).unwrap();
            let loaded = Picture::load(&path);
            if let Ok(picture) = loaded {
                // An animation that lost later frames still has its first.
                assert!(name == "animated.webp" && picture == load("rgb8.png"), "{name} cut to {eighth}/8 was accepted");
            }
        }
        // A damaged byte here and there gives some picture or an error.
        for position in (0..whole.len()).step_by(97) {
            let mut damaged = whole.clone();
            damaged[position] ^= 0x55;
            std::fs::write(&path, &damaged).unwrap();
            if let Err(error) = Picture::load(&path) {
                assert_eq!(exit_code(&error), 2, "{name} at {position}: {error:#}");
            }
        }
    }
}

#[test]
fn saved_pictures_come_back_byte_for_byte() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("picture.png");
    let picture = load("rgb8.png");
    picture.save(&path).unwrap();
    assert_eq!(Picture::load(&path).unwrap(), picture);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "a temporary file was left");
}

#[test]
fn crops_and_flips() {
    let picture = load("rgb8.png");
    let area = Rectangle { left: 3, top: 5, width: 7, height: 4 };
    let part = picture.cropped(area);
    assert_eq!((part.width(), part.height()), (7, 4));
    assert_eq!(part.pixel(6, 3), picture.pixel(9, 8));
    assert_eq!(picture.flipped_horizontally().pixel(0, 2), picture.pixel(44, 2));
    assert_eq!(picture.flipped_vertically().pixel(1, 0), picture.pixel(1, 30));
    assert_eq!(picture.flipped_vertically().flipped_vertically(), picture);
}

#[test]
fn tensors_and_back() {
    let picture = load("rgb8.png");
    let tensor = picture.to_tensor().unwrap();
    assert_eq!(tensor.shape(), [1, 31, 45, 3]);
    assert_eq!(Picture::from_tensor(&tensor).unwrap(), picture);
    assert!(Picture::from_tensor(&random("picture", &[1, 4, 4, 4])).is_err());
    assert_eq!(Picture::stack(&[&picture, &picture]).unwrap().shape(), [2, 31, 45, 3]);
    assert!(Picture::stack(&[&picture, &picture.resized(8, 8)]).is_err());
}

#[test]
fn thin_pictures_resize() {
    let line = Picture::from_parts(1, 5000, vec![0.5; 15_000]);
    assert!(line.resized(64, 64).pixels().iter().all(|x| (x - 0.5).abs() < 4e-3));
}

#[test]
fn blending_keeps_the_background_exactly() {
    let below = load("rgb8.png");
    let above = below.flipped_vertically();
    let alpha: Vec<f32> = (0..45 * 31).map(|index| (index % 3) as f32 * 0.5).collect();
    let blended = below.blended(&above, &alpha).unwrap();
    assert_eq!(blended.pixel(0, 0), below.pixel(0, 0));
    assert_eq!(blended.pixel(2, 0), above.pixel(2, 0));
    assert!((blended.pixel(1, 0)[0] - 0.5 * (below.pixel(1, 0)[0] + above.pixel(1, 0)[0])).abs() < 1e-6);
    assert!(below.blended(&above, &alpha[1..]).is_err());
}
