//! Graphs of a report: its directories and files as areas or rings, coloured by their coverage; and coverage over time.

use std::f64::consts::TAU;
use std::fmt::Write as _;

use super::colours::{DEFAULT_RANGE, of_percent};
use super::escape;
use super::tree::Part;

/// Parts that a graph shows, about, at most; what is smaller is shown as one.
pub const PARTS_MAX: u64 = 1_000;
/// Wedges are not drawn below this angle, nor areas below this width, in pixels or radians.
const LEAST_SIZE: f64 = 0.2;
const LEAST_ANGLE: f64 = 0.001;
/// The smallest and the largest side of a graph, in pixels.
const SIDES: std::ops::RangeInclusive<u32> = 16..=4096;

/// Width and height of a graph, in pixels.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Size {
    /// Width.
    pub width: u32,
    /// Height.
    pub height: u32,
}

impl Size {
    /// This size, brought within what is drawn.
    pub fn bounded(self) -> Size {
        let bounded = |side: u32| side.clamp(*SIDES.start(), *SIDES.end());
        Size {
            width: bounded(self.width),
            height: bounded(self.height),
        }
    }
}

/// A rectangle, in pixels.
#[derive(Clone, Copy, PartialEq, Debug)]
struct Area {
    x: f64,
    y: f64,
    width: f64,
    height: f64,
}

impl Area {
    fn of(size: Size) -> Area {
        Area {
            x: 0.0,
            y: 0.0,
            width: f64::from(size.width),
            height: f64::from(size.height),
        }
    }

    fn is_seen(&self) -> bool {
        self.width >= LEAST_SIZE && self.height >= LEAST_SIZE
    }
}

/// Files as areas, as near to squares as they can be, largest first.
pub fn tree(root: &Part, size: Size) -> String {
    let mut leaves = Vec::new();
    collect_leaves(root, &mut leaves);
    leaves.sort_by(|a, b| b.weight().total_cmp(&a.weight()));
    let mut drawn = start(size);
    squarify(&leaves, Area::of(size), &mut drawn);
    end(drawn)
}

fn collect_leaves<'a>(part: &'a Part, leaves: &mut Vec<&'a Part>) {
    if part.children.is_empty() && part.weight() > 0.0 {
        leaves.push(part);
    }
    part.children
        .iter()
        .for_each(|child| collect_leaves(child, leaves));
}

/// Fills the area with rows along its shorter side; a row takes parts as long as that makes its squarest part no worse.
/// Source: Bruls, Huizing, van Wijk, "Squarified Treemaps".
fn squarify(parts: &[&Part], mut area: Area, drawn: &mut String) {
    let mut left = parts;
    let mut weight: f64 = parts.iter().map(|part| part.weight()).sum();
    while !left.is_empty() && area.is_seen() {
        let scale = area.width * area.height / weight;
        let side = area.width.min(area.height);
        let (mut count, mut row, mut worst) = (0, 0.0, f64::INFINITY);
        for part in left {
            let with = row + part.weight() * scale;
            let ratio = worst_ratio(left[0].weight() * scale, part.weight() * scale, with, side);
            if count > 0 && ratio > worst {
                break;
            }
            (count, row, worst) = (count + 1, with, ratio);
        }
        let (taken, rest) = left.split_at(count);
        area = draw_row(taken, row / side, scale, area, drawn);
        weight -= taken.iter().map(|part| part.weight()).sum::<f64>();
        left = rest;
    }
}

/// How far from a square the worst part of a row is, whose largest and smallest parts have these areas.
fn worst_ratio(largest: f64, smallest: f64, row: f64, side: f64) -> f64 {
    let thickness = row / side;
    let ratio = |area: f64| {
        let length = area / thickness;
        (length / thickness).max(thickness / length)
    };
    ratio(largest).max(ratio(smallest))
}

/// Draws a row of that thickness; gives the area that is left.
fn draw_row(parts: &[&Part], thickness: f64, scale: f64, area: Area, drawn: &mut String) -> Area {
    let is_column = area.width >= area.height;
    let mut at = 0.0;
    for part in parts {
        let length = part.weight() * scale / thickness;
        let part_area = match is_column {
            true => Area {
                y: area.y + at,
                width: thickness,
                height: length,
                ..area
            },
            false => Area {
                x: area.x + at,
                width: length,
                height: thickness,
                ..area
            },
        };
        rectangle(part, part_area, drawn);
        at += length;
    }
    match is_column {
        true => Area {
            x: area.x + thickness,
            width: area.width - thickness,
            ..area
        },
        false => Area {
            y: area.y + thickness,
            height: area.height - thickness,
            ..area
        },
    }
}

