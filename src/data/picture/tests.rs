use std::path::{Path, PathBuf};
use std::process::Command;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};

use super::*;
use crate::data::mask::Mask;
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
    assert_eq!(dimensions(&fixture("turned.jpg"), 12).unwrap(), (31, 45));
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

/// Pixels and mask as the `image` crate's own conversions give them.
#[test]
fn values_are_those_of_conversions_through_rgb() {
    let folder = tempfile::tempdir().unwrap();
    let rgba = DynamicImage::from(image::open(fixture("rgb8.png")).unwrap().into_rgba32f());
    let made = [
        ("la8.png", DynamicImage::from(rgba.to_luma_alpha8())),
        ("la16.png", DynamicImage::from(rgba.to_luma_alpha16())),
        ("rgb16.png", DynamicImage::from(rgba.to_rgb16())),
        ("rgba16.png", DynamicImage::from(rgba.to_rgba16())),
        ("rgb32f.tif", DynamicImage::from(rgba.to_rgb32f())),
        ("rgba32f.tif", rgba.clone()),
    ];
    let mut paths: Vec<PathBuf> = made.iter().map(|(name, _)| folder.path().join(name)).collect();
    made.iter().zip(&paths).for_each(|((_, image), path)| image.save(path).unwrap());
    let names = ["rgb8.png", "gray8.png", "gray16.png", "bits.png", "palette.png", "rgba8.png", "color.jpg", "cmyk.jpg", "turned.jpg", "rgb8.webp"];
    paths.extend(names.map(fixture));
    for path in paths {
        let mut decoder = ImageReader::open(&path).unwrap().with_guessed_format().unwrap().into_decoder().unwrap();
        let orientation = decoder.orientation().unwrap();
        let mut image = DynamicImage::from_decoder(decoder).unwrap();
        image.apply_orientation(orientation);
        let levels = image.color().bytes_per_pixel() == image.color().channel_count();
        let pixels: Vec<f32> = if levels { from_bytes(&image.to_rgb8()) } else { image.to_rgb32f().iter().map(|&x| from_unit(x)).collect() };
        assert!(Picture::load(&path).unwrap().pixels() == pixels, "{path:?}");
        let brightest: Vec<f32> = image.to_rgb32f().chunks(3).map(|pixel| pixel[0].max(pixel[1]).max(pixel[2])).collect();
        let largest = brightest.iter().copied().fold(0.0, f32::max);
        let (mask, between) = Mask::load_counting(&path).unwrap();
        assert_eq!(between, brightest.iter().filter(|&&x| x > 0.0 && x < largest).count(), "{path:?}");
        let is_jpeg = ImageReader::open(&path).unwrap().with_guessed_format().unwrap().format() == Some(ImageFormat::Jpeg);
        let set: Vec<bool> = brightest.iter().map(|&x| if is_jpeg { x >= 0.5 } else { x > 0.0 }).collect();
        assert!(mask.pixels() == set, "{path:?}");
    }
}

/// A PNG file of `side` x `side` black pixels of one bit, some 800 times smaller than they are: a deflate block of fixed codes.
fn black_png(side: u32) -> Vec<u8> {
    let length = side * (1 + side.div_ceil(8));
    let (mut packed, mut bits) = (vec![0x78, 0x01], 0);
    let mut push = |code: u32, count: u32| {
        for bit in (0..count).rev().map(|place| ((code >> place) & 1) as u8) {
            if bits % 8 == 0 {
                packed.push(0);
            }
            *packed.last_mut().unwrap() |= bit << (bits % 8);
            bits += 1;
        }
    };
    push(0b110, 3); // the last block, fixed codes
    push(0x30, 8); // a zero
    (0..(length - 1) / 258).for_each(|_| push(0b1100_0101 << 5, 13)); // 258 times the byte before
    (0..(length - 1) % 258).for_each(|_| push(0x30, 8));
    push(0, 7); // the end
    packed.extend((((length % 65_521) << 16) | 1).to_be_bytes());

    let mut file = b"\x89PNG\r\n\x1a\n".to_vec();
    let header = [&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat();
    for (name, content) in [(b"IHDR", header), (b"IDAT", packed), (b"IEND", Vec::new())] {
        let chunk = [&name[..], &content].concat();
        file.extend((content.len() as u32).to_be_bytes());
        file.extend_from_slice(&chunk);
        file.extend(crc32fast::hash(&chunk).to_be_bytes());
    }
    file
}

/// Not a test: loads what the test below names, in a process of its own.
#[test]
#[ignore = "started by another test"]
fn child() {
    let (Ok(what), Ok(path)) = (std::env::var("ANODIFF_WHAT"), std::env::var("ANODIFF_PATH")) else { return };
    let path = Path::new(&path);
    let loaded = match what.as_str() {
        "mask" => Mask::load(path).map(|mask| assert!(mask.is_empty())),
        "official mask" => Mask::load_official(path, 64, 64).map(|mask| assert!(mask.is_empty())),
        _ => Picture::load(path).map(|picture| assert!(picture.pixels().iter().all(|&x| x == -1.0))),
    };
    if let Err(error) = loaded {
        eprintln!("{error:#}");
        std::process::exit(exit_code(&error));
    }
}

/// In an address space of so many kilobytes: loaded, or refused with a sentence; never a panic or an abort.
#[test]
fn large_files_are_loaded_within_the_budget_or_refused() {
    let folder = tempfile::tempdir().unwrap();
    for (side, what, kilobytes, expected) in [
        (20_000, "mask", 3_000_000, None),
        (20_000, "mask", 700_000, Some("the system does not give as much")),
        (20_000, "official mask", 3_000_000, Some("expected at most 2048 MiB")),
        (20_000, "picture", 3_000_000, Some("expected at most 2048 MiB")),
        (9_000, "picture", 3_000_000, None),
        (9_000, "picture", 700_000, Some("the system does not give as much")),
    ] {
        let path = folder.path().join(format!("black{side}.png"));
        std::fs::write(&path, black_png(side)).unwrap();
        let mut command = Command::new("bash");
        command.args(["-c", &format!("ulimit -v {kilobytes} || exit 99; exec \"$@\""), "bash"]).arg(std::env::current_exe().unwrap());
        command.args(["--exact", "data::picture::tests::child", "--ignored", "--nocapture", "--test-threads=1"]);
        let output = match command.env("ANODIFF_WHAT", what).env("ANODIFF_PATH", &path).output() {
            Ok(output) if output.status.code() != Some(99) => output,
            _ => return eprintln!("NOT RUN: this machine lets no test limit its address space"),
        };
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        let case = format!("{what} of {side} pixels in {kilobytes} kB: {:?} {message}", output.status);
        assert_eq!(output.status.code(), Some(if expected.is_some() { 2 } else { 0 }), "{case}");
        if let Some(expected) = expected {
            assert!(message.contains(expected) && message.contains(&format!("{side}x{side}")) && message.contains("black"), "{case}");
            assert_eq!(message.lines().count(), 1, "{case}");
        }
    }
}
