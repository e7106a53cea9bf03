//! One self-contained HTML page: no network, no script, readable on a phone, in print and in dark mode.

use std::fmt::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::Table;

/// A page under construction.
#[derive(Clone, Debug)]
pub struct Page {
    title: String,
    body: String,
}

impl Page {
    /// A page with a heading and a sentence below it.
    pub fn new(title: &str, lead: &str) -> Self {
        Self { title: title.to_owned(), body: format!("<h1>{}</h1>\n<p class=\"lead\">{}</p>\n", escape(title), escape(lead)) }
    }

    /// Starts a section.
    pub fn heading(&mut self, text: &str) {
        let _ = writeln!(self.body, "<h2>{}</h2>", escape(text));
    }

    /// Adds a paragraph.
    pub fn paragraph(&mut self, text: &str) {
        let _ = writeln!(self.body, "<p>{}</p>", escape(text));
    }

    /// Adds a PNG, embedded in the page at its own size: where the screen is narrower, it scrolls sideways. `description` is read by those who cannot
    /// see it.
    pub fn image(&mut self, png: &[u8], description: &str) {
        let data = STANDARD.encode(png);
        let text = escape(description);
        let _ = writeln!(
            self.body,
            "<figure><div class=\"scroll\" tabindex=\"0\"><img src=\"data:image/png;base64,{data}\" alt=\"{text}\"></div><figcaption>{text}</figcaption></figure>"
        );
    }

    /// Adds an SVG element, as [`super::Chart::svg`] makes it, under its title; two stand side by side where there is room.
    pub fn svg(&mut self, title: &str, svg: &str) {
        let _ = writeln!(self.body, "<figure class=\"plot\"><figcaption>{}</figcaption>{svg}</figure>", escape(title));
    }

    /// Adds a table.
    pub fn table(&mut self, table: &Table) {
        let _ = write!(self.body, "<div class=\"scroll\" tabindex=\"0\"><table><caption>{}</caption><thead><tr>", escape(&table.caption));
        for heading in &table.headings {
            let _ = write!(self.body, "<th scope=\"col\">{}</th>", escape(heading));
        }
        self.body.push_str("</tr></thead><tbody>");
        for row in &table.rows {
            self.body.push_str("<tr>");
            for cell in row {
                let class = if is_number(cell) { " class=\"number\"" } else { "" };
                let _ = write!(self.body, "<td{class}>{}</td>", escape(cell));
            }
            self.body.push_str("</tr>");
        }
        self.body.push_str("</tbody></table></div>\n");
    }

    /// The finished page.
    pub fn html(&self) -> String {
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n{}</main>\n</body>\n</html>\n",
            escape(&self.title),
            self.body
        )
    }
}

/// "12.5", "97.1±0.4", "12 %", "3 s".
fn is_number(cell: &str) -> bool {
    let number = cell.trim_end_matches(['%', 's']).trim();
    number.split('±').all(|part| part.parse::<f64>().is_ok())
}

const STYLE: &str = "
:root { color-scheme: light dark; --paper: #fbfaf8; --ink: #23262b; --quiet: #6b7078; --rule: #dcd9d3; --accent: #1f6f8b; }
@media (prefers-color-scheme: dark) { :root { --paper: #16181c; --ink: #e6e4df; --quiet: #9aa0a8; --rule: #34383f; --accent: #6cc0db; } }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 80rem; margin: 0 auto; padding: 2rem 1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .3rem; }
h2 { font-size: 1.25rem; margin: 2.4rem 0 .6rem; border-top: 1px solid var(--rule); padding-top: 1.2rem; }
.lead, figcaption, caption { color: var(--quiet); }
figure { margin: 1rem 0; }
img { display: block; image-rendering: pixelated; border-radius: 4px; }
figcaption { font-size: .88rem; margin-top: .3rem; }
.scroll { overflow-x: auto; margin-bottom: 1rem; }
.plot { display: inline-block; vertical-align: top; width: min(100%, 39rem); margin: .4rem 0; }
.plot figcaption { color: var(--ink); font-weight: 600; }
table { border-collapse: collapse; width: 100%; font-size: .94rem; }
caption { text-align: left; padding-bottom: .4rem; }
th, td { text-align: left; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid var(--rule); white-space: nowrap; vertical-align: top; }
td { overflow-wrap: anywhere; }
.number { font-variant-numeric: tabular-nums; }
.chart { width: 100%; max-width: 48rem; height: auto; color: var(--ink); }
.chart text { fill: var(--quiet); font-size: 12px; }
.chart .grid { stroke: var(--rule); }
.chart .line { fill: none; stroke: currentColor; stroke-width: 2; stroke-linejoin: round; }
.series-0 { color: var(--accent); } .series-1 { color: #c2703d; } .series-2 { color: #6a9a3b; } .series-3 { color: #8d62b4; } .series-4 { color: #b8455b; } .series-5 { color: #8a8a33; }
.chart .legend { fill: currentColor; font-weight: 600; }
.chart .bar { fill: currentColor; }
@media (max-width: 40rem) { .chart text { font-size: 17px; } }
@media print { :root { --paper: #fff; --ink: #000; --quiet: #444; --rule: #bbb; --accent: #1f6f8b; } main { max-width: none; padding: 0; }
  h2, figure, tr { break-inside: avoid; } h2 { break-after: avoid; } .scroll { overflow: visible; } img { max-width: 100%; height: auto; } }
";

/// Text for HTML and SVG, in elements and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_self_contained_and_escaped() {
        let mut page = Page::new("<Demo>", "one & two");
        page.image(&[1, 2, 3], "a \"sheet\"");
        page.table(&Table { caption: "c".into(), headings: vec!["h".into()], rows: vec![vec!["12.5 %".into()], vec!["<x>".into()]] });
        let html = page.html();
        assert!(html.contains("&lt;Demo&gt;") && html.contains("one &amp; two") && html.contains("&quot;sheet&quot;"));
        assert!(html.contains("<td class=\"number\">12.5 %</td>") && html.contains("<td>&lt;x&gt;</td>"));
        assert!(!html.contains("http"), "nothing is fetched");
        assert!(["1", "0.5", "97.1±0.4", "3 s"].into_iter().all(is_number) && !["", "a", "1±b", "-"].into_iter().any(is_number));
    }
}
