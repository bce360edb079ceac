//! The few texts in which PostgreSQL and SQLite must differ.

use super::{Conn, Link};

/// PostgreSQL only: delivers `$2` to the listeners of channel `$1` when the transaction commits.
pub(crate) const NOTIFY: &str = "select pg_notify($1, $2)";

/// Ends a select of rows that are about to be claimed, so that claimers take different ones.
/// SQLite has one writer and needs nothing.
pub(crate) fn skip_locked(conn: &mut Conn) -> &'static str {
    match conn.link() {
        Link::Postgres(_) => "for update skip locked",
        Link::Sqlite(_) => "",
    }
}

/// `$first, $first+1, …`: the places of a list of `count` values inside `in (…)`; `null` if there are none.
pub(crate) fn places(first: usize, count: usize) -> String {
    if count == 0 {
        return "null".to_owned();
    }
    (first..first + count)
        .map(|place| format!("${place}"))
        .collect::<Vec<_>>()
        .join(", ")
}
