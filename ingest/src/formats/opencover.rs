//! OpenCover's XML, which coverlet writes too. Source: OpenCover's `Coverage.xsd`.

use std::collections::{HashMap, HashSet};
use std::ops::RangeInclusive;

use engine::model::{ArmId, Coverage, FileBuilder, Kind};

use super::pieces::{cut_xml, forget, read_pieces};
use super::{Context, MAX_LINE};
use crate::error::{Failure, ProblemCode, Result};
use crate::number::{count, integer};
use crate::report_fixes::IgnoredLines;
use crate::xml::{Markup, Scanner};

/// Lines that points of more than one line may cover in all, beside those that the size of the report
/// allows: a short report must not stand for much work.
const MAX_SPANNED_LINES: usize = 1_000_000;

/// Adds the files of a document: module by module if each has the files of its methods, and no others.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    let modules = cut_xml(content, b"</Module>", |_, _| true);
    let problems = context.problems.len();
    if let Ok(parts) = read_pieces(&modules, context, parse_piece)
        && are_apart(&parts, content.len())
    {
        return Ok(());
    }
    forget(context, problems);
    parse_piece(content, context).map(drop)
}

/// What decides whether parts of a document do not depend on each other.
struct Part<'a> {
    declared: HashSet<&'a [u8]>,
    /// Files that methods named and that the part does not declare.
    unknown: HashSet<&'a [u8]>,
    /// How many lines points spanned; `None` when they were too many.
    spanned: Option<usize>,
}

/// Whether parts are what they would be in one: no file is of two, and all spans were allowed.
fn are_apart(parts: &[Part<'_>], size_bytes: usize) -> bool {
    if let [_] = parts {
        return true;
    }
    let mut declared = HashSet::new();
    let once = parts
        .iter()
        .flat_map(|part| &part.declared)
        .all(|&uid| declared.insert(uid));
    let mut unknown = parts.iter().flat_map(|part| &part.unknown);
    let spanned = parts
        .iter()
        .try_fold(0_usize, |all, part| all.checked_add(part.spanned?));
    once && !unknown.any(|&uid| declared.contains(uid))
        && spanned.is_some_and(|spanned| spanned <= most_spanned(size_bytes))
}

/// Adds the files of a document or of some of its modules.
fn parse_piece<'a>(content: &'a [u8], context: &mut Context<'_>) -> Result<Part<'a>> {
    let mut reader = Reader::new(content.len());
    reader.read(content, context)?;
    if reader.refers_ahead {
        // Methods came before the files that they are in. Now all files are known.
        let (files, by_uid) = (reader.files, reader.by_uid);
        let files = files.into_iter().map(|file| File {
            lines: FileBuilder::new(),
            ..file
        });
        reader = Reader {
            files: files.collect(),
            by_uid,
            ..Reader::new(content.len())
        };
        reader.read(content, context)?;
    }
    let spanned = most_spanned(content.len()) - reader.spanned;
    for file in reader.files {
        context.found.add(file.path, file.lines.finish());
    }
    Ok(Part {
        declared: reader.by_uid.into_keys().collect(),
        unknown: reader.unknown,
        spanned: (!reader.spans_too_many).then_some(spanned),
    })
}

/// How many lines points of a report of that size may span.
fn most_spanned(size_bytes: usize) -> usize {
    size_bytes.saturating_add(MAX_SPANNED_LINES)
}

struct Reader<'a, 'c> {
    files: Vec<File<'c>>,
    by_uid: HashMap<&'a [u8], usize>,
    /// Files that methods named and that were not known yet.
    unknown: HashSet<&'a [u8]>,
    /// Whether one of them came later.
    refers_ahead: bool,
    method: Method<'a>,
    is_in_method: bool,
    /// Lines that points may still span.
    spanned: usize,
    /// Whether one would have spanned more.
    spans_too_many: bool,
}

struct File<'c> {
    path: String,
    ignored: Option<&'c IgnoredLines>,
    lines: FileBuilder,
}

/// What was read of the method that is open.
#[derive(Default)]
struct Method<'a> {
    /// Elements of the method that are open.
    depth: usize,
    has_file: bool,
    file: Option<&'a [u8]>,
    points: Vec<Point>,
    /// Arms that were not taken, with their line.
    missed: Vec<(i64, ArmId)>,
    /// What is wrong with the first point that is; it counts if the file is known.
    wrong: Option<Failure>,
}

/// A statement: its lines, and how they ran.
struct Point {
    first: i64,
    last: i64,
    kind: Kind,
    coverage: Coverage,
}

