//! Apache Parquet: a row for each line, for engines that query columns. Rows are written in groups, so that no more than
//! one group is held.
//!
//! Source: the Parquet format's specification, <https://parquet.apache.org/docs/file-format/>.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use engine::model::{Coverage, Evidence, FileCoverage, Kind, State};
use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{ByteArray, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::Result;
use parquet::file::properties::{WriterProperties, WriterPropertiesPtr};
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::TypePtr;

/// Rows of a group.
const GROUP_ROWS: usize = 1 << 17;
/// Columns, in the order of [`Rows`]. `state` is null for a line that does not count.
const SCHEMA: &str = "message coverage {
    required binary path (string);
    required int32 line (integer(32, false));
    required binary kind (string);
    optional binary state (string);
    optional int64 hits (integer(64, false));
    optional int32 arms_taken (integer(32, false));
    optional int32 arms_total (integer(32, false));
}";

static COLUMNS: LazyLock<TypePtr> =
    LazyLock::new(|| Arc::new(parse_message_type(SCHEMA).expect("the schema is right")));
static PROPERTIES: LazyLock<WriterPropertiesPtr> = LazyLock::new(|| {
    let compression = Compression::ZSTD(ZstdLevel::default());
    let properties = WriterProperties::builder().set_compression(compression);
    Arc::new(properties.build())
});

/// A file that is being written.
pub(super) struct Table {
    writer: SerializedFileWriter<Vec<u8>>,
    rows: Rows,
}

/// The rows of the next group, by column.
#[derive(Default)]
struct Rows {
    path: Vec<ByteArray>,
    line: Vec<i32>,
    kind: Vec<ByteArray>,
    state: Sparse<ByteArray>,
    hits: Sparse<i64>,
    arms_taken: Sparse<i32>,
    arms_total: Sparse<i32>,
}

/// A column that not every row has a value in.
struct Sparse<T> {
    values: Vec<T>,
    /// For each row 1 where it has a value, else 0.
    levels: Vec<i16>,
}

impl<T> Default for Sparse<T> {
    fn default() -> Sparse<T> {
        Sparse {
            values: Vec::new(),
            levels: Vec::new(),
        }
    }
}

impl<T> Sparse<T> {
    fn push(&mut self, value: Option<T>) {
        self.levels.push(i16::from(value.is_some()));
        self.values.extend(value);
    }
}

impl Table {
    pub(super) fn new() -> Table {
        let writer = SerializedFileWriter::new(Vec::new(), COLUMNS.clone(), PROPERTIES.clone());
        Table {
            writer: writer.expect("memory takes it"),
            rows: Rows::default(),
        }
    }

    pub(super) fn file(&mut self, path: &str, file: &FileCoverage, out: &mut Vec<u8>) {
        let path = ByteArray::from(path);
        for (line, row) in file.rows() {
            self.rows.push(&path, line, &row);
            if self.rows.line.len() == GROUP_ROWS {
                self.write_group().expect("memory takes it");
                out.append(self.writer.inner_mut());
            }
        }
    }

    pub(super) fn end(&mut self, out: &mut Vec<u8>) {
        self.write_group().expect("memory takes it");
        self.writer.finish().expect("memory takes it");
        out.append(self.writer.inner_mut());
    }

    fn write_group(&mut self) -> Result<()> {
        let rows = std::mem::take(&mut self.rows);
        if rows.line.is_empty() {
            return Ok(());
        }
        let mut group = self.writer.next_row_group()?;
        write::<ByteArrayType>(&mut group, &rows.path, None)?;
        write::<Int32Type>(&mut group, &rows.line, None)?;
        write::<ByteArrayType>(&mut group, &rows.kind, None)?;
        write_sparse::<ByteArrayType>(&mut group, &rows.state)?;
        write_sparse::<Int64Type>(&mut group, &rows.hits)?;
        write_sparse::<Int32Type>(&mut group, &rows.arms_taken)?;
        write_sparse::<Int32Type>(&mut group, &rows.arms_total)?;
        group.close()?;
        self.writer.flush()?;
        Ok(())
    }
}

