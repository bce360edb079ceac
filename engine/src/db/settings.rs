//! Values of the whole instance, such as the key that signs URLs.

use super::Conn;
use crate::error::Result;

/// The value of this name, if one is stored.
pub async fn find_setting(conn: &mut Conn, name: &str) -> Result<Option<String>> {
    const SQL: &str = "select value from setting where name = $1";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(name)
        .fetch_optional(c))?)
}

/// The stored value, or `value` if there was none: of all nodes that start at once, one decides.
pub async fn get_or_insert_setting(conn: &mut Conn, name: &str, value: &str) -> Result<String> {
    const SQL: &str = "insert into setting (name, value) values ($1, $2)
        on conflict (name) do update set value = setting.value returning value";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(name)
        .bind(value)
        .fetch_one(c))?)
}
