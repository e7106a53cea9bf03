//! Line charts as SVG text that follows the page's colours.

use std::fmt::Write;

use super::page::escape;

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 58.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 16.0;
const BOTTOM: f64 = 38.0;
/// Between two lines of the legend.
const LINE: f64 = 16.0;

/// One line of a chart.
#[derive(Clone, Debug)]
pub struct Series {
    /// Shown in the legend.
    pub name: String,
    /// (x, y), by growing x. Non-finite points are left out.
    pub points: Vec<(f64, f64)>,
}

/// A chart of one or more lines over a common axis.
#[derive(Clone, Debug)]
pub struct Chart {
    /// What the chart shows, for the heading and for screen readers.
    pub title: String,
    /// Name and unit of the horizontal axis.
    pub x_label: String,
    /// Name and unit of the vertical axis.
    pub y_label: String,
    /// The lines.
    pub series: Vec<Series>,
}

impl Chart {
    /// The chart as an `<svg>` element with title and description.
    pub fn svg(&self) -> String {
        let points = || self.series.iter().flat_map(|series| &series.points).filter(|(x, y)| x.is_finite() && y.is_finite());
        let bounds = |pick: fn(&(f64, f64)) -> f64| {
            points().map(pick).fold(None, |bounds, value| match bounds {
                None => Some((value, value)),
                Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
            })
        };
        let (Some(x_bounds), Some(y_bounds)) = (bounds(|p| p.0), bounds(|p| p.1)) else {
            return format!("<p>{}: no data.</p>", escape(&self.title));
        };
        let (x, y) = (Axis::new(x_bounds, LEFT, WIDTH - RIGHT), Axis::new((y_bounds.0.min(0.0), y_bounds.1), HEIGHT - BOTTOM, TOP));
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\"><title>{0}</title><desc>{1} over {2}, {3:.4} to {4:.4}.</desc>",
            escape(&self.title),
            escape(&self.y_label),
            escape(&self.x_label),
            y_bounds.0,
            y_bounds.1
        );
        self.draw_axes(&mut svg, &x, &y);
        let legend = self.legend_top(&x, &y);
        for (index, series) in self.series.iter().enumerate() {
            draw_series(&mut svg, series, index, legend, &x, &y);
        }
        svg.push_str("</svg>");
        svg
    }

    /// Where the legend begins: in the right upper corner, or above the right lower one where fewer points are in the way.
    fn legend_top(&self, x: &Axis, y: &Axis) -> f64 {
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let points = self.series.iter().flat_map(|series| &series.points);
        let on_the_right: Vec<_> = points.filter(|point| point.1.is_finite() && x.place(point.0) > WIDTH / 2.0).collect();
        let above = on_the_right.iter().filter(|point| y.place(point.1) < middle).count();
        if 2 * above > on_the_right.len() { HEIGHT - BOTTOM - 12.0 - LINE * self.series.len() as f64 } else { TOP + 4.0 }
    }

    fn draw_axes(&self, svg: &mut String, x: &Axis, y: &Axis) {
        for tick in y.ticks() {
            let at = y.place(tick);
            let _ = write!(svg, "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(svg, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>", LEFT - 6.0, at + 4.0, number(tick));
        }
        for tick in x.ticks() {
            let _ = write!(svg, "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x.place(tick), HEIGHT - BOTTOM + 15.0, number(tick));
        }
        let _ = write!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            escape(&self.x_label)
        );
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = write!(
            svg,
            "<text x=\"12\" y=\"{middle}\" text-anchor=\"middle\" transform=\"rotate(-90 12 {middle})\">{}</text>",
            escape(&self.y_label)
        );
    }
}

fn draw_series(svg: &mut String, series: &Series, index: usize, legend: f64, x: &Axis, y: &Axis) {
    let line: Vec<String> =
        series.points.iter().filter(|(a, b)| a.is_finite() && b.is_finite()).map(|&(a, b)| format!("{:.1},{:.1}", x.place(a), y.place(b))).collect();
    let _ = write!(svg, "<polyline class=\"line series-{}\" points=\"{}\"/>", index % 6, line.join(" "));
    let top = legend + LINE * index as f64;
    let _ = write!(
        svg,
        "<text class=\"legend series-{}\" x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        index % 6,
        WIDTH - RIGHT - 4.0,
        top + 8.0,
        escape(&series.name)
    );
}

/// One axis: a range of values on a range of places.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn new((low, high): (f64, f64), from: f64, to: f64) -> Self {
        let high = if high > low { high } else { low + 1.0 };
        Self { low, high, from, to }
    }

    fn place(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// About five round numbers within the range.
    fn ticks(&self) -> Vec<f64> {
        let rough = (self.high - self.low) / 5.0;
        let magnitude = 10f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|factor| factor * magnitude).find(|step| *step >= rough).unwrap_or(magnitude * 10.0);
        let first = (self.low / step).ceil() as i64;
        let last = (self.high / step).floor() as i64;
        (first..=last).map(|index| index as f64 * step).collect()
    }
}

/// A tick's number without a tail of zeros.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 1e-3 {
        return format!("{value:.0e}");
    }
    let text = format!("{value:.3}");
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_land_on_the_axes_and_text_is_escaped() {
        let series = Series { name: "a<b".into(), points: vec![(0.0, 0.0), (10.0, 2.0), (20.0, f64::NAN)] };
        let svg = Chart { title: "Loss & more".into(), x_label: "step".into(), y_label: "loss".into(), series: vec![series] }.svg();
        assert!(svg.contains("Loss &amp; more") && svg.contains("a&lt;b"));
        assert!(svg.contains(&format!("points=\"{LEFT:.1},{:.1} {:.1},{TOP:.1}\"", HEIGHT - BOTTOM, WIDTH - RIGHT)), "{svg}");
    }

    #[test]
    fn ticks_are_round() {
        assert_eq!(Axis::new((0.0, 1000.0), 0.0, 1.0).ticks(), [0.0, 200.0, 400.0, 600.0, 800.0, 1000.0]);
        assert_eq!(number(0.25), "0.25");
        assert_eq!(number(1000.0), "1000");
    }
}