impl Rows {
    fn push(&mut self, path: &ByteArray, line: u32, row: &Evidence<'_>) {
        let coverage = row.coverage();
        let (hits, arms) = match coverage {
            Coverage::Hits(hits) => (Some(hits as i64), None),
            Coverage::Arms { taken, total } => (None, Some((taken as i32, total as i32))),
            _ => (None, None),
        };
        self.path.push(path.clone());
        self.line.push(line as i32);
        self.kind.push(word(kind(row.kind)));
        self.state
            .push(coverage.state().map(|covered| word(state(covered))));
        self.hits.push(hits);
        self.arms_taken.push(arms.map(|(taken, _)| taken));
        self.arms_total.push(arms.map(|(_, total)| total));
    }
}

/// Nothing is allocated for it.
fn word(word: &'static str) -> ByteArray {
    Bytes::from_static(word.as_bytes()).into()
}

fn kind(kind: Kind) -> &'static str {
    match kind {
        Kind::Line => "line",
        Kind::Method => "method",
        Kind::Branch => "branch",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Hit => "hit",
        State::Miss => "miss",
        State::Partial => "partial",
    }
}

fn write_sparse<D: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    column: &Sparse<D::T>,
) -> Result<()> {
    write::<D>(group, &column.values, Some(&column.levels))
}

/// Writes the next column of a group.
fn write<D: DataType>(
    group: &mut SerializedRowGroupWriter<'_, Vec<u8>>,
    values: &[D::T],
    levels: Option<&[i16]>,
) -> Result<()> {
    let mut column = group.next_column()?.expect("the schema has this column");
    column.typed::<D>().write_batch(values, levels, None)?;
    column.close()
}

#[cfg(test)]
mod tests {
    use engine::model::FileBuilder;
    use parquet::file::reader::{FileReader as _, SerializedFileReader};

    use super::*;

    #[test]
    fn every_line_is_a_row() {
        let mut odd = FileBuilder::new();
        odd.hits(1, u64::MAX);
        let arms = Coverage::Arms { taken: 1, total: 2 };
        odd.append(3, Kind::Branch, arms, None, None);
        odd.append(4, Kind::Method, Coverage::Ignored, None, None);
        let mut long = FileBuilder::new();
        long.run(1..2 * GROUP_ROWS as u32 + 1, 7);
        let (mut table, mut out) = (Table::new(), Vec::new());
        table.file("src/odd.c", &odd.finish(), &mut out);
        assert!(out.is_empty());
        table.file("src/long.c", &long.finish(), &mut out);
        assert!(!out.is_empty());
        table.file("src/end.c", &FileBuilder::new().finish(), &mut out);
        table.end(&mut out);
        let reader = SerializedFileReader::new(Bytes::from(out)).expect("it is Parquet");
        let rows: Vec<String> = reader
            .get_row_iter(None)
            .expect("it has rows")
            .map(|row| row.expect("a row").to_string())
            .collect();
        assert_eq!(rows.len(), 3 + 2 * GROUP_ROWS);
        let groups = reader.metadata().row_groups().iter();
        let groups: Vec<i64> = groups.map(|group| group.num_rows()).collect();
        assert_eq!(groups, [GROUP_ROWS as i64, GROUP_ROWS as i64, 3]);
        assert_eq!(
            rows[..4],
            [
                r#"{path: "src/odd.c", line: 1, kind: "line", state: "hit", hits: 18446744073709551615, arms_taken: null, arms_total: null}"#,
                r#"{path: "src/odd.c", line: 3, kind: "branch", state: "partial", hits: null, arms_taken: 1, arms_total: 2}"#,
                r#"{path: "src/odd.c", line: 4, kind: "method", state: null, hits: null, arms_taken: null, arms_total: null}"#,
                r#"{path: "src/long.c", line: 1, kind: "line", state: "hit", hits: 7, arms_taken: null, arms_total: null}"#,
            ]
        );
    }
}
