//! Badges: a label and a figure on 20 pixels' height.

use super::colours::{self, Range};
use super::escape;

/// What a badge says at its left unless asked otherwise; readers of README files look for this word.
const LABEL: &str = "codecov";
/// The longest label that is drawn, in characters.
const LABEL_CHARS: usize = 60;
const LABEL_COLOUR: &str = "#555";
const UNKNOWN: &str = "unknown";
const UNKNOWN_COLOUR: &str = "#9f9f9f";
const BUNDLE_COLOUR: &str = "#2C2433";
/// About the width of a letter of 11 pixels, and of the space beside a text.
const LETTER_WIDTH: usize = 7;
const SPACE_WIDTH: usize = 10;
/// An umbrella, in a box of 14 by 14 at 6, 3.
const UMBRELLA: &str = r##"<g fill="none" stroke="#fff" stroke-linecap="round"><path fill="#fff" stroke="none" d="M6 10a7 7 0 0 1 14 0q-1.75-1.5-3.5 0-1.75-1.5-3.5 0-1.75-1.5-3.5 0-1.75-1.5-3.5 0z"/><path d="M13 10v5.2a1.3 1.3 0 0 1-2.6 0"/></g>"##;

/// How a badge is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Style {
    /// Round corners and a gradient.
    #[default]
    Flat,
    /// Neither.
    FlatSquare,
    /// Higher, with spaced capitals.
    ForTheBadge,
}

impl Style {
    /// The style of that name; the usual one for any other, as a badge is better than none.
    pub fn parse(name: &str) -> Style {
        match name {
            "flat-square" => Style::FlatSquare,
            "for-the-badge" => Style::ForTheBadge,
            _ => Style::Flat,
        }
    }
}

/// The wishes of whoever shows the badge.
#[derive(Clone, Debug, Default)]
pub struct Look {
    /// How it is drawn.
    pub style: Style,
    /// What it says at its left, if not the usual word.
    pub label: Option<String>,
}

/// A percentage as a badge shows it, with that many decimals; a tie goes to the even digit.
pub fn figure(percent: f64, precision: usize) -> String {
    format!("{percent:.precision$}")
}

/// The badge of a coverage figure, as [`figure`] gives it; `None` is unknown.
pub fn coverage(figure: Option<&str>, range: Range, look: &Look) -> String {
    let colour = match figure.and_then(|figure| figure.parse().ok()) {
        Some(percent) => colours::of_percent(percent, range),
        None => UNKNOWN_COLOUR.into(),
    };
    let value = figure.map_or_else(|| UNKNOWN.into(), |figure| format!("{figure}%"));
    let badge = match (look.style, &look.label) {
        (Style::Flat | Style::FlatSquare, None) => usual(figure, value, colour),
        (_, label) => sized(label.as_deref().unwrap_or(LABEL), value, colour),
    };
    match look.style {
        Style::ForTheBadge => badge.draw_high(),
        style => badge.draw(style),
    }
}

/// The badge of a bundle's size, as [`size`] gives it; `None` is unknown.
pub fn bundle(size: Option<&str>) -> String {
    const LABEL_WIDTH: usize = 47;
    let value_width = SPACE_WIDTH + LETTER_WIDTH * size.unwrap_or(UNKNOWN).len();
    let badge = Badge {
        label: "bundle".into(),
        value: size.unwrap_or(UNKNOWN).into(),
        colour: size.map_or(UNKNOWN_COLOUR, |_| BUNDLE_COLOUR).into(),
        label_width: LABEL_WIDTH,
        label_x: LABEL_WIDTH as f64 / 2.0,
        width: LABEL_WIDTH + value_width,
        value_x: LABEL_WIDTH as f64 + value_width as f64 / 2.0,
        logo: "",
    };
    badge.draw(Style::Flat)
}

/// Bytes as a badge shows them, in units of a thousand, with at most that many decimals.
pub fn size(bytes: u64, precision: usize) -> String {
    const UNITS: [&str; 4] = ["B", "KB", "MB", "GB"];
    let unit = (0..UNITS.len() - 1)
        .find(|&unit| bytes < 1000_u64.pow(unit as u32 + 1))
        .unwrap_or(UNITS.len() - 1);
    let number = format!("{:.precision$}", bytes as f64 / 1000_f64.powi(unit as i32));
    let number = match number.contains('.') {
        true => number.trim_end_matches('0').trim_end_matches('.'),
        false => &number,
    };
    format!("{number}{}", UNITS[unit])
}

/// The usual badge, of the sizes that README files are laid out for.
fn usual(figure: Option<&str>, value: String, colour: String) -> Badge {
    let percent = figure.and_then(|figure| figure.parse::<f64>().ok());
    let decimals = figure
        .and_then(|figure| figure.split_once('.'))
        .map_or(0, |(_, decimals)| decimals.len());
    let (width, label_width, value_x) = match (percent, decimals) {
        (None, _) => (137, 76, 105.5),
        (Some(100.0), _) | (_, 1) => (122, 76, 98.0),
        (_, 0) => (112, 73, 93.0),
        _ => (132, 76, 103.0),
    };
    Badge {
        label: LABEL.into(),
        value,
        colour,
        label_width,
        label_x: 46.0,
        width,
        value_x,
        logo: UMBRELLA,
    }
}

/// A badge without the umbrella, as wide as its texts.
fn sized(label: &str, value: String, colour: String) -> Badge {
    let label: String = label.chars().take(LABEL_CHARS).collect();
    let label_width = SPACE_WIDTH + LETTER_WIDTH * label.chars().count();
    let value_width = SPACE_WIDTH + LETTER_WIDTH * value.chars().count();
    Badge {
        label,
        value,
        colour,
        label_width,
        label_x: label_width as f64 / 2.0,
        width: label_width + value_width,
        value_x: label_width as f64 + value_width as f64 / 2.0,
        logo: "",
    }
}

