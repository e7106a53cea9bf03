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

/// Rows of equally large pictures, with titles and column headings where they are wanted.
#[derive(Clone, Debug)]
pub struct Sheet {
    cell: usize,
    rows: Vec<Row>,
}

#[derive(Clone, Debug)]
enum Row {
    Title(String),
    Headings(Vec<String>),
    Pictures(Vec<Cell>),
}

impl Sheet {
    /// A sheet whose pictures are shown at most `cell` pixels wide and high.
    pub fn new(cell: usize) -> Self {
        Self { cell: cell.max(1), rows: Vec::new() }
    }

    /// Adds a line of text with space above it.
    pub fn title(&mut self, text: impl Into<String>) {
        self.rows.push(Row::Title(text.into()));
    }

    /// Adds a line with a word for each column of the rows that follow.
    pub fn headings(&mut self, words: &[&str]) {
        self.rows.push(Row::Headings(words.iter().map(ToString::to_string).collect()));
    }

    /// Adds a row of pictures.
    pub fn row(&mut self, cells: Vec<Cell>) {
        self.rows.push(Row::Pictures(cells));
    }

    /// Draws the sheet.
    pub fn draw(&self) -> Picture {
        let columns = self.rows.iter().map(Row::columns).max().unwrap_or(0).max(1);
        let width = 2 * MARGIN + columns * (self.cell + GAP) - GAP;
        let height = 2 * MARGIN + self.rows.iter().map(|row| row.height(self.cell)).sum::<usize>();
        let mut canvas = Canvas { width, height, pixels: vec![PAPER; width * height * 3] };
        let left = |column: usize| MARGIN + column * (self.cell + GAP);
        let mut top = MARGIN;
        for row in &self.rows {
            match row {
                Row::Title(text) => canvas.text(MARGIN, top + LINE / 2, text, width - 2 * MARGIN),
                Row::Headings(words) => words.iter().enumerate().for_each(|(column, word)| canvas.text(left(column), top, word, self.cell)),
                Row::Pictures(cells) => cells.iter().enumerate().for_each(|(column, cell)| canvas.cell(left(column), top, self.cell, cell)),
            }
            top += row.height(self.cell);
        }
        Picture::from_parts(width, height, canvas.pixels)
    }
}

impl Row {
    fn columns(&self) -> usize {
        match self {
            Self::Title(_) => 0,
            Self::Headings(words) => words.len(),
            Self::Pictures(cells) => cells.len(),
        }
    }

    fn height(&self, cell: usize) -> usize {
        match self {
            Self::Title(_) => 2 * LINE,
            Self::Headings(_) => LINE,
            Self::Pictures(_) => cell + GAP,
        }
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

    fn cell(&mut self, left: usize, top: usize, side: usize, cell: &Cell) {
        if let Cell::Picture(picture) = cell {
            self.picture(left, top, side, picture);
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
        let mut sheet = Sheet::new(8);
        sheet.headings(&["a", "b"]);
        sheet.row(vec![Cell::Picture(red), Cell::Empty]);
        let drawn = sheet.draw();
        assert_eq!((drawn.width(), drawn.height()), (2 * MARGIN + 2 * 8 + GAP, 2 * MARGIN + LINE + 8 + GAP));
        let pixel = |x: usize, y: usize| &drawn.pixels()[(y * drawn.width() + x) * 3..][..3];
        // Two pixels by one fill eight by four, in the middle of the cell.
        let top = MARGIN + LINE + 2;
        assert_eq!(pixel(MARGIN, top), [1.0, -1.0, -1.0]);
        assert_eq!(pixel(MARGIN + 7, top + 3), [-1.0, 1.0, -1.0]);
        assert_eq!(pixel(MARGIN + 8 + GAP, top), [PAPER; 3]);
    }

    #[test]
    fn an_empty_sheet_is_paper() {
        assert!(Sheet::new(4).draw().pixels().iter().all(|&value| value == PAPER));
    }
}