/// A row for each level, the root on top; parts stand below what holds them.
pub fn icicle(root: &Part, size: Size) -> String {
    const FRAME: f64 = 0.05;
    let whole = Area::of(size);
    let row = whole.height / depth(root) as f64;
    let mut drawn = start(size);
    let framed = Area {
        x: whole.width * FRAME,
        width: whole.width * (1.0 - 2.0 * FRAME),
        height: row,
        ..whole
    };
    draw_icicle(root, framed, &mut drawn);
    end(drawn)
}

fn draw_icicle(part: &Part, area: Area, drawn: &mut String) {
    if !area.is_seen() || part.weight() <= 0.0 {
        return;
    }
    rectangle(part, area, drawn);
    let mut x = area.x;
    for child in &part.children {
        let width = area.width * child.weight() / part.weight();
        let below = Area {
            x,
            y: area.y + area.height,
            width,
            ..area
        };
        draw_icicle(child, below, drawn);
        x += width;
    }
}

/// A ring for each level, the root in the middle, from twelve o'clock.
pub fn sunburst(root: &Part, size: Size) -> String {
    const SHARE: f64 = 0.95;
    let radius = f64::from(size.width.min(size.height)) / 2.0 * SHARE;
    let ring = radius / depth(root) as f64;
    let mut drawn = start(size);
    let (x, y) = (f64::from(size.width) / 2.0, f64::from(size.height) / 2.0);
    drawn.push_str(&format!("<g transform=\"translate({x} {y})\">\n"));
    if root.weight() > 0.0 {
        draw_wedge(root, (0.0, TAU), 0, ring, &mut drawn);
    }
    drawn.push_str("</g>\n");
    end(drawn)
}

fn draw_wedge(part: &Part, (from, to): (f64, f64), level: usize, ring: f64, drawn: &mut String) {
    if to - from < LEAST_ANGLE {
        return;
    }
    let (inner, outer) = (level as f64 * ring, (level + 1) as f64 * ring);
    let shape = match to - from > TAU - LEAST_ANGLE {
        true => circle(inner, outer),
        false => wedge(from, to, inner, outer),
    };
    let colour = of_percent(part.percent(), DEFAULT_RANGE);
    let title = title(part);
    let _ = writeln!(
        drawn,
        "<path fill=\"{colour}\" fill-rule=\"evenodd\" d=\"{shape}\"><title>{title}</title></path>"
    );
    let mut at = from;
    for child in &part.children {
        let next = at + (to - from) * child.weight() / part.weight();
        draw_wedge(child, (at, next), level + 1, ring, drawn);
        at = next;
    }
}

fn circle(inner: f64, outer: f64) -> String {
    let ring =
        |radius: f64| format!("M0 -{radius:.2}A{radius:.2} {radius:.2} 0 1 1 -0.01 -{radius:.2}Z");
    match inner > 0.0 {
        true => format!("{}{}", ring(outer), ring(inner)),
        false => ring(outer),
    }
}

fn wedge(from: f64, to: f64, inner: f64, outer: f64) -> String {
    let point = |angle: f64, radius: f64| {
        format!("{:.2} {:.2}", radius * angle.sin(), -radius * angle.cos())
    };
    let large = u8::from(to - from > TAU / 2.0);
    format!(
        "M{}A{outer:.2} {outer:.2} 0 {large} 1 {}L{}A{inner:.2} {inner:.2} 0 {large} 0 {}Z",
        point(from, outer),
        point(to, outer),
        point(to, inner),
        point(from, inner),
    )
}

/// Coverage of commits, oldest first, as a line; higher is better. The axis spans what is shown.
pub fn line(commits: &[(String, f64)], size: Size) -> String {
    const MARGIN: f64 = 6.0;
    let values = || commits.iter().map(|(_, percent)| *percent);
    let (low, high) = (values().fold(100.0, f64::min), values().fold(0.0, f64::max));
    let spread = (high - low).max(1.0);
    let area = Area::of(size);
    let x = |at: usize| match commits.len() {
        0 | 1 => area.width / 2.0,
        count => MARGIN + at as f64 / (count - 1) as f64 * (area.width - 2.0 * MARGIN),
    };
    let y = |percent: f64| {
        area.height - MARGIN - (percent - low) / spread * (area.height - 2.0 * MARGIN)
    };
    let points: Vec<String> = commits
        .iter()
        .enumerate()
        .map(|(at, (_, percent))| format!("{:.2},{:.2}", x(at), y(*percent)))
        .collect();
    let mut drawn = start(size);
    let _ = writeln!(
        drawn,
        "<polyline fill=\"none\" stroke=\"#9f9f9f\" stroke-width=\"2\" points=\"{}\"/>",
        points.join(" ")
    );
    for (at, (name, percent)) in commits.iter().enumerate() {
        let _ = writeln!(
            drawn,
            "<circle cx=\"{:.2}\" cy=\"{:.2}\" r=\"4\" fill=\"{}\"><title>{} {percent:.2}%</title></circle>",
            x(at),
            y(*percent),
            of_percent(*percent, DEFAULT_RANGE),
            escape(name)
        );
    }
    end(drawn)
}