/// Texts and where they stand.
struct Badge {
    label: String,
    value: String,
    colour: String,
    label_width: usize,
    label_x: f64,
    width: usize,
    value_x: f64,
    logo: &'static str,
}

impl Badge {
    fn draw(&self, style: Style) -> String {
        let width = self.width;
        let (corner, shine) = match style {
            Style::FlatSquare => (0, String::new()),
            _ => (
                3,
                format!(r#"<path fill="url(#s)" d="M0 0h{width}v20H0z"/>"#),
            ),
        };
        let head = self.head(20);
        let (label, value) = (
            self.text(&self.label, self.label_x),
            self.text(&self.value, self.value_x),
        );
        format!(
            r##"{head}
  <linearGradient id="s" x2="0" y2="100%"><stop offset="0" stop-color="#bbb" stop-opacity=".1"/><stop offset="1" stop-opacity=".1"/></linearGradient>
  <mask id="m"><rect width="{width}" height="20" rx="{corner}" fill="#fff"/></mask>
  <g mask="url(#m)">{fields}{shine}</g>
  <g fill="#fff" text-anchor="middle" font-family="DejaVu Sans,Verdana,Geneva,sans-serif" font-size="11">
    {label}
    {value}
  </g>
  {logo}
</svg>
"##,
            fields = self.fields(20),
            logo = self.logo,
        )
    }

    fn draw_high(&self) -> String {
        let wide = Badge {
            label: self.label.to_uppercase(),
            value: self.value.to_uppercase(),
            colour: self.colour.clone(),
            label_width: self.label_width * 3 / 2,
            label_x: self.label_x * 1.5,
            width: self.width * 3 / 2,
            value_x: self.value_x * 1.5,
            logo: "",
        };
        let text = |text: &str, x: f64| format!(r#"<text x="{x}" y="18">{}</text>"#, escape(text));
        format!(
            r##"{head}
  <g>{fields}</g>
  <g fill="#fff" text-anchor="middle" font-family="DejaVu Sans,Verdana,Geneva,sans-serif" font-size="10" letter-spacing="1.2">
    {label}
    {value}
  </g>
</svg>
"##,
            head = wide.head(28),
            fields = wide.fields(28),
            label = text(&wide.label, wide.label_x),
            value = text(&wide.value, wide.value_x),
        )
    }

    fn head(&self, height: usize) -> String {
        let title = escape(&format!("{}: {}", self.label, self.value));
        format!(
            r#"<svg xmlns="http://www.w3.org/2000/svg" width="{}" height="{height}" role="img" aria-label="{title}">
  <title>{title}</title>"#,
            self.width
        )
    }

    fn fields(&self, height: usize) -> String {
        let (at, rest, colour) = (
            self.label_width,
            self.width - self.label_width,
            &self.colour,
        );
        format!(
            r#"<path fill="{LABEL_COLOUR}" d="M0 0h{at}v{height}H0z"/><path fill="{colour}" d="M{at} 0h{rest}v{height}H{at}z"/>"#
        )
    }

    /// A text with its shadow.
    fn text(&self, text: &str, x: f64) -> String {
        let text = escape(text);
        format!(
            r##"<text x="{x}" y="15" fill="#010101" fill-opacity=".3">{text}</text><text x="{x}" y="14">{text}</text>"##
        )
    }
}

#[cfg(test)]
mod tests {
    use super::super::colours::DEFAULT_RANGE;
    use super::*;

    #[test]
    fn figures_are_rounded_and_ties_go_to_the_even_digit() {
        let shown = |percent, precision| figure(percent, precision);
        assert_eq!(shown(85.5, 0), "86");
        assert_eq!(shown(84.5, 0), "84");
        assert_eq!(shown(0.5, 0), "0");
        assert_eq!(shown(84.25, 1), "84.2");
        assert_eq!(shown(84.75, 1), "84.8");
        assert_eq!(shown(84.125, 2), "84.12");
        assert_eq!(shown(84.375, 2), "84.38");
        assert_eq!(shown(66.66667, 2), "66.67");
        assert_eq!(shown(100.0, 2), "100.00");
    }

    #[test]
    fn sizes_are_those_that_readmes_are_laid_out_for() {
        for (figure, width, label_width, x) in [
            (Some("85"), 112, 73, 93.0),
            (Some("9"), 112, 73, 93.0),
            (Some("85.1"), 122, 76, 98.0),
            (Some("100"), 122, 76, 98.0),
            (Some("100.00"), 122, 76, 98.0),
            (Some("85.12"), 132, 76, 103.0),
            (None, 137, 76, 105.5),
        ] {
            let badge = usual(figure, String::new(), String::new());
            assert_eq!(
                (badge.width, badge.label_width, badge.value_x),
                (width, label_width, x),
                "{figure:?}"
            );
        }
    }

    #[test]
    fn label_is_text_whatever_it_holds() {
        let look = Look {
            label: Some("</text><script>".into()),
            ..Look::default()
        };
        let badge = coverage(Some("85"), DEFAULT_RANGE, &look);
        assert!(badge.contains("&lt;/text&gt;&lt;script&gt;") && !badge.contains("<script"));
        let long = Look {
            label: Some("x".repeat(10_000)),
            ..Look::default()
        };
        assert!(coverage(None, DEFAULT_RANGE, &long).len() < 2000);
    }
}
