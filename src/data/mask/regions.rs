//! Connected regions.

use super::Mask;

impl Mask {
    /// The pixel indices of each 8-connected region, the regions in the order of their first pixel, the pixels of each rising.
    pub fn regions(&self) -> Vec<Vec<usize>> {
        let (width, height) = (self.width, self.height);
        let mut waiting = self.pixels.clone();
        let mut regions = Vec::new();
        for start in 0..waiting.len() {
            if !std::mem::take(&mut waiting[start]) {
                continue;
            }
            let (mut region, mut next) = (vec![start], 0);
            while let Some(&index) = region.get(next) {
                next += 1;
                let (column, row) = (index % width, index / width);
                for y in row.saturating_sub(1)..(row + 2).min(height) {
                    for x in column.saturating_sub(1)..(column + 2).min(width) {
                        if std::mem::take(&mut waiting[y * width + x]) {
                            region.push(y * width + x);
                        }
                    }
                }
            }
            region.sort_unstable();
            regions.push(region);
        }
        regions
    }
}
