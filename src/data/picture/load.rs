//! Image files from strangers: recognised by content, decoded under limits.

use std::io::{BufRead, BufReader, Cursor, Seek};
use std::path::Path;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, Limits};

use super::budget::{self, MOST_BYTES, Share};
use crate::error::{Error, Result};
use crate::files::{open_regular, read_limited};
use crate::{input_error, invalid_input};

/// The largest image file that is accepted, in bytes.
pub const MOST_FILE_BYTES: u64 = 1 << 30;
/// The largest side that is accepted, in pixels.
const MOST_SIDE: u32 = 32_768;
/// What the text, profiles and metadata of a PNG file may take unpacked, in bytes.
const MOST_PNG_EXTRAS: u64 = 64 << 20;
const FORMATS: &str = "expected PNG, JPEG, BMP, TIFF, WebP or PNM";

/// A decoded image file, upright. Its part of [`MOST_BYTES`] is given back when it is dropped.
#[derive(Debug)]
pub struct Decoded {
    image: DynamicImage,
    format: ImageFormat,
    _share: Share,
}

impl Decoded {
    /// Pixels per row and rows.
    pub fn size(&self) -> (usize, usize) {
        (self.image.width() as usize, self.image.height() as usize)
    }

    /// Whether it was a JPEG file, whose compression does not keep the values of a mask.
    pub fn is_jpeg(&self) -> bool {
        self.format == ImageFormat::Jpeg
    }

    /// Whether it has no colours.
    pub(in crate::data) fn is_grey(&self) -> bool {
        !self.image.color().has_color()
    }

    /// The sample that stands for full brightness: 255, 65535, or 1 of floats.
    pub(in crate::data) fn largest(&self) -> f32 {
        match self.bytes_per_sample() {
            1 => 255.0,
            2 => 65_535.0,
            _ => 1.0,
        }
    }

    /// Calls `take` with red, green and blue of each pixel, row by row, as the samples are; grey is repeated, alpha left out.
    pub(in crate::data) fn for_each_pixel(&self, take: impl FnMut([f32; 3])) {
        let (bytes, channels) = (self.image.as_bytes(), usize::from(self.image.color().channel_count()));
        match self.bytes_per_sample() {
            1 => visit(bytes, channels, take),
            2 => visit::<u16>(bytemuck::cast_slice(bytes), channels, take),
            _ => visit::<f32>(bytemuck::cast_slice(bytes), channels, take),
        }
    }

    /// 8-bit grey by the formula of the `image` crate, row by row.
    pub(in crate::data) fn into_grey(self) -> Vec<u8> {
        self.image.into_luma8().into_raw()
    }

    fn bytes_per_sample(&self) -> u8 {
        let color = self.image.color();
        color.bytes_per_pixel() / color.channel_count()
    }
}

fn visit<T: Copy + Into<f32>>(samples: &[T], channels: usize, mut take: impl FnMut([f32; 3])) {
    let [green, blue] = if channels < 3 { [0, 0] } else { [1, 2] };
    samples.chunks_exact(channels).for_each(|pixel| take([pixel[0].into(), pixel[green].into(), pixel[blue].into()]));
}

/// Decodes an image file of any supported format and colour type, upright (an EXIF orientation is applied). The caller makes something of
/// `bytes_per_pixel` of it while it holds it.
///
/// # Errors
/// Exit code 2, naming the file and the reason. Pixels are not allocated for files that declare a side above 32768 pixels, or would take more than
/// [`MOST_BYTES`] or than the system gives.
pub fn decode(path: &Path, bytes_per_pixel: u64) -> Result<Decoded> {
    let header = Header::read(path)?;
    let share = Share::take(path, [header.width, header.height], header.bytes_held(bytes_per_pixel))?;
    let bytes = read_limited(path, MOST_FILE_BYTES)?;
    let (reader, format) = recognise(path, Cursor::new(&bytes))?;
    let decoder = open(path, reader, format)?;
    if decoder.dimensions() != (header.width, header.height) || decoder.total_bytes() != header.decoded {
        invalid_input!("{path:?} was changed while it was read; try again when it is complete");
    }
    let mut image = DynamicImage::from_decoder(decoder).map_err(|error| refused(path, format, error))?;
    if format == ImageFormat::Jpeg && !jpeg_is_whole(&bytes) {
        // The decoder fills what is missing with grey and says nothing.
        invalid_input!("{path:?} is a truncated JPEG file: its end marker is missing; copy or download it again");
    }
    drop(bytes);
    image.apply_orientation(header.orientation);
    Ok(Decoded { image, format, _share: share })
}

