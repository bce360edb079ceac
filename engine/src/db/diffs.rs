//! Diffs between commits: who gave them, and under which name the object store keeps their text.

use sqlx::FromRow;

use super::Conn;
use crate::error::Result;
use crate::id::RepoId;

macro_rules! columns {
    () => {
        "repo_id, base_sha, head_sha, source, hash, size_bytes, commits, created_us"
    };
}

words! {
    /// Who gave a diff.
    DiffSource {
        /// The git provider.
        Provider = "provider",
        /// A client, as where no provider is configured.
        Client = "client",
    }
}

/// The diff from one commit to another.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct StoredDiff {
    /// The repository.
    pub repo_id: RepoId,
    /// The commit that is compared with.
    pub base_sha: String,
    /// The commit that is compared.
    pub head_sha: String,
    /// Who gave it.
    pub source: DiffSource,
    /// BLAKE3 of its text, hex.
    pub hash: String,
    /// Length of its text.
    pub size_bytes: i64,
    /// The commits between the two, newest first, as a JSON array; absent if nobody told.
    pub commits: Option<String>,
    /// When it was stored, microseconds.
    pub created_us: i64,
}

/// The diff between two commits.
pub async fn find_diff(
    conn: &mut Conn,
    repo: RepoId,
    base_sha: &str,
    head_sha: &str,
) -> Result<Option<StoredDiff>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from diff where repo_id = $1 and base_sha = $2 and head_sha = $3"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(repo)
        .bind(base_sha)
        .bind(head_sha)
        .fetch_optional(c))?)
}

/// Stores a diff in the place of a former one; what a client gives takes no provider's place. Idempotent.
pub async fn upsert_diff(conn: &mut Conn, new: &StoredDiff) -> Result<()> {
    const SQL: &str = "insert into diff (repo_id, base_sha, head_sha, source, hash, size_bytes, commits, created_us)
        values ($1, $2, $3, $4, $5, $6, $7, $8)
        on conflict (repo_id, base_sha, head_sha) do update set source = excluded.source, hash = excluded.hash,
            size_bytes = excluded.size_bytes, commits = coalesce(excluded.commits, diff.commits),
            created_us = excluded.created_us
        where diff.source = 'client' or excluded.source = 'provider'";
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(new.repo_id)
            .bind(new.base_sha.as_str())
            .bind(new.head_sha.as_str())
            .bind(new.source)
            .bind(new.hash.as_str())
            .bind(new.size_bytes)
            .bind(new.commits.as_deref())
            .bind(new.created_us)
    )?;
    Ok(())
}
