//! Logins of people, known by the hash of what their browser keeps.

use super::Conn;
use crate::error::Result;
use crate::id::{OwnerId, SessionId};

/// Inserts a login that ends at `expires_us`; `hash` is of what the browser keeps. Errors: `Conflict` if it is known.
pub async fn insert_session(
    conn: &mut Conn,
    hash: &[u8; 32],
    owner: OwnerId,
    now_us: i64,
    expires_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into login_session (id, hash, owner_id, created_us, expires_us)
        values ($1, $2, $3, $4, $5)";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(SessionId::generate(now_us))
            .bind(&hash[..])
            .bind(owner)
            .bind(now_us)
            .bind(expires_us)
    )?;
    Ok(())
}

/// Who has logged in, unless that login has ended.
pub async fn find_session_owner(
    conn: &mut Conn,
    hash: &[u8; 32],
    now_us: i64,
) -> Result<Option<OwnerId>> {
    const SQL: &str = "select owner_id from login_session where hash = $1 and expires_us > $2";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(&hash[..])
        .bind(now_us)
        .fetch_optional(c))?)
}

/// Ends a login. Idempotent.
pub async fn delete_session(conn: &mut Conn, hash: &[u8; 32]) -> Result<()> {
    const SQL: &str = "delete from login_session where hash = $1";
    exec!(conn, sqlx::query(SQL).bind(&hash[..]))?;
    Ok(())
}
