//! PRO: per-region overlap against false positives.

use super::ranking;
use crate::data::mask::Mask;
use crate::error::{Result, ensure};

/// The definition: 8-connected regions, every score a threshold, trapezoids from (0, 0), interpolated at a false-positive rate of 0.3 and divided by
/// it, as MVTec's evaluation of MVTec AD (Bergmann et al., IJCV 2021). The released program samples the same curve at 100 thresholds.
pub const PROTOCOL: &str = "pro/8-connected/fpr-0.3/v1";

/// The false-positive rate up to which the curve counts.
pub const LIMIT: f64 = 0.3;

/// A picture's scores, `[height, width]`, and its true mask.
#[derive(Clone, Copy, Debug)]
pub struct Map<'a> {
    /// One score a pixel, row by row.
    pub scores: &'a [f32],
    /// Where the defect is.
    pub mask: &'a Mask,
}

/// A pixel of a region.
struct Hit {
    key: u32,
    /// 1 / the region's area.
    share: f64,
}

/// Mean share of each defect region that is found, averaged over false-positive rates from 0 to [`LIMIT`], 0 to 1; small regions weigh as much as
/// large ones. Chance is 0.15. `None` when there is no defect region or no normal pixel.
///
/// # Errors
/// When a map's number of scores is not its mask's number of pixels, or a score is not finite.
pub fn region_overlap(maps: &[Map]) -> Result<Option<f64>> {
    let (mut hits, mut negatives, mut regions) = (Vec::new(), Vec::new(), 0);
    for map in maps {
        regions += collect(map, &mut hits, &mut negatives)?;
    }
    if regions == 0 || negatives.is_empty() {
        return Ok(None);
    }
    // Equal scores in the order of their share, so that sums do not depend on the pictures' order.
    hits.sort_unstable_by(|a, b| a.key.cmp(&b.key).then(a.share.total_cmp(&b.share)));
    ranking::sort(&mut negatives);
    Ok(Some(area(&hits, &negatives, regions) / LIMIT))
}

/// Adds a picture's pixels; gives its number of regions.
fn collect(map: &Map, hits: &mut Vec<Hit>, negatives: &mut Vec<u32>) -> Result<usize> {
    let pixels = map.mask.pixels();
    ensure!(map.scores.len() == pixels.len(), "{} scores of a mask of {} pixels", map.scores.len(), pixels.len());
    ensure!(map.scores.iter().all(|score| score.is_finite()), "a pixel's score is not finite");
    negatives.extend(map.scores.iter().zip(pixels).filter(|(_, inside)| !**inside).map(|(&score, _)| ranking::key(score)));
    let regions = map.mask.regions();
    for region in &regions {
        let share = 1.0 / region.len() as f64;
        hits.extend(region.iter().map(|&index| Hit { key: ranking::key(map.scores[index]), share }));
    }
    Ok(regions.len())
}

/// The area under the curve up to [`LIMIT`].
fn area(hits: &[Hit], negatives: &[u32], regions: usize) -> f64 {
    let (mut found, mut misses, mut overlap) = (0, 0, 0.0);
    let (mut area, mut last) = (0.0, (0.0, 0.0));
    while found < hits.len() || misses < negatives.len() {
        let key = hits.get(found).map(|hit| hit.key).into_iter().chain(negatives.get(misses).copied()).min().unwrap_or(u32::MAX);
        while let Some(hit) = hits.get(found).filter(|hit| hit.key == key) {
            overlap += hit.share / regions as f64;
            found += 1;
        }
        misses += negatives[misses..].iter().take_while(|&&other| other == key).count();
        let rate = misses as f64 / negatives.len() as f64;
        if rate > LIMIT {
            let at_limit = last.1 + (overlap - last.1) * (LIMIT - last.0) / (rate - last.0);
            return area + (LIMIT - last.0) * (last.1 + at_limit) / 2.0;
        }
        area += (rate - last.0) * (last.1 + overlap) / 2.0;
        last = (rate, overlap);
    }
    area
}
