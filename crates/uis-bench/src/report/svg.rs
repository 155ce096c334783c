//! Drawings: the few shapes that the charts need, as text.
//!
//! Colours are classes, whose values stand in [`STYLE`]: once in the page, or in each file that stands alone, so that
//! both follow the reader's light or dark.

use std::fmt::Write;

/// What the classes look like.
pub(super) const STYLE: &str = include_str!("chart.css");

/// What a drawing that stands alone is drawn on.
const PAPER: &str = "\
svg { background: #fff; }
@media screen and (prefers-color-scheme: dark) { svg { background: #12171e; } }
";

/// A drawing that grows.
#[derive(Debug)]
pub(super) struct Svg {
    width: f64,
    height: f64,
    title: String,
    body: String,
}

/// Where a text stands relative to its point.
#[derive(Debug, Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

impl Svg {
    /// An empty drawing, with its title at the top.
    pub(super) fn new(width: f64, height: f64, title: &str) -> Self {
        let mut svg = Self { width, height, title: title.into(), body: String::new() };
        svg.text(0.0, 16.0, "title", Anchor::Start, title);
        svg
    }

    pub(super) fn text(&mut self, x: f64, y: f64, class: &str, anchor: Anchor, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::Middle => " text-anchor=\"middle\"",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escape(text);
        self.add(format_args!(
            "<text x=\"{}\" y=\"{}\" class=\"{class}\"{anchor}>{text}</text>",
            short(x),
            short(y)
        ));
    }

    pub(super) fn line(&mut self, class: &str, from: [f64; 2], to: [f64; 2]) {
        let [x1, y1, x2, y2] = [from[0], from[1], to[0], to[1]].map(short);
        self.add(format_args!("<line x1=\"{x1}\" y1=\"{y1}\" x2=\"{x2}\" y2=\"{y2}\" class=\"{class}\"/>"));
    }

    /// A box; `hint` appears under the mouse.
    pub(super) fn rect(&mut self, class: &str, at: [f64; 2], size: [f64; 2], hint: &str) {
        let [x, y, width, height] = [at[0], at[1], size[0].max(0.0), size[1].max(0.0)].map(short);
        let hint = escape(hint);
        self.add(format_args!(
            "<rect x=\"{x}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" rx=\"1.5\" class=\"{class}\"><title>{hint}</title></rect>"
        ));
    }

    pub(super) fn dot(&mut self, class: &str, at: [f64; 2], hint: &str) {
        let [x, y] = at.map(short);
        let hint = escape(hint);
        self.add(format_args!(
            "<circle cx=\"{x}\" cy=\"{y}\" r=\"3.6\" class=\"{class}\"><title>{hint}</title></circle>"
        ));
    }

    /// Straight lines from point to point.
    pub(super) fn path(&mut self, class: &str, points: &[[f64; 2]]) {
        let points: Vec<_> = points.iter().map(|point| point.map(short).join(",")).collect();
        if !points.is_empty() {
            self.add(format_args!("<path d=\"M{}\" class=\"{class}\"/>", points.join("L")));
        }
    }

    /// Squares with names, from the left, in lines as wide as the drawing, which grows with them.
    pub(super) fn legend(&mut self, mut y: f64, series: &[(&str, &str)]) {
        let mut x = 0.0;
        for (name, class) in series {
            let width = 34.0 + text_width(name);
            if x > 0.0 && x + width > self.width {
                (x, y) = (0.0, y + 18.0);
            }
            self.rect(&format!("fill {class}"), [x, y - 9.0], [10.0, 10.0], name);
            self.text(x + 16.0, y, "", Anchor::Start, name);
            x += width;
        }
        self.height = self.height.max(y + 8.0);
    }

    /// For a page that has the [`STYLE`].
    pub(super) fn inline(&self) -> String {
        self.with(0.0, "")
    }

    /// For a file: with a margin, and paper below the ink, whatever it is shown on.
    pub(super) fn alone(&self) -> String {
        self.with(16.0, &format!("\n<style>\n{STYLE}{PAPER}</style>"))
    }

    fn with(&self, margin: f64, style: &str) -> String {
        let (width, height) = (short(self.width + 2.0 * margin), short(self.height + 2.0 * margin));
        let (corner, title, body) = (short(0.0 - margin), escape(&self.title), &self.body);
        format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"{corner} {corner} {width} {height}\" \
             width=\"{width}\" height=\"{height}\" role=\"img\" aria-label=\"{title}\">{style}{body}\n</svg>\n"
        )
    }

    fn add(&mut self, element: std::fmt::Arguments<'_>) {
        let _ = write!(self.body, "\n{element}");
    }
}

/// About how wide a text is in the usual size.
pub(super) fn text_width(text: &str) -> f64 {
    text.chars().count() as f64 * 7.2
}

/// A text as markup has it.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A tenth of a point is enough for the eye.
fn short(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map(str::to_owned).unwrap_or(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_the_style_and_a_page_has_it_once() {
        let mut svg = Svg::new(100.0, 50.0, "a < b & \"c\"");
        svg.rect("fill c0", [1.0, 2.25], [-3.0, 4.0], "<hint>");
        assert!(svg.alone().contains("<style>") && !svg.inline().contains("<style>"));
        assert!(svg.alone().contains("viewBox=\"-16 -16 132 82\" width=\"132\""), "{}", svg.alone());
        let text = svg.inline();
        assert!(text.contains("aria-label=\"a &lt; b &amp; &quot;c&quot;\""), "{text}");
        assert!(text.contains("<rect x=\"1\" y=\"2.2\" width=\"0\" height=\"4\""), "{text}");
        assert!(text.contains("<title>&lt;hint&gt;</title>"), "{text}");
    }

    #[test]
    fn a_legend_breaks_its_lines() {
        let mut svg = Svg::new(120.0, 50.0, "");
        svg.legend(10.0, &[("something", "c0"), ("something else", "c1")]);
        let text = svg.inline();
        assert!(text.contains("y=\"19\"") && text.contains("viewBox=\"0 0 120 50\""), "{text}");
        svg.legend(100.0, &[("something", "c0")]);
        assert!(svg.inline().contains("viewBox=\"0 0 120 108\""), "{}", svg.inline());
    }
}