/// The upright size of an image file, (width, height), from its header. The caller means to make something of `bytes_per_pixel` of it.
///
/// # Errors
/// As [`decode`], but damage after the header is not seen.
pub fn dimensions(path: &Path, bytes_per_pixel: u64) -> Result<(usize, usize)> {
    let header = Header::read(path)?;
    budget::check(path, [header.width, header.height], header.bytes_held(bytes_per_pixel))?;
    let (width, height) = (header.width as usize, header.height as usize);
    use Orientation::{Rotate90, Rotate90FlipH, Rotate270, Rotate270FlipH};
    let turned = matches!(header.orientation, Rotate90 | Rotate270 | Rotate90FlipH | Rotate270FlipH);
    Ok(if turned { (height, width) } else { (width, height) })
}

/// What a file declares.
struct Header {
    format: ImageFormat,
    width: u32,
    height: u32,
    orientation: Orientation,
    /// Bytes of the file.
    file: u64,
    /// Bytes of all samples.
    decoded: u64,
}

impl Header {
    fn read(path: &Path) -> Result<Self> {
        let (source, file) = open_regular(path)?;
        if file > MOST_FILE_BYTES {
            invalid_input!("{path:?} has {} MiB, expected at most {} MiB: scale it down first", file >> 20, MOST_FILE_BYTES >> 20);
        }
        let (reader, format) = recognise(path, BufReader::new(source))?;
        let mut decoder = open(path, reader, format)?;
        let (width, height) = decoder.dimensions();
        let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
        Ok(Self { format, width, height, orientation, file, decoded: decoder.total_bytes() })
    }

    /// The most that is held at once: beside the samples, file and buffers while decoding, later what is made of them, in between their copy when turned.
    fn bytes_held(&self, bytes_per_pixel: u64) -> u64 {
        let pixels = u64::from(self.width) * u64::from(self.height);
        let buffers = match self.format {
            // A copy of the file, and the coefficients of a progressive one.
            ImageFormat::Jpeg => self.file + 8 * pixels,
            ImageFormat::WebP => 8 * pixels,
            ImageFormat::Png | ImageFormat::Bmp => 0,
            // All samples once more, of CMYK a fourth one.
            _ => self.decoded + self.decoded / 3,
        };
        self.decoded + (self.file + buffers).max(bytes_per_pixel * pixels).max(self.decoded)
    }
}

/// The format by content. The name's extension plays no part: it may be wrong.
fn recognise<S: BufRead + Seek>(path: &Path, source: S) -> Result<(ImageReader<S>, ImageFormat)> {
    let reader = ImageReader::new(source).with_guessed_format().map_err(|error| input_error!("cannot read {path:?}: {error}"))?;
    match reader.format() {
        Some(format) => Ok((reader, format)),
        None => invalid_input!("{path:?} does not start like an image file; {FORMATS}"),
    }
}

/// Reads the header and checks the sides that it declares.
fn open<'a, S: BufRead + Seek + 'a>(path: &Path, mut reader: ImageReader<S>, format: ImageFormat) -> Result<impl ImageDecoder + 'a> {
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MOST_SIDE), Some(MOST_SIDE));
    limits.max_alloc = Some(if format == ImageFormat::Png { MOST_PNG_EXTRAS } else { MOST_BYTES });
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(|error| refused(path, format, error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        invalid_input!("{path:?} is an image of {width}x{height} pixels, expected at least 1x1");
    }
    // Not every decoder holds to the limits by itself.
    if width > MOST_SIDE || height > MOST_SIDE {
        invalid_input!("{path:?} has {width}x{height} pixels, expected at most {MOST_SIDE} a side: scale it down first");
    }
    Ok(decoder)
}

fn refused(path: &Path, format: ImageFormat, error: ImageError) -> Error {
    let name = format!("{format:?}").to_uppercase();
    match error {
        ImageError::Limits(_) => input_error!(
            "{path:?} ({name}) is too large to decode; expected at most {MOST_SIDE} pixels a side and {} MiB to load: scale it down first",
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
