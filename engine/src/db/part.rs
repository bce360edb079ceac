//! Parts of lists: numbered pages, and windows that begin beside a known row, whose cost does not grow with how far
//! into the list they are.
//!
//! A list states its order once (`Order`). From it follow the text and the values of a query for any part, and the
//! places from which the parts before and after go on.

use std::sync::Arc;

use quick_cache::sync::Cache;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use sqlx::sqlite::SqliteRow;

use super::Conn;
use crate::clock::Clock;
use crate::error::{Error, Result};

/// Binds these values to a query, of whichever engine.
macro_rules! bound {
    ($query:expr, $values:expr) => {
        $values.fold($query, |query, value| match value {
            Key::Int(number) => query.bind(*number),
            Key::Text(text) => query.bind(text.as_str()),
            Key::Float(number) => query.bind(*number),
        })
    };
}

pub(crate) use bound;

/// Rows that are counted one by one each time a list is shown; the number of a longer list is remembered.
const COUNT_EXACT: i64 = 1_000;
/// How long the number of rows of a long list is remembered.
const COUNT_AGE_US: i64 = 10_000_000;
/// Long lists whose numbers of rows are remembered.
const COUNTS: usize = 1_000;

/// One page of a list: at most `limit` rows after the first `offset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Rows at most.
    pub limit: i64,
    /// Rows skipped.
    pub offset: i64,
}

impl Page {
    /// The first `limit` rows.
    pub fn first(limit: i64) -> Page {
        Page { limit, offset: 0 }
    }
}

/// Which part of a list is asked for.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// A page by its place; all rows are counted.
    Numbered(Page),
    /// Rows beside a known one; nothing is counted.
    Beside {
        /// Rows at most.
        limit: i64,
        /// Where to go on; the list's beginning without.
        from: Option<Place>,
    },
}

impl From<Page> for Part {
    fn from(page: Page) -> Part {
        Part::Numbered(page)
    }
}

/// A place in a list: behind or before the row of this key.
#[derive(Clone, Debug, PartialEq)]
pub struct Place {
    /// On which side of the row.
    pub side: Side,
    /// What the list is ordered by, of that row.
    pub key: Vec<Key>,
}

/// A side of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Rows that precede it.
    Before,
    /// Rows that follow it.
    After,
}

/// One value that a list is ordered or filtered by.
#[derive(Clone, Debug, PartialEq)]
pub enum Key {
    /// A number.
    Int(i64),
    /// A text.
    Text(String),
    /// A fraction; no list is ordered by one.
    Float(f64),
}

impl From<f64> for Key {
    fn from(number: f64) -> Key {
        Key::Float(number)
    }
}

impl From<i64> for Key {
    fn from(number: i64) -> Key {
        Key::Int(number)
    }
}

impl From<&str> for Key {
    fn from(text: &str) -> Key {
        Key::Text(text.to_owned())
    }
}

/// Rows of a part of a list.
#[derive(Clone, Debug, PartialEq)]
pub struct Listed<T> {
    /// The rows, in the list's order.
    pub rows: Vec<T>,
    /// Rows of the whole list, if they were counted.
    pub count: Option<i64>,
    /// Where the part before ends, if there may be one; only of parts beside a row.
    pub before: Option<Place>,
    /// Where the part behind begins, if there is one; only of parts beside a row.
    pub after: Option<Place>,
}

impl<T> Listed<T> {
    /// The same part with its rows in another shape.
    pub fn map<U>(self, shape: impl FnMut(T) -> U) -> Listed<U> {
        Listed {
            rows: self.rows.into_iter().map(shape).collect(),
            count: self.count,
            before: self.before,
            after: self.after,
        }
    }
}

/// Which way a column is ordered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    Up,
    Down,
}

/// What a column holds.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Int,
    Text,
}

/// The columns that a list is ordered by, at most two; together they name a row.
#[derive(Clone, Copy)]
pub(crate) struct Order(pub(crate) &'static [(&'static str, Way, Kind)]);

/// What a query for a part of a list needs.
pub(crate) struct Window {
    /// ` and …`, or nothing: the rows beside the place.
    pub(crate) condition: String,
    /// ` order by … limit … offset …`.
    pub(crate) tail: String,
    /// The values of both, in order.
    pub(crate) values: Vec<Key>,
    part: Part,
}

