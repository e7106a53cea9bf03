//! Image files from strangers: recognised by content, decoded under limits.

use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use crate::error::{Error, Result};
use crate::files::{open_regular, read_limited};
use crate::{input_error, invalid_input};

/// The largest decoded picture that is accepted, in bytes: 16384 x 10922 pixels of 8-bit RGB.
pub const MOST_BYTES: u64 = 512 << 20;
/// The largest side that is accepted, in pixels.
const MOST_SIDE: u32 = 32_768;
const FORMATS: &str = "expected PNG, JPEG, BMP, TIFF, WebP or PNM";

/// Decodes an image file of any supported format and colour type, upright (an EXIF orientation is applied).
///
/// Also gives the format, because lossy formats do not keep mask values.
///
/// # Errors
/// Exit code 2, naming the file and the reason. Pixels are not allocated for files that declare a side above 32768 pixels or more than
/// [`MOST_BYTES`] decoded.
pub fn decode(path: &Path) -> Result<(DynamicImage, ImageFormat)> {
    let bytes = read_limited(path, MOST_BYTES)?;
    let (reader, format) = recognise(path, Cursor::new(&bytes))?;
    let mut decoder = open(path, reader, format)?;
    let orientation = decoder.orientation().unwrap_or(image::metadata::Orientation::NoTransforms);
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(|error| refused(path, format, error))?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        // The decoder fills what is missing with grey and says nothing.
        invalid_input!("{path:?} is a truncated JPEG file: its end marker is missing; copy or download it again");
    }
    decoded.apply_orientation(orientation);
    Ok((decoded, format))
}

/// The upright size of an image file, (width, height), from its header.
///
/// # Errors
/// As [`decode`], but damage after the header is not seen.
pub fn dimensions(path: &Path) -> Result<(usize, usize)> {
    let (file, _) = open_regular(path)?;
    let (reader, format) = recognise(path, BufReader::new(file))?;
    let mut decoder = open(path, reader, format)?;
    let (width, height) = (decoder.dimensions().0 as usize, decoder.dimensions().1 as usize);
    let turned = decoder.orientation().is_ok_and(|orientation| {
        use image::metadata::Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
        matches!(orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH)
    });
    Ok(if turned { (height, width) } else { (width, height) })
}

/// The format by content. The name's extension plays no part: it may be wrong.
fn recognise<S: BufRead + Seek>(path: &Path, source: S) -> Result<(ImageReader<S>, ImageFormat)> {
    let reader = ImageReader::new(source).with_guessed_format().map_err(|error| input_error!("cannot read {path:?}: {error}"))?;
    match reader.format() {
        Some(format) => Ok((reader, format)),
        None => invalid_input!("{path:?} does not start like an image file; {FORMATS}"),
    }
}

/// Reads the header and checks what it declares.
fn open<'a, S: BufRead + Seek + 'a>(path: &Path, mut reader: ImageReader<S>, format: ImageFormat) -> Result<impl ImageDecoder + 'a> {
    reader.limits(limits());
    let decoder = reader.into_decoder().map_err(|error| refused(path, format, error))?;
    let (width, height) = decoder.dimensions();
    check_size(path, width, height, decoder.total_bytes())?;
    Ok(decoder)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(MOST_SIDE);
    limits.max_image_height = Some(MOST_SIDE);
    limits.max_alloc = Some(MOST_BYTES);
    limits
}

/// Not every decoder counts its output against the limits by itself.
fn check_size(path: &Path, width: u32, height: u32, bytes: u64) -> Result<()> {
    if width == 0 || height == 0 {
        invalid_input!("{path:?} is an image of {width}x{height} pixels, expected at least 1x1");
    }
    if width > MOST_SIDE || height > MOST_SIDE || bytes > MOST_BYTES {
        let (found, most) = (bytes >> 20, MOST_BYTES >> 20);
        invalid_input!(
            "{path:?} declares {width}x{height} pixels, {found} MiB decoded; expected at most {MOST_SIDE} pixels a side and {most} MiB: scale it down first"
        );
    }
    Ok(())
}

fn refused(path: &Path, format: ImageFormat, error: ImageError) -> Error {
    let name = format!("{format:?}").to_uppercase();
    match error {
        ImageError::Limits(_) => input_error!(
            "{path:?} ({name}) is too large to decode; expected at most {MOST_SIDE} pixels a side and {} MiB decoded: scale it down first",
            MOST_BYTES >> 20
        ),
        ImageError::Unsupported(error) => input_error!("{path:?} cannot be read: {error}; {FORMATS}"),
        error => input_error!("{path:?} is damaged or truncated ({name}): {error}"),
    }
}

/// Whether an end marker follows the start of the first scan. Entropy-coded data cannot contain one, an embedded preview comes earlier.
fn jpeg_is_whole(bytes: &[u8]) -> bool {
    let mut position = 2;
    while let Some(&[marker, code, high, low]) = bytes.get(position..position + 4).and_then(|four| <&[u8; 4]>::try_from(four).ok()) {
        match (marker, code) {
            (0xFF, 0xDA) => return bytes[position..].windows(2).any(|pair| pair == [0xFF, 0xD9]),
            (0xFF, 0xFF) => position += 1, // padding before a marker
            (0xFF, 0x01 | 0xD0..=0xD8) => position += 2,
            (0xFF, _) => position += 2 + usize::from(u16::from_be_bytes([high, low])),
            _ => position += 1, // rubbish between segments, which decoders skip
        }
    }
    false
}
