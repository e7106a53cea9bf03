//! An image seen as the matrix of its windows, without ever being one: the runs of the matrix are copied straight from the image while the
//! product packs its factors.

use crate::device::cpu::gemm::Operand;

/// The pixels that windows meet: channels of one image or of two, each pixel once or twice along both axes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pixels<'a> {
    /// `[batch, height, width, first channels]`, and `[batch, height, width, channels - first channels]`.
    pub(super) images: [&'a [f32]; 2],
    /// Height and width as the windows meet them.
    pub(super) size: [usize; 2],
    pub(super) channels: usize,
    pub(super) first_channels: usize,
    pub(super) doubled: bool,
}

impl<'a> Pixels<'a> {
    /// Those of one image as it lies in memory.
    pub(super) fn of(image: &'a [f32], size: [usize; 2], channels: usize) -> Self {
        Self { images: [image, &[]], size, channels, first_channels: channels, doubled: false }
    }

    /// Whether the pixels of a row lie beside each other in memory with all their channels.
    #[inline(always)]
    fn are_lines(&self) -> bool {
        self.first_channels == self.channels && !self.doubled
    }

    /// The image that a channel is of, and the channel after its last.
    #[inline(always)]
    pub(super) fn image_of(&self, channel: usize) -> (usize, usize) {
        if channel < self.first_channels { (0, self.first_channels) } else { (1, self.channels) }
    }

    /// Channels of image `which`.
    #[inline(always)]
    pub(super) fn channels_of(&self, which: usize) -> usize {
        if which == 0 { self.first_channels } else { self.channels - self.first_channels }
    }

    /// Channels of image `which` from `channel` (of all) on, at (y, x) of a sample; they go on with those of the next pixel.
    #[inline(always)]
    pub(super) fn at(&self, which: usize, sample: usize, [y, x]: [usize; 2], channel: usize) -> &'a [f32] {
        let repeats = usize::from(self.doubled);
        let [height, width] = self.size.map(|size| (size + repeats) >> repeats);
        let first = if which == 0 { 0 } else { self.first_channels };
        let pixel = (sample * height + (y >> repeats)) * width + (x >> repeats);
        &self.images[which][pixel * self.channels_of(which) + channel - first..]
    }
}

/// Windows of `pixels`, one for each cell of `[batch, grid height, grid width]`. Element (ty, tx, c) of the window
/// of cell (y, x) is channel `c` at `y * step + origin + ty` (and the same in x), zero outside the image.
///
/// With `ALONG_DEPTH` the windows' elements are the depth of the product and the cells its lanes; otherwise the other way round.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patches<'a, const ALONG_DEPTH: bool> {
    pub(super) pixels: Pixels<'a>,
    /// Height and width of the grid of cells.
    pub(super) grid: [usize; 2],
    /// Rows and columns of a window.
    pub(super) taps: [usize; 2],
    pub(super) step: isize,
    pub(super) origin: [isize; 2],
}

impl<const ALONG_DEPTH: bool> Operand for Patches<'_, ALONG_DEPTH> {
    const ALONG_DEPTH: bool = ALONG_DEPTH;

    #[inline]
    fn copy(&self, cell: usize, start: usize, run: &mut [f32]) {
        let (row, x) = (cell / self.grid[1], cell % self.grid[1]);
        let (sample, y) = (row / self.grid[0], row % self.grid[0]);
        let corner = [y as isize * self.step + self.origin[0], x as isize * self.step + self.origin[1]];
        if self.pixels.are_lines() {
            self.copy_lines(sample, corner, start, run);
        } else {
            self.copy_taps(sample, corner, start, run);
        }
    }
}

impl<const ALONG_DEPTH: bool> Patches<'_, ALONG_DEPTH> {
    /// A row of the window at once: its elements are neighbours in memory.
    #[inline]
    fn copy_lines(&self, sample: usize, corner: [isize; 2], start: usize, run: &mut [f32]) {
        let Pixels { images: [image, _], size: [height, width], channels, .. } = self.pixels;
        let (line_length, row_length) = ((width * channels) as isize, self.taps[1] * channels);
        let (mut tap_row, mut column) = (start / row_length, start % row_length);
        let mut rest = run;
        while !rest.is_empty() {
            let (to, behind) = rest.split_at_mut((row_length - column).min(rest.len()));
            let y = corner[0] + tap_row as isize;
            if (0..height as isize).contains(&y) {
                let line = &image[(sample * height + y as usize) * width * channels..][..width * channels];
                // Where in the line the row begins, and which part of it lies in the image.
                let first = corner[1] * channels as isize + column as isize;
                let [from, end] = [first, first + to.len() as isize].map(|at| at.clamp(0, line_length));
                let [before, after] = [from, end].map(|at| (at - first).clamp(0, to.len() as isize) as usize);
                to[..before].fill(0.0);
                to[before..after].copy_from_slice(&line[from as usize..end as usize]);
                to[after..].fill(0.0);
            } else {
                to.fill(0.0);
            }
            (tap_row, column, rest) = (tap_row + 1, 0, behind);
        }
    }

    /// One tap after the other.
    #[inline]
    fn copy_taps(&self, sample: usize, corner: [isize; 2], start: usize, run: &mut [f32]) {
        let Pixels { size: [height, width], channels, .. } = self.pixels;
        let (tap, mut channel) = (start / channels, start % channels);
        let (mut tap_row, mut tap_column) = (tap / self.taps[1], tap % self.taps[1]);
        let mut done = 0;
        while done < run.len() {
            let (which, end) = self.pixels.image_of(channel);
            let length = (end - channel).min(run.len() - done);
            let to = &mut run[done..done + length];
            let y = corner[0] + tap_row as isize;
            let x = corner[1] + tap_column as isize;
            if (0..height as isize).contains(&y) && (0..width as isize).contains(&x) {
                to.copy_from_slice(&self.pixels.at(which, sample, [y as usize, x as usize], channel)[..length]);
            } else {
                to.fill(0.0);
            }
            done += length;
            channel = end;
            if end < channels {
                continue;
            }
            channel = 0;
            tap_column += 1;
            if tap_column == self.taps[1] {
                tap_column = 0;
                tap_row += 1;
            }
        }
    }
}

/// The weight `[out, kernel height, kernel width, in]` as the right factor of the input's gradient: depth (ty, tx, out), lanes `in`, where tap
/// (ty, tx) is the window's element `first + (taps - 1 - (ty, tx)) * step`: turned around, so that the gradient's pixels are read forwards.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlippedWeight<'a> {
    pub(super) weight: &'a [f32],
    pub(super) inputs: usize,
    pub(super) outputs: usize,
    pub(super) kernel: [usize; 2],
    pub(super) first: [usize; 2],
    pub(super) step: usize,
    /// Rows and columns of taps.
    pub(super) taps: [usize; 2],
}

impl Operand for FlippedWeight<'_> {
    const ALONG_DEPTH: bool = false;

    #[inline]
    fn copy(&self, depth: usize, start: usize, run: &mut [f32]) {
        let (tap, output) = (depth / self.outputs, depth % self.outputs);
        let y = self.first[0] + (self.taps[0] - 1 - tap / self.taps[1]) * self.step;
        let x = self.first[1] + (self.taps[1] - 1 - tap % self.taps[1]) * self.step;
        let from = ((output * self.kernel[0] + y) * self.kernel[1] + x) * self.inputs + start;
        run.copy_from_slice(&self.weight[from..from + run.len()]);
    }
}
