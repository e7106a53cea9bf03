//! The outlines of a mask's regions as polygons along the edges of pixels.

use std::collections::HashMap;

use crate::data::mask::Mask;

/// One connected region.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outline {
    /// Corners in order, clockwise, in pixels from the upper left corner of the mask: exactly the region's outer edge. Holes are not part of it.
    pub corners: Vec<(usize, usize)>,
    /// Set pixels.
    pub area: usize,
    /// Left, top, width, height.
    pub bounds: [usize; 4],
}

/// The 8-connected regions of a mask, in the order of their first pixel.
pub fn outlines(mask: &Mask) -> Vec<Outline> {
    mask.regions().iter().map(|region| outline(region, mask.width())).collect()
}

/// Right, down, left, up.
const STEPS: [(isize, isize); 4] = [(1, 0), (0, 1), (-1, 0), (0, -1)];

fn outline(region: &[usize], width: usize) -> Outline {
    let inside: std::collections::HashSet<(isize, isize)> = region.iter().map(|index| ((index % width) as isize, (index / width) as isize)).collect();
    // Edges with the region to their right: from each corner, the directions that lead along one.
    let mut edges: HashMap<(isize, isize), [bool; 4]> = HashMap::new();
    for &(x, y) in &inside {
        let sides = [((x, y - 1), (x, y)), ((x + 1, y), (x + 1, y)), ((x, y + 1), (x + 1, y + 1)), ((x - 1, y), (x, y + 1))];
        for (direction, (neighbour, start)) in sides.into_iter().enumerate() {
            if !inside.contains(&neighbour) {
                edges.entry(start).or_default()[direction] = true;
            }
        }
    }
    // The first pixel's upper edge belongs to the outer loop. At a corner where two pixels touch, the left turn keeps them in one loop.
    let first = ((region[0] % width) as isize, (region[0] / width) as isize);
    let (mut corner, mut direction) = (first, 0);
    let mut corners = Vec::new();
    loop {
        let (dx, dy) = STEPS[direction];
        corner = (corner.0 + dx, corner.1 + dy);
        let open = edges.get(&corner).copied().unwrap_or_default();
        let next = [(direction + 3) % 4, direction, (direction + 1) % 4].into_iter().find(|&next| open[next]).unwrap_or(direction);
        if next != direction {
            corners.push((corner.0 as usize, corner.1 as usize));
        }
        direction = next;
        if corner == first && direction == 0 {
            break;
        }
    }
    let (columns, rows) = (corners.iter().map(|corner| corner.0), corners.iter().map(|corner| corner.1));
    let (left, top) = (columns.clone().min().unwrap_or(0), rows.clone().min().unwrap_or(0));
    let bounds = [left, top, columns.max().unwrap_or(0) - left, rows.max().unwrap_or(0) - top];
    Outline { corners, area: region.len(), bounds }
}
