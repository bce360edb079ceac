//! JSON of Istanbul (nyc, Jest, Vitest, c8), and of jscoverage, which comes under the same names.
//! Sources: istanbul-lib-coverage, "coverage.json format"; node-jscoverage.
//!
//! Read in one pass, without building the document; entries of a large one are read in parallel.
//! Keys that decide for other formats are watched for on the way.

mod jscoverage;
mod maps;
mod parts;

use engine::model::{Coverage, FileBuilder, Kind};

use super::{Attempt, Context, FoundFile};
use crate::detect::Format;
use crate::error::{Failure, Result};
use crate::json::{self, Cursor, Entry, Step};
use maps::{Maps, Node, Pairs};

/// Adds the files of a document that is Istanbul's for sure, if it is JSON.
pub(super) fn parse(content: &[u8], context: &mut Context<'_>) -> Result<()> {
    add_all(read(content, mode(content, context))?, context)
}

/// Adds the files of a document, unless other formats could claim it.
pub(super) fn attempt(content: &[u8], context: &mut Context<'_>) -> Result<Attempt> {
    match read(content, mode(content, context)) {
        Ok(entries) if !entries.is_empty() && !entries.iter().any(is_of_other_format) => {
            context.format = Some(Format::Node);
            add_all(entries, context).map(|()| Attempt::Read)
        }
        _ => Ok(Attempt::OtherFormat),
    }
}

/// How files are read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Mode {
    /// A line has the greatest count of all that starts on it.
    Lines,
    /// Columns are kept, and branches count by their arms.
    Parts,
}

/// `enable_partials` counts only where the first file is named like a script.
fn mode(content: &[u8], context: &Context<'_>) -> Mode {
    let first = || {
        let mut cursor = Cursor::new(content);
        cursor.expect(b'{').and_then(|()| cursor.string())
    };
    if context.parsers.javascript_partials && first().is_ok_and(|name| name.ends_with(".js")) {
        Mode::Parts
    } else {
        Mode::Lines
    }
}

/// One key of the document and what stands there.
struct File {
    /// What it lacks counts only if it is one of the repository.
    file: Result<FoundFile>,
    is_object: bool,
}

fn is_of_other_format(entry: &Entry<'_, File>) -> bool {
    const OTHERS: [&str; 11] = [
        "coverage",
        "RSpec",
        "MiniTest",
        "fileReports",
        "source_files",
        "coverageData",
        "uploader",
        "flowStatus",
        "meta",
        "Type",
        "File",
    ];
    !entry.value.is_object || OTHERS.contains(&&*entry.key)
}
fn read(content: &[u8], mode: Mode) -> Step<Vec<Entry<'_, File>>> {
    let mut cursor = Cursor::new(content);
    let entries = json::entries(
        &mut cursor,
        br#""path""#,
        |reader: &mut Reader, cursor, name| {
            let is_object = cursor.peek()? == b'{';
            let file = if is_object {
                reader.file(cursor, name, mode)?
            } else {
                cursor.skip()?;
                Err(Failure::fails(format!("istanbul: {name} is no object")))
            };
            Ok(File { file, is_object })
        },
    )?;
    cursor.end()?;
    Ok(entries)
}

fn add_all(entries: Vec<Entry<'_, File>>, context: &mut Context<'_>) -> Result<()> {
    for Entry { key, value, .. } in json::each(entries) {
        if let Some(path) = find_path(&key, context)? {
            context.add_file(path, value.file?);
        }
    }
    Ok(())
}

/// The path of a file, or of the source that it was built from: `lib/` is where builds go.
fn find_path(name: &str, context: &Context<'_>) -> Result<Option<String>> {
    let known = |path: Option<String>| path.filter(|path| !path.is_empty());
    match known(context.paths.fix(name)?) {
        None if name.contains("lib/") => {
            Ok(known(context.paths.fix(&name.replacen("lib/", "src/", 1))?))
        }
        path => Ok(path),
    }
}

/// Reads files one by one; what it needs for one takes the place of what the last one had.
#[derive(Default)]
struct Reader {
    rows: Rows,
    builder: FileBuilder,
}