impl<'a, 'c> Reader<'a, 'c> {
    fn new(size_bytes: usize) -> Reader<'a, 'c> {
        Reader {
            files: Vec::new(),
            by_uid: HashMap::new(),
            unknown: HashSet::new(),
            refers_ahead: false,
            method: Method::default(),
            is_in_method: false,
            spanned: most_spanned(size_bytes),
            spans_too_many: false,
        }
    }

    fn read(&mut self, content: &'a [u8], context: &mut Context<'c>) -> Result<()> {
        let mut scanner = Scanner::new(content);
        while let Some(markup) = scanner.next() {
            match markup {
                Markup::Open(b"File") | Markup::Empty(b"File") => self.file(&scanner, context)?,
                Markup::Open(b"Method") => {
                    self.finish_method(context)?;
                    self.is_in_method = true;
                }
                Markup::Close(b"Method") => self.finish_method(context)?,
                Markup::Open(name) if self.is_in_method => {
                    self.method.element(name, &scanner);
                    self.method.depth += 1;
                }
                Markup::Empty(name) if self.is_in_method => self.method.element(name, &scanner),
                Markup::Close(_) => self.method.depth = self.method.depth.saturating_sub(1),
                _ => {}
            }
        }
        self.finish_method(context)
    }

    fn file(&mut self, scanner: &Scanner<'a>, context: &Context<'c>) -> Result<()> {
        let name = scanner
            .text_attribute(b"fullPath")
            .ok_or_else(|| Failure::fails("opencover: a file has no fullPath"))?;
        let Some(path) = context.paths.fix(&name.replace('\\', "/"))? else {
            return Ok(());
        };
        let uid = scanner
            .attribute(b"uid")
            .ok_or_else(|| Failure::fails(format!("opencover: file {path} has no uid")))?;
        if path.is_empty() {
            return Ok(());
        }
        self.refers_ahead |= self.unknown.contains(uid);
        if self
            .by_uid
            .get(uid)
            .is_none_or(|&at| self.files[at].path != path)
        {
            self.by_uid.insert(uid, self.files.len());
            self.files.push(File {
                ignored: context.ignored.get(&path),
                path,
                lines: FileBuilder::new(),
            });
        }
        Ok(())
    }

    fn finish_method(&mut self, context: &mut Context<'_>) -> Result<()> {
        self.is_in_method = false;
        let known = self.method.file.and_then(|uid| self.by_uid.get(uid));
        if let Some(&at) = known {
            if let Some(wrong) = self.method.wrong.take() {
                return Err(wrong);
            }
            self.add_points(at, context)?;
        } else {
            self.unknown.extend(self.method.file);
        }
        self.method.clear();
        Ok(())
    }

    /// Adds the points of the method to its file.
    fn add_points(&mut self, at: usize, context: &mut Context<'_>) -> Result<()> {
        let missed = &mut self.method.missed;
        missed.sort_unstable();
        missed.dedup();
        for point in &self.method.points {
            let lines = point.lines(&mut self.spanned, &self.files[at].path, context)?;
            self.spans_too_many |= point.is_cut(&lines);
            self.files[at].add(lines, point, missed, context);
        }
        Ok(())
    }
}

impl File<'_> {
    /// Adds what a point says to all its lines. `missed` are the arms of the method, by line.
    fn add(
        &mut self,
        span: RangeInclusive<i64>,
        point: &Point,
        missed: &[(i64, ArmId)],
        context: &mut Context<'_>,
    ) {
        for number in span {
            let Some(line) = context.checked_line(number, &self.path) else {
                return;
            };
            if self.ignored.is_some_and(|lines| lines.contains(line)) {
                continue;
            }
            if let Coverage::Hits(hits) = point.coverage {
                self.lines.hits(line, hits);
                continue;
            }
            let from = missed.partition_point(|arm| arm.0 < number);
            let arms = missed[from..].iter().take_while(|arm| arm.0 == number);
            let arms: Vec<ArmId> = arms.map(|arm| arm.1).collect();
            let missed = (!arms.is_empty()).then_some(&arms[..]);
            self.lines
                .append(line, point.kind, point.coverage, missed, None);
        }
    }
}

