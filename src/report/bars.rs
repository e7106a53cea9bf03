//! Horizontal bars in groups, as SVG text that follows the page's colours.

use std::fmt::Write;

use super::page::escape;

const WIDTH: f64 = 640.0;
const LEFT: f64 = 150.0;
const RIGHT: f64 = 62.0;
const BAR: f64 = 16.0;
const GAP: f64 = 14.0;
const TOP: f64 = 8.0;
const LEGEND: f64 = 20.0;

/// Bars from 0 to `maximum`, one group below another.
#[derive(Clone, Debug)]
pub struct Bars {
    /// What is shown, for the heading and for screen readers.
    pub title: String,
    /// The value of a full bar.
    pub maximum: f64,
    /// What the bars of a group are, in order.
    pub series: Vec<String>,
    /// Name and values, one a series; without a value there is no bar.
    pub groups: Vec<(String, Vec<Option<f64>>)>,
}

impl Bars {
    /// The bars as an `<svg>` element with title and description.
    pub fn svg(&self) -> String {
        let group_height = BAR * self.series.len() as f64 + GAP;
        let height = TOP + group_height * self.groups.len() as f64 + LEGEND * self.series.len() as f64;
        let title = escape(&self.title);
        let mut svg = format!(
            "<svg class=\"chart\" viewBox=\"0 0 {WIDTH} {height:.0}\" role=\"img\" aria-label=\"{title}\"><title>{title}</title><desc>{}</desc>",
            escape(&self.description())
        );
        for (index, (name, values)) in self.groups.iter().enumerate() {
            let top = TOP + group_height * index as f64;
            let middle = top + BAR * self.series.len() as f64 / 2.0 + 4.0;
            let _ = write!(svg, "<text x=\"{}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, escape(name));
            for (series, value) in values.iter().enumerate() {
                self.draw(&mut svg, series, *value, top + BAR * series as f64);
            }
        }
        let top = TOP + group_height * self.groups.len() as f64;
        for (index, name) in self.series.iter().enumerate() {
            let y = top + LEGEND * index as f64 + 12.0;
            let _ = write!(svg, "<text class=\"legend series-{}\" x=\"{LEFT}\" y=\"{y:.1}\">{}</text>", index % 6, escape(name));
        }
        svg.push_str("</svg>");
        svg
    }

    fn draw(&self, svg: &mut String, series: usize, value: Option<f64>, top: f64) {
        let room = WIDTH - LEFT - RIGHT;
        let length = value.map_or(0.0, |value| (value / self.maximum).clamp(0.0, 1.0) * room);
        let shown = value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let _ = write!(
            svg,
            "<rect class=\"bar series-{}\" x=\"{LEFT}\" y=\"{:.1}\" width=\"{length:.1}\" height=\"{:.1}\"/><text x=\"{:.1}\" y=\"{:.1}\">{shown}</text>",
            series % 6,
            top + 1.0,
            BAR - 2.0,
            LEFT + length + 5.0,
            top + BAR - 3.5
        );
    }

    /// Every value in words.
    fn description(&self) -> String {
        let group = |(name, values): &(String, Vec<Option<f64>>)| {
            let values = self.series.iter().zip(values).map(|(series, value)| match value {
                Some(value) => format!("{series} {value:.1}"),
                None => format!("{series} none"),
            });
            format!("{name}: {}", values.collect::<Vec<_>>().join(", "))
        };
        self.groups.iter().map(group).collect::<Vec<_>>().join("; ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_have_their_lengths_and_words() {
        let groups = vec![("bottle & co".to_owned(), vec![Some(50.0), None])];
        let svg = Bars { title: "AP".into(), maximum: 100.0, series: vec!["ours".into(), "real".into()], groups }.svg();
        assert!(svg.contains(&format!("width=\"{:.1}\"", (WIDTH - LEFT - RIGHT) / 2.0)), "{svg}");
        assert!(svg.contains("<desc>bottle &amp; co: ours 50.0, real none</desc>"), "{svg}");
    }
}