impl Order {
    /// The query for this part, whose values begin at `$first`. Errors: `Invalid` for a place in another list.
    pub(crate) fn window(&self, part: Part, first: usize) -> Result<Window> {
        let (limit, offset, place) = match &part {
            Part::Numbered(page) => (page.limit, page.offset, None),
            Part::Beside { limit, from } => (limit.saturating_add(1), 0, from.as_ref()),
        };
        let mut values = Vec::new();
        let mut condition = String::new();
        if let Some(place) = place {
            self.check(&place.key)?;
            condition = self.beside(place.side, first);
            values.clone_from(&place.key);
        }
        let backwards = place.is_some_and(|place| place.side == Side::Before);
        let columns = self.0.iter().map(|&(name, way, _)| {
            let down = (way == Way::Down) != backwards;
            format!("{name}{}", if down { " desc" } else { "" })
        });
        let columns = columns.collect::<Vec<_>>().join(", ");
        let next = first + values.len();
        values.extend([Key::Int(limit), Key::Int(offset)]);
        Ok(Window {
            condition,
            tail: format!(" order by {columns} limit ${next} offset ${}", next + 1),
            values,
            part,
        })
    }

    fn check(&self, key: &[Key]) -> Result<()> {
        let fits = key.len() == self.0.len()
            && key
                .iter()
                .zip(self.0)
                .all(|(value, &(_, _, kind))| match value {
                    Key::Int(_) => kind == Kind::Int,
                    Key::Text(_) => kind == Kind::Text,
                    Key::Float(_) => false,
                });
        match fits {
            true => Ok(()),
            false => Err(Error::invalid("cursor", "it is of another list")),
        }
    }

    /// An index on the columns serves this: its first column is bounded on its own.
    fn beside(&self, side: Side, first: usize) -> String {
        let sign = |way: Way| match (way == Way::Up) == (side == Side::After) {
            true => '>',
            false => '<',
        };
        match self.0 {
            [(name, way, _)] => format!(" and {name} {} ${first}", sign(*way)),
            [(name, way, _), (second, second_way, _)] => format!(
                " and {name} {sign}= ${first} and ({name} {sign} ${first} or {second} {} ${})",
                sign(*second_way),
                first + 1,
                sign = sign(*way),
            ),
            _ => unreachable!("an order has one or two columns"),
        }
    }
}

impl Window {
    /// Whether the rows are to be counted.
    pub(crate) fn counts(&self) -> bool {
        matches!(self.part, Part::Numbered(_))
    }

    /// How many rows there are in all, if so many of a numbered page tell that it is the last.
    pub(crate) fn whole_count(&self, read: usize) -> Option<i64> {
        let Part::Numbered(page) = self.part else {
            return None;
        };
        let read = read as i64;
        let is_last = read < page.limit && (read > 0 || page.offset == 0);
        is_last.then_some(page.offset + read)
    }

    /// The rows as they were read, in the list's order and with what lies beside them.
    pub(crate) fn listed<T>(
        self,
        mut rows: Vec<T>,
        count: Option<i64>,
        key: impl Fn(&T) -> Vec<Key>,
    ) -> Listed<T> {
        let Part::Beside { limit, from } = self.part else {
            return Listed {
                rows,
                count,
                before: None,
                after: None,
            };
        };
        let limit = usize::try_from(limit).unwrap_or(0);
        let more = rows.len() > limit;
        rows.truncate(limit);
        let side = from.as_ref().map(|place| place.side);
        if side == Some(Side::Before) {
            rows.reverse();
        }
        let (has_before, has_after) = match side {
            None => (false, more),
            Some(Side::After) => (true, more),
            Some(Side::Before) => (more, true),
        };
        let place = |side, row: Option<&T>| {
            row.map(|row| Place {
                side,
                key: key(row),
            })
        };
        Listed {
            before: has_before
                .then(|| place(Side::Before, rows.first()))
                .flatten(),
            after: has_after.then(|| place(Side::After, rows.last())).flatten(),
            rows,
            count,
        }
    }
}

/// A list: its rows' columns, where they come from, and their order.
pub(crate) struct List {
    columns: &'static str,
    from: String,
    values: Vec<Key>,
    order: Order,
}

impl List {
    /// The rows of `from` whose `scope` (as `column =`) is `id`.
    pub(crate) fn of(
        columns: &'static str,
        from: &str,
        scope: &str,
        id: impl Into<Key>,
        order: Order,
    ) -> List {
        List {
            columns,
            from: format!(" from {from} where {scope} $1"),
            values: vec![id.into()],
            order,
        }
    }

    /// The place (`$1`, `$2`, …) of one more value.
    pub(crate) fn place(&mut self, value: impl Into<Key>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }

    /// Only rows for which this is true too.
    pub(crate) fn and(&mut self, condition: &str) {
        self.from.push_str(" and ");
        self.from.push_str(condition);
    }

    /// Only rows for which `{left} {value}` is true too, as in `and_value("size >", …)`.
    pub(crate) fn and_value(&mut self, left: &str, value: impl Into<Key>) {
        let place = self.place(value);
        self.and(&format!("{left} {place}"));
    }