impl Point {
    /// Reads the attributes of a `SequencePoint`; `None` for one without a place. The name of one that
    /// is no number else.
    fn read(scanner: &Scanner<'_>) -> std::result::Result<Option<Point>, &'static str> {
        let text = |name: &str| scanner.attribute(name.as_bytes());
        let (Some(first @ [_, ..]), Some(last @ [_, ..])) = (text("sl"), text("el")) else {
            return Ok(None);
        };
        let hits = text("vc").and_then(integer).ok_or("vc")?;
        let (kind, coverage) = match text("bec") {
            None => (Kind::Line, signed_hits(hits)),
            Some(b"0") => (Kind::Line, Coverage::Hits(hits.max(0).unsigned_abs())),
            Some(total) => (Kind::Branch, arms(text("bev"), total)),
        };
        Ok(Some(Point {
            first: integer(first).ok_or("sl")?,
            last: integer(last).ok_or("el")?,
            kind,
            coverage,
        }))
    }

    /// The lines of the point. `left` is how many more may be spanned.
    fn lines(
        &self,
        left: &mut usize,
        path: &str,
        context: &mut Context<'_>,
    ) -> Result<RangeInclusive<i64>> {
        let first = self.first;
        if first < 1 {
            let reason = format!("opencover: a point of {path} is at line {first}");
            return Err(Failure::fails(reason));
        }
        let last = self.last.clamp(first, first.max(i64::from(MAX_LINE)));
        let more = usize::try_from(last - first).unwrap_or(usize::MAX);
        if more <= *left {
            *left -= more;
            return Ok(first..=last);
        }
        let message = format!(
            "{path}: of lines {first} to {last} only the first is kept, as the report spans too many"
        );
        context.problem(None, ProblemCode::LineTooLarge, message);
        Ok(first..=first)
    }

    /// Whether these of its lines are not all that may be kept.
    fn is_cut(&self, lines: &RangeInclusive<i64>) -> bool {
        *lines.end() < self.last.min(i64::from(MAX_LINE))
    }
}

/// A count that may be negative: -1 excludes the line, others are not zero at least.
fn signed_hits(hits: i64) -> Coverage {
    match hits {
        -1 => Coverage::Ignored,
        hits => Coverage::Hits(hits.unsigned_abs()),
    }
}

/// The arms of a branch. Numbers that are not written plainly tell that it is one, and no more than
/// their texts do: equal ones a hit, `0` of something else a miss.
fn arms(taken: Option<&[u8]>, total: &[u8]) -> Coverage {
    let plain = |text: &[u8]| {
        let is_plain = text == b"0" || !text.starts_with(b"0");
        let count = count(text).filter(|_| is_plain);
        count.and_then(|count| u32::try_from(count.value).ok())
    };
    match (taken.and_then(plain), plain(total)) {
        (Some(taken), Some(total)) => Coverage::Arms { taken, total },
        _ if taken == Some(total) => Coverage::Arms { taken: 1, total: 1 },
        (Some(0), _) => Coverage::Arms { taken: 0, total: 1 },
        _ => Coverage::Partial,
    }
}

impl<'a> Method<'a> {
    fn element(&mut self, name: &[u8], scanner: &Scanner<'a>) {
        match name {
            b"FileRef" if self.depth == 0 && !self.has_file => {
                self.has_file = true;
                self.file = scanner.attribute(b"uid");
            }
            b"SequencePoint" => match Point::read(scanner) {
                Ok(point) => self.points.extend(point),
                Err(what) => self.is_wrong(&format!("a point has no valid {what}")),
            },
            b"BranchPoint" if scanner.attribute(b"vc") == Some(b"0") => self.branch(scanner),
            _ => {}
        }
    }

    /// A branch point that was never visited.
    fn branch(&mut self, scanner: &Scanner<'a>) {
        let Some(line) = scanner.attribute(b"sl").filter(|line| !line.is_empty()) else {
            return;
        };
        let Some(line) = integer(line) else {
            return self.is_wrong("the line of a branch is no number");
        };
        let text = |name: &[u8]| scanner.text_attribute(name);
        let Some(offset) = text(b"offset") else {
            return self.is_wrong("a branch has no offset");
        };
        let arm = match text(b"offsetend").filter(|end| !end.is_empty()) {
            Some(end) => ArmId::parse(&format!("{offset}:{end}")),
            None => ArmId::parse(&offset),
        };
        self.missed.push((line, arm));
    }

    fn is_wrong(&mut self, what: &str) {
        let reason = || Failure::fails(format!("opencover: {what}"));
        self.wrong.get_or_insert_with(reason);
    }

    fn clear(&mut self) {
        self.points.clear();
        self.missed.clear();
        (self.depth, self.has_file, self.file, self.wrong) = (0, false, None, None);
    }
}