/// Levels of the tree, the root among them.
fn depth(part: &Part) -> usize {
    1 + part.children.iter().map(depth).max().unwrap_or(0)
}

fn rectangle(part: &Part, area: Area, drawn: &mut String) {
    if !area.is_seen() {
        return;
    }
    let Area {
        x,
        y,
        width,
        height,
    } = area;
    let _ = writeln!(
        drawn,
        "<rect x=\"{x:.2}\" y=\"{y:.2}\" width=\"{width:.2}\" height=\"{height:.2}\" fill=\"{}\"><title>{}</title></rect>",
        of_percent(part.percent(), DEFAULT_RANGE),
        title(part)
    );
}

fn title(part: &Part) -> String {
    let path = match part.path.is_empty() {
        true => "/",
        false => &part.path,
    };
    format!("{} {:.2}%", escape(path), part.percent())
}

fn start(Size { width, height }: Size) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
         viewBox=\"0 0 {width} {height}\">\n<style>rect,path{{stroke:#fff;stroke-width:1}}</style>\n"
    )
}

fn end(mut drawn: String) -> String {
    drawn.push_str("</svg>\n");
    drawn
}

#[cfg(test)]
mod tests {
    use engine::model::Totals;

    use super::super::tree::grow;
    use super::*;

    const SIZE: Size = Size {
        width: 300,
        height: 200,
    };

    fn many(files: usize) -> Part {
        let paths: Vec<String> = (0..files)
            .map(|n| format!("d{:04}/f{n:07}.c", n / 97))
            .collect();
        let files: Vec<(&str, Totals)> = paths
            .iter()
            .enumerate()
            .map(|(n, path)| {
                let lines = 1 + (n * 7919 % 503) as u64;
                let totals = Totals {
                    lines,
                    hits: lines / 2,
                    ..Totals::default()
                };
                (path.as_str(), totals)
            })
            .collect();
        grow(&files, PARTS_MAX)
    }

    #[test]
    fn graph_of_a_huge_report_is_small() {
        let root = many(200_000);
        for drawn in [
            tree(&root, SIZE),
            icicle(&root, SIZE),
            sunburst(&root, SIZE),
        ] {
            assert!(drawn.len() < 600_000, "{} bytes", drawn.len());
            assert!(!drawn.contains("NaN") && !drawn.contains("inf"));
        }
    }

    #[test]
    fn areas_of_a_tree_fill_it_and_are_as_large_as_their_files() {
        let root = many(60);
        let drawn = tree(&root, SIZE);
        let number = |line: &str, name: &str| -> f64 {
            let rest = line.split_once(&format!(" {name}=\"")).unwrap().1;
            rest.split_once('"').unwrap().0.parse().unwrap()
        };
        let rectangles = drawn.lines().filter(|line| line.starts_with("<rect"));
        let area: f64 = rectangles
            .map(|line| number(line, "width") * number(line, "height"))
            .sum();
        assert!((area - 60_000.0).abs() < 60.0, "{area}");
    }

    #[test]
    fn path_is_text_whatever_it_holds() {
        let totals = Totals {
            lines: 1,
            ..Totals::default()
        };
        let root = grow(&[("<script>alert(1)</script>\".c", totals)], PARTS_MAX);
        for drawn in [
            tree(&root, SIZE),
            icicle(&root, SIZE),
            sunburst(&root, SIZE),
        ] {
            assert!(!drawn.contains("<script"), "{drawn}");
        }
        assert!(!line(&[("<script>".into(), 1.0)], SIZE).contains("<script"));
    }

    #[test]
    fn empty_graphs_are_whole_documents() {
        let root = grow(&[], PARTS_MAX);
        for drawn in [
            tree(&root, SIZE),
            icicle(&root, SIZE),
            sunburst(&root, SIZE),
            line(&[], SIZE),
        ] {
            assert!(
                drawn.starts_with("<svg") && drawn.ends_with("</svg>\n"),
                "{drawn}"
            );
        }
        let huge = Size {
            width: 0,
            height: u32::MAX,
        }
        .bounded();
        assert_eq!((huge.width, huge.height), (16, 4096));
    }
}