impl Reader {
    /// Reads the object at the cursor. The inner result is what the file's shape is worth.
    fn file<'a>(
        &mut self,
        cursor: &mut Cursor<'a>,
        name: &str,
        mode: Mode,
    ) -> Step<Result<FoundFile>> {
        let outer = Maps::read(cursor)?;
        let inner = match outer.data {
            Some(data) => Some(Maps::read(&mut Cursor::new(data))?),
            None => None,
        };
        let maps = inner.as_ref().unwrap_or(&outer);
        // Where columns are wanted, jscoverage is looked for before the data is unwrapped.
        let lines = match mode {
            Mode::Lines => maps,
            Mode::Parts => &outer,
        };
        let read = if let Some(lines) = lines.line_data {
            jscoverage::read(lines, maps.branch_data, &mut self.builder)?
        } else if let Some(lines) = maps.lines_covered {
            jscoverage::read_covered(lines, &mut self.builder)?
        } else {
            match mode {
                Mode::Lines => self.lines(maps),
                Mode::Parts => parts::read(maps, &mut self.builder),
            }
            .map(|()| maps.cut)
        };
        let lines = self.builder.take();
        Ok(read
            .map(|cut| FoundFile::new(lines, cut))
            .map_err(|reason| Failure::fails(format!("istanbul: {name}: {reason}"))))
    }

    /// Gives every line the greatest count of what starts there.
    fn lines(&mut self, maps: &Maps<'_>) -> std::result::Result<(), String> {
        if let Some(fault) = &maps.fault {
            return Err(fault.clone());
        }
        self.rows.clear();
        let Maps {
            statements,
            branches,
            functions,
            ..
        } = maps;
        let counts = Pairs::new(&statements.ids, &maps.s.ids);
        for (slot, node) in statements.nodes.iter().enumerate().filter(counted) {
            let count = counts.find(slot).ok_or("a statement has no count")?;
            self.rows.push(node.line(), Kind::Line, maps.s.all[count]);
        }
        let counts = Pairs::new(&branches.ids, &maps.b.ids);
        for (slot, node) in branches.nodes.iter().enumerate().filter(|row| !row.1.skip) {
            let arms = branches.arms(node).ok_or("a branch has no locations")?;
            let counts = match counts.find(slot) {
                Some(slot) => maps.b.of(slot),
                None if arms.is_empty() => &[],
                None => return Err("a branch has no counts".into()),
            };
            for (at, arm) in arms.iter().enumerate().filter(|arm| arm.1.line > 0) {
                let count = counts.get(at).ok_or("an arm has no count")?;
                self.rows.push(arm.line, Kind::Branch, *count);
            }
        }
        let counts = Pairs::new(&functions.ids, &maps.f.ids);
        for (slot, node) in functions.nodes.iter().enumerate().filter(|row| !row.1.skip) {
            if !node.has_loc {
                return Err("a function has no loc".into());
            }
            if node.line() > 0 {
                let count = counts.find(slot).ok_or("a function has no count")?;
                self.rows.push(node.line(), Kind::Method, maps.f.all[count]);
            }
        }
        self.rows.finish(&mut self.builder);
        Ok(())
    }
}

fn counted(row: &(usize, &Node)) -> bool {
    !row.1.skip && row.1.line() > 0
}

/// What is said of lines, in the order of its coming, and a table to bring it together in.
#[derive(Default)]
struct Rows {
    said: Vec<(u32, Kind, Coverage)>,
    /// The greatest line.
    last: u32,
    /// Whether something else than a number of hits was said.
    odd: bool,
    /// By line: hits, and what the line is; 0 where nothing was said. Empty between files.
    hits: Vec<u64>,
    kinds: Vec<u8>,
    run: Run,
}

/// A table may have so many lines for each row, so that it costs no more than what was read.
const LINES_PER_ROW: usize = 16;

impl Rows {
    fn clear(&mut self) {
        self.said.clear();
        (self.last, self.odd) = (0, false);
    }

    #[inline]
    fn push(&mut self, line: u32, kind: Kind, coverage: Coverage) {
        self.last = self.last.max(line);
        self.odd |= !matches!(coverage, Coverage::Hits(_));
        self.said.push((line, kind, coverage));
    }

    fn finish(&mut self, file: &mut FileBuilder) {
        if self.odd || self.last as usize > LINES_PER_ROW * (self.said.len() + 64) {
            for &(line, kind, coverage) in &self.said {
                file.append(line, kind, coverage, None, None);
            }
            return;
        }
        let lines = self.last as usize + 1;
        self.hits.clear();
        self.hits.resize(lines, 0);
        self.kinds.clear();
        self.kinds.resize(lines, 0);
        for &(line, kind, coverage) in &self.said {
            let (hits, known) = (
                &mut self.hits[line as usize],
                &mut self.kinds[line as usize],
            );
            if let Coverage::Hits(more) = coverage {
                *hits = (*hits).max(more);
            }
            // The first kind that is not the plain one stays.
            if *known <= PLAIN {
                *known = PLAIN + kind as u8;
            }
        }
        self.fill(file);
    }

    /// Moves the table to the file.
    fn fill(&mut self, file: &mut FileBuilder) {
        let Run { lines, hits, kinds } = &mut self.run;
        lines.resize(self.kinds.len(), 0);
        hits.resize(self.kinds.len(), 0);
        kinds.resize(self.kinds.len(), Kind::Line);
        let mut rows = 0;
        for (line, (&known, &count)) in self.kinds.iter().zip(&self.hits).enumerate() {
            // Written always, as a branch on whether something was said would be foreseen wrongly.
            (lines[rows], hits[rows]) = (line as u32, count);
            kinds[rows] = KINDS[usize::from(known) % KINDS.len()];
            rows += usize::from(known != 0);
        }
        file.counted(&lines[..rows], &hits[..rows], &kinds[..rows]);
    }
}

/// Rows in columns.
#[derive(Default)]
struct Run {
    lines: Vec<u32>,
    hits: Vec<u64>,
    kinds: Vec<Kind>,
}

/// What lines are, by what stands in the table for them.
const KINDS: [Kind; 4] = [Kind::Line, Kind::Line, Kind::Method, Kind::Branch];

/// What stands in the table for a plain line; greater kinds are greater by as much.
const PLAIN: u8 = 1;
