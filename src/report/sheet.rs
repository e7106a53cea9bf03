//! A contact sheet: rows of pictures under column headings, as one picture.

use font8x8::UnicodeFonts;

use crate::data::picture::Picture;

const MARGIN: usize = 10;
const GAP: usize = 6;
const LINE: usize = 14;
const PAPER: f32 = 0.94;
const INK: f32 = -0.75;

/// One place of a sheet.
#[derive(Clone, Debug)]
pub enum Cell {
    /// Drawn enlarged by a whole factor, so that every pixel is seen as it is.
    Picture(Picture),
    /// Left blank.
    Empty,
}

/// Rows of equally large pictures with headings.
#[derive(Clone, Debug)]
pub struct Sheet {
    cell: usize,
    headings: Vec<String>,
    rows: Vec<(String, Vec<Cell>)>,
}

impl Sheet {
    /// A sheet whose pictures are shown at most `cell` pixels wide and high.
    pub fn new(cell: usize, headings: &[&str]) -> Self {
        Self { cell: cell.max(1), headings: headings.iter().map(ToString::to_string).collect(), rows: Vec::new() }
    }

    /// Adds a row with its title.
    pub fn row(&mut self, title: impl Into<String>, cells: Vec<Cell>) {
        self.rows.push((title.into(), cells));
    }

    /// Draws the sheet.
    pub fn draw(&self) -> Picture {
        let columns = self.rows.iter().map(|(_, cells)| cells.len()).max().unwrap_or(0).max(self.headings.len()).max(1);
        let width = 2 * MARGIN + columns * (self.cell + GAP) - GAP;
        let height = 2 * MARGIN + LINE + self.rows.len() * (self.cell + GAP + LINE);
        let mut canvas = Canvas { width, height, pixels: vec![PAPER; width * height * 3] };
        for (column, heading) in self.headings.iter().enumerate() {
            canvas.text(MARGIN + column * (self.cell + GAP), MARGIN, heading, self.cell);
        }
        for (row, (title, cells)) in self.rows.iter().enumerate() {
            let top = MARGIN + LINE + row * (self.cell + GAP + LINE);
            canvas.text(MARGIN, top + 2, title, width - 2 * MARGIN);
            for (column, cell) in cells.iter().enumerate() {
                if let Cell::Picture(picture) = cell {
                    canvas.picture(MARGIN + column * (self.cell + GAP), top + LINE, self.cell, picture);
                }
            }
        }
        Picture::from_parts(width, height, canvas.pixels)
    }
}

struct Canvas {
    width: usize,
    height: usize,
    pixels: Vec<f32>,
}

impl Canvas {
    fn set(&mut self, x: usize, y: usize, color: [f32; 3]) {
        if x < self.width && y < self.height {
            self.pixels[(y * self.width + x) * 3..][..3].copy_from_slice(&color);
        }
    }

    /// Text of 8x8 pixel characters, cut at `room` pixels.
    fn text(&mut self, left: usize, top: usize, text: &str, room: usize) {
        for (index, character) in text.chars().take(room / 8).enumerate() {
            let glyph = font8x8::BASIC_FONTS.get(character).or_else(|| font8x8::LATIN_FONTS.get(character)).unwrap_or([0; 8]);
            for (y, bits) in glyph.iter().enumerate() {
                for x in (0..8).filter(|x| bits >> x & 1 == 1) {
                    self.set(left + index * 8 + x, top + y, [INK; 3]);
                }
            }
        }
    }

    /// The picture centred in a square of `side` pixels: enlarged by a whole factor where it is smaller, sampled where it is larger.
    fn picture(&mut self, left: usize, top: usize, side: usize, picture: &Picture) {
        let (width, height) = (picture.width().max(1), picture.height().max(1));
        let longest = width.max(height);
        let shown = |size: usize| if longest <= side { size * (side / longest) } else { (size * side / longest).max(1) };
        let (shown_width, shown_height) = (shown(width), shown(height));
        let (left, top) = (left + (side - shown_width) / 2, top + (side - shown_height) / 2);
        for y in 0..shown_height {
            for x in 0..shown_width {
                let source = (y * height / shown_height * width + x * width / shown_width) * 3;
                let pixel = &picture.pixels()[source..source + 3];
                self.set(left + x, top + y, [pixel[0], pixel[1], pixel[2]]);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_keep_their_pixels_and_missing_ones_leave_paper() {
        let red = Picture::from_parts(2, 1, vec![1.0, -1.0, -1.0, -1.0, 1.0, -1.0]);
        let mut sheet = Sheet::new(8, &["a", "b"]);
        sheet.row("first", vec![Cell::Picture(red), Cell::Empty]);
        let drawn = sheet.draw();
        assert_eq!((drawn.width(), drawn.height()), (2 * MARGIN + 2 * 8 + GAP, 2 * MARGIN + LINE + 8 + GAP + LINE));
        let pixel = |x: usize, y: usize| &drawn.pixels()[(y * drawn.width() + x) * 3..][..3];
        let top = MARGIN + 2 * LINE + 2;
        assert_eq!(pixel(MARGIN, top), [1.0, -1.0, -1.0]);
        assert_eq!(pixel(MARGIN + 7, top + 3), [-1.0, 1.0, -1.0]);
        assert_eq!(pixel(MARGIN + 8 + GAP, top), [PAPER; 3]);
    }

    #[test]
    fn an_empty_sheet_is_paper() {
        assert!(Sheet::new(4, &[]).draw().pixels().iter().all(|&value| value == PAPER));
    }
}