    /// Reads a part of the list; `key` gives the values of a row that the list is ordered by.
    pub(crate) async fn read<T>(
        self,
        conn: &mut Conn,
        part: Part,
        key: impl Fn(&T) -> Vec<Key>,
    ) -> Result<Listed<T>>
    where
        T: for<'r> FromRow<'r, PgRow> + for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        let window = self.order.window(part, self.values.len() + 1)?;
        let (columns, from) = (self.columns, &self.from);
        let sql = format!("select {columns}{from}{}{}", window.condition, window.tail);
        let values = self.values.iter().chain(&window.values);
        let rows = on!(conn, |c| bound!(sqlx::query_as(&sql), values).fetch_all(c))?;
        let count = match (window.counts(), window.whole_count(rows.len())) {
            (true, None) => Some(self.count(conn).await?),
            (_, known) => known,
        };
        Ok(window.listed(rows, count, key))
    }

    /// How many rows there are: exactly if they are few, else as remembered.
    async fn count(&self, conn: &mut Conn) -> Result<i64> {
        let from = &self.from;
        let few = format!(
            "select cast(count(*) as bigint) from (select 1{from} limit {}) as counted",
            COUNT_EXACT + 1
        );
        let counted = self.number(conn, &few).await?;
        if counted <= COUNT_EXACT {
            return Ok(counted);
        }
        let counts = conn.counts.clone();
        let list = format!("{from} {:?}", self.values);
        if let Some(count) = counts.find(&list) {
            return Ok(count);
        }
        let all = format!("select cast(count(*) as bigint){from}");
        let counted = self.number(conn, &all).await?;
        counts.remember(list, counted);
        Ok(counted)
    }

    async fn number(&self, conn: &mut Conn, sql: &str) -> Result<i64> {
        let values = self.values.iter();
        Ok(on!(conn, |c| bound!(sqlx::query_scalar(sql), values)
            .fetch_one(c))?)
    }
}

/// Numbers of rows of long lists, which are costly to count; cheap to clone.
#[derive(Clone)]
pub(crate) struct Counts {
    known: Arc<Cache<String, (i64, i64)>>,
    clock: Clock,
}

impl Counts {
    pub(crate) fn new(clock: Clock) -> Counts {
        Counts {
            known: Arc::new(Cache::new(COUNTS)),
            clock,
        }
    }

    /// The remembered number. When it has grown old, one caller is sent to count again, and the others go on with it.
    pub(crate) fn find(&self, list: &str) -> Option<i64> {
        let (count, counted_us) = self.known.get(list)?;
        let now_us = self.clock.now_us();
        if now_us - counted_us < COUNT_AGE_US {
            return Some(count);
        }
        self.known.insert(list.to_owned(), (count, now_us));
        None
    }

    pub(crate) fn remember(&self, list: String, count: i64) {
        self.known.insert(list, (count, self.clock.now_us()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY_TIME: Order = Order(&[("t", Way::Down, Kind::Int), ("id", Way::Up, Kind::Int)]);

    fn beside(from: Option<Place>) -> Window {
        BY_TIME.window(Part::Beside { limit: 2, from }, 2).unwrap()
    }

    fn place(side: Side) -> Option<Place> {
        let key = vec![Key::Int(7), Key::Int(1)];
        Some(Place { side, key })
    }

    #[test]
    fn a_window_goes_on_where_another_ended() {
        let window = beside(place(Side::After));
        assert_eq!(window.condition, " and t <= $2 and (t < $2 or id > $3)");
        assert_eq!(window.tail, " order by t desc, id limit $4 offset $5");
        let back = beside(place(Side::Before));
        assert_eq!(back.condition, " and t >= $2 and (t > $2 or id < $3)");
        assert_eq!(back.tail, " order by t, id desc limit $4 offset $5");
    }

    #[test]
    fn one_row_more_tells_whether_the_list_goes_on() {
        let key = |row: &i64| vec![Key::Int(*row), Key::Int(0)];
        let first = beside(None).listed(vec![9, 8, 7], None, key);
        assert_eq!((first.rows, first.before), (vec![9, 8], None));
        assert_eq!(first.after.unwrap().key[0], Key::Int(8));
        let back = beside(place(Side::Before)).listed(vec![8, 9], None, key);
        assert_eq!((back.rows, back.before), (vec![9, 8], None));
        assert!(back.after.is_some());
    }

    #[test]
    fn a_place_of_another_list_is_refused() {
        let from = Place {
            side: Side::After,
            key: vec![Key::Text("x".into())],
        };
        let part = Part::Beside {
            limit: 2,
            from: Some(from),
        };
        assert!(BY_TIME.window(part, 1).is_err());
    }

    #[test]
    fn a_remembered_number_is_counted_again_by_one_caller_when_old() {
        let clock = Clock::manual(0);
        let counts = Counts::new(clock.clone());
        counts.remember("list".into(), 12_345);
        assert_eq!(counts.find("list"), Some(12_345));
        clock.advance_us(COUNT_AGE_US);
        assert_eq!(counts.find("list"), None);
        assert_eq!(counts.find("list"), Some(12_345));
    }
}
