use super::*;

/// Every other picture is a close-up.
fn framing(index: u64) -> Framing {
    if index.is_multiple_of(2) { Framing::Whole } else { Framing::CloseUp }
}

#[test]
fn pictures_are_pure_functions_of_their_name() {
    let (first, caption) = example(1, 5, 32, Framing::Whole);
    assert_eq!((first.width(), first.height()), (32, 32));
    assert_eq!(example(1, 5, 32, Framing::Whole), (first.clone(), caption.clone()));
    assert_ne!(example(2, 5, 32, Framing::Whole).0, first);
    assert_ne!(example(1, 6, 32, Framing::Whole).0, first);
}

#[test]
fn pictures_are_finite_and_not_flat() {
    let mut flat = 0;
    for index in 0..200 {
        let (picture, caption) = example(3, index, 32, framing(index));
        assert!(picture.pixels().iter().all(|value| (-1.0..=1.0).contains(value)), "{caption}");
        let (low, high) = picture.pixels().iter().fold((1.0_f32, -1.0_f32), |(low, high), &value| (low.min(value), high.max(value)));
        flat += usize::from(high - low < 0.05);
    }
    assert!(flat < 8, "{flat} of 200 pictures show nothing");
}

#[test]
fn captions_use_the_listed_words_only() {
    let words = words();
    for index in 0..500 {
        let (_, caption) = example(4, index, 8, framing(index));
        for word in caption.split([' ', ',', '-']).filter(|word| !word.is_empty()) {
            assert!(words.binary_search(&word.to_owned()).is_ok(), "{word:?} of {caption:?} is not in the list");
        }
    }
}

/// Writes a contact sheet for the eye: `SHEET=/tmp/sheet.png cargo test --release --lib contact_sheet -- --ignored --nocapture`.
#[test]
#[ignore = "writes a picture for a person to look at"]
fn contact_sheet() {
    let path = std::env::var("SHEET").unwrap();
    let number = |name: &str, default: usize| std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default);
    let (size, columns, rows, first) = (number("SIZE", 128), number("COLUMNS", 8), number("ROWS", 6), number("FIRST", 0));
    let mut sheet = image::RgbImage::new((columns * (size + 4)) as u32, (rows * (size + 4)) as u32);
    let start = std::time::Instant::now();
    for index in 0..columns * rows {
        let (picture, caption) = example(7, (first + index) as u64, size, framing(index as u64));
        println!("{index:3} {caption}");
        let (left, top) = (index % columns * (size + 4), index / columns * (size + 4));
        for (position, pixel) in picture.pixels().chunks(3).enumerate() {
            let bytes = [pixel[0], pixel[1], pixel[2]].map(|value| (value * 127.5 + 127.5).round() as u8);
            sheet.put_pixel((left + position % size) as u32, (top + position / size) as u32, image::Rgb(bytes));
        }
    }
    println!("{:.2} ms a picture", start.elapsed().as_secs_f64() * 1e3 / (columns * rows) as f64);
    sheet.save(path).unwrap();
}
