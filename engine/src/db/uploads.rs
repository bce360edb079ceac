//! Uploads: one received file each, with who sent it, its commit and its flags.

use std::collections::HashMap;

use sqlx::FromRow;

use super::part::{Key, Kind, List, Listed, Order, Part, Way};
use super::{Conn, flags};
use crate::error::{Error, Result};
use crate::id::{CommitId, FlagId, RepoId, UploadErrorId, UploadId};

/// Flags that one upload may carry.
pub const UPLOAD_FLAGS: usize = 500;

macro_rules! columns {
    () => {
        "id, external_id, repo_id, commit_id, kind, state, upload_type, provider, build_code, build_url, job_code,
         name, env, order_number, storage_path, envelope, size_bytes, body_hash, pack, totals, uploader, joined,
         carried_from, attempt, superseded, created_us, updated_us"
    };
}

words! {
    /// What an upload holds.
    UploadKind {
        /// Coverage reports.
        Coverage = "coverage",
        /// Results of test runs.
        TestResults = "test_results",
        /// A bundler's statistics.
        BundleAnalysis = "bundle_analysis",
    }
}

words! {
    /// Where an upload is in its life.
    UploadState {
        /// Its bytes are awaited.
        Started = "started",
        /// Its bytes are durable.
        Uploaded = "uploaded",
        /// It was read, and nothing is to be merged: test results and bundles.
        Processed = "processed",
        /// Its pack is part of the commit's report.
        Merged = "merged",
        /// It could not be read; a row of `upload_error` says why.
        Error = "error",
        /// It names the pack of an earlier commit.
        Complete = "complete",
    }
}

words! {
    /// Where an upload's pack comes from.
    UploadType {
        /// A client sent it.
        Uploaded = "uploaded",
        /// An earlier commit had it.
        CarriedForward = "carriedforward",
    }
}

words! {
    /// The form of an upload's body.
    Envelope {
        /// JSON, as the command line client sends it.
        V1 = "v1",
        /// Text sections, as the older uploaders send it.
        Legacy = "legacy",
    }
}

/// One upload.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct Upload {
    /// Its id.
    pub id: UploadId,
    /// The UUID by which clients know it.
    pub external_id: String,
    /// Its repository.
    pub repo_id: RepoId,
    /// Its commit.
    pub commit_id: CommitId,
    /// What it holds.
    pub kind: UploadKind,
    /// Where it is in its life.
    pub state: UploadState,
    /// Where its pack comes from.
    pub upload_type: UploadType,
    /// The CI's word, as `github-actions`.
    pub provider: Option<String>,
    /// The CI's name of the build.
    pub build_code: Option<String>,
    /// The CI's page of the build.
    pub build_url: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
    /// The uploader's name for it.
    pub name: Option<String>,
    /// The uploader's environment values, as a JSON object.
    pub env: Option<String>,
    /// Its place among the merged uploads of its commit, from 0: the session id.
    pub order_number: Option<i64>,
    /// The key of its bytes in the object store.
    pub storage_path: String,
    /// The form of its body.
    pub envelope: Envelope,
    /// Length of its body.
    pub size_bytes: Option<i64>,
    /// BLAKE3 of its body, hex.
    pub body_hash: Option<String>,
    /// The name of its pack.
    pub pack: Option<String>,
    /// The totals of its pack, as JSON.
    pub totals: Option<String>,
    /// The uploading program and its version.
    pub uploader: Option<String>,
    /// Whether it joins what others say of a line; otherwise it only adds lines that they lack.
    pub joined: bool,
    /// The commit that it was carried from.
    pub carried_from: Option<String>,
    /// How often the CI has run its build, from 1, where that is known.
    pub attempt: Option<i64>,
    /// Whether a newer attempt takes its place: it is no part of the report then.
    pub superseded: bool,
    /// When its row was made, microseconds.
    pub created_us: i64,
    /// When it last changed, microseconds.
    pub updated_us: i64,
}

/// An upload to insert; it starts as `started`.
#[derive(Clone, Debug)]
pub struct NewUpload {
    /// Its id.
    pub id: UploadId,
    /// The UUID by which clients know it.
    pub external_id: String,
    /// Its repository.
    pub repo_id: RepoId,
    /// Its commit.
    pub commit_id: CommitId,
    /// What it holds.
    pub kind: UploadKind,
    /// Where its pack comes from.
    pub upload_type: UploadType,
    /// The CI's word.
    pub provider: Option<String>,
    /// The CI's name of the build.
    pub build_code: Option<String>,
    /// The CI's page of the build.
    pub build_url: Option<String>,
    /// The CI's name of the job.
    pub job_code: Option<String>,
    /// The uploader's name for it.
    pub name: Option<String>,
    /// The uploader's environment values, as a JSON object.
    pub env: Option<String>,
    /// The key of its bytes in the object store.
    pub storage_path: String,
    /// The form of its body.
    pub envelope: Envelope,
    /// The uploading program and its version.
    pub uploader: Option<String>,
    /// How often the CI has run its build, from 1.
    pub attempt: Option<i64>,
    /// Names of its flags, at most `UPLOAD_FLAGS`; a name given twice counts once.
    pub flags: Vec<String>,
}

/// Why an upload could not be read, or what was odd about it.
#[derive(Clone, Debug, PartialEq, Eq, FromRow)]
pub struct UploadError {
    /// Its id.
    pub id: UploadErrorId,
    /// The upload.
    pub upload_id: UploadId,
    /// The problem's code, as `report_empty`.
    pub code: String,
    /// Values for its text, as a JSON object.
    pub params: String,
    /// When it was found, microseconds.
    pub created_us: i64,
}

/// An upload with its flags and errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadDetail {
    /// The upload.
    pub upload: Upload,
    /// Names of its flags, sorted.
    pub flags: Vec<String>,
    /// Its errors, oldest first.
    pub errors: Vec<UploadError>,
}

/// One part of a commit's report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UploadPack {
    /// The upload.
    pub upload_id: UploadId,
    /// The name of its pack.
    pub pack: String,
    /// Names of the upload's flags, sorted.
    pub flags: Vec<String>,
    /// Whether it joins what others say of a line; otherwise it only adds lines that they lack.
    pub joined: bool,
    /// The uploader's name for it.
    pub name: Option<String>,
    /// Of a carried upload, the one that it stands for.
    pub source: Option<UploadId>,
}

/// An upload of another commit that stands in for one that this commit lacks.
#[derive(Clone, Debug)]
pub struct CarriedUpload {
    /// The upload of the other commit.
    pub source: UploadId,
    /// The hash of the other commit.
    pub from_sha: String,
    /// What the upload is called here.
    pub name: String,
    /// The name of the pack that counts here.
    pub pack: String,
    /// The totals of that pack, as JSON.
    pub totals: String,
    /// Whether it joins what others say of a line.
    pub joined: bool,
}

/// Inserts an upload with its flags. Errors: `Conflict` if the external id is known, `Invalid` for too many flags.
pub async fn insert_upload(conn: &mut Conn, new: &NewUpload, now_us: i64) -> Result<Upload> {
    const SQL: &str = concat!(
        "insert into upload (id, external_id, repo_id, commit_id, kind, state, upload_type, provider, build_code,
             build_url, job_code, name, env, storage_path, envelope, uploader, created_us, updated_us, attempt)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $17, $18) returning ",
        columns!()
    );
    if new.flags.len() > UPLOAD_FLAGS {
        return Err(Error::invalid(
            "flags",
            format_args!("more than {UPLOAD_FLAGS}"),
        ));
    }
    let upload = on!(conn, |c| sqlx::query_as(SQL)
        .bind(new.id)
        .bind(new.external_id.as_str())
        .bind(new.repo_id)
        .bind(new.commit_id)
        .bind(new.kind)
        .bind(UploadState::Started)
        .bind(new.upload_type)
        .bind(new.provider.as_deref())
        .bind(new.build_code.as_deref())
        .bind(new.build_url.as_deref())
        .bind(new.job_code.as_deref())
        .bind(new.name.as_deref())
        .bind(new.env.as_deref())
        .bind(new.storage_path.as_str())
        .bind(new.envelope)
        .bind(new.uploader.as_deref())
        .bind(now_us)
        .bind(new.attempt)
        .fetch_one(c))?;
    let mut names: Vec<&str> = new.flags.iter().map(String::as_str).collect();
    names.sort_unstable(); // every writer takes the flags' locks in the same order
    names.dedup();
    for name in names {
        let flag = flags::upsert_flag(conn, FlagId::generate(now_us), new.repo_id, name).await?;
        flags::insert_upload_flag(conn, new.id, flag.id).await?;
    }
    Ok(upload)
}

/// The upload of this external id.
pub async fn find_upload(conn: &mut Conn, external_id: &str) -> Result<Option<Upload>> {
    const SQL: &str = concat!("select ", columns!(), " from upload where external_id = $1");
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(external_id)
        .fetch_optional(c))?)
}

/// The newest upload whose bytes have this key in the object store.
pub async fn find_upload_by_path(conn: &mut Conn, storage_path: &str) -> Result<Option<Upload>> {
    const SQL: &str = concat!(
        "select ",
        columns!(),
        " from upload where storage_path = $1 and upload_type = 'uploaded' order by id desc limit 1"
    );
    Ok(on!(conn, |c| sqlx::query_as(SQL)
        .bind(storage_path)
        .fetch_optional(c))?)
}

/// The upload of this id. Errors: `NotFound`.
pub async fn get_upload(conn: &mut Conn, id: UploadId) -> Result<Upload> {
    const SQL: &str = concat!("select ", columns!(), " from upload where id = $1");
    on!(conn, |c| sqlx::query_as(SQL).bind(id).fetch_optional(c))?
        .ok_or_else(|| Error::not_found(format_args!("upload {id}")))
}

/// The flags of one upload, by name.
pub async fn list_upload_flags(conn: &mut Conn, id: UploadId) -> Result<Vec<String>> {
    const SQL: &str =
        "select flag.name from upload_flag join flag on flag.id = flag_id where upload_id = $1
        order by flag.name";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(id)
        .fetch_all(c))?)
}

/// A part of a commit's uploads, of one kind or all, oldest first.
pub async fn list_uploads(
    conn: &mut Conn,
    commit: CommitId,
    kind: Option<UploadKind>,
    part: impl Into<Part>,
) -> Result<Listed<UploadDetail>> {
    const OLDEST: Order = Order(&[("id", Way::Up, Kind::Int)]);
    let mut list = List::of(columns!(), "upload", "commit_id =", commit.0, OLDEST);
    if let Some(kind) = kind {
        list.and_value("kind =", kind.as_str());
    }
    let key = |upload: &Upload| vec![Key::Int(upload.id.0)];
    let listed = list.read(conn, part.into(), key).await?;
    let (Some(first), Some(last)) = (listed.rows.first(), listed.rows.last()) else {
        return Ok(listed.map(UploadDetail::bare));
    };
    let (first, last) = (first.id, last.id);
    let mut flags = list_flags_of_commit(conn, commit, first, last).await?;
    let mut errors = list_errors_of_commit(conn, commit, first, last).await?;
    Ok(listed.map(|upload| UploadDetail {
        flags: flags.remove(&upload.id).unwrap_or_default(),
        errors: errors.remove(&upload.id).unwrap_or_default(),
        upload,
    }))
}

impl UploadDetail {
    fn bare(upload: Upload) -> UploadDetail {
        UploadDetail {
            upload,
            flags: Vec::new(),
            errors: Vec::new(),
        }
    }
}

/// Errors by upload, for a commit's uploads from `first` to `last`.
async fn list_errors_of_commit(
    conn: &mut Conn,
    commit: CommitId,
    first: UploadId,
    last: UploadId,
) -> Result<HashMap<UploadId, Vec<UploadError>>> {
    const SQL: &str = "select upload_error.id, upload_id, code, params, upload_error.created_us
        from upload_error join upload on upload.id = upload_id
        where commit_id = $1 and upload_id between $2 and $3 order by upload_error.id";
    let rows: Vec<UploadError> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(commit)
        .bind(first)
        .bind(last)
        .fetch_all(c))?;
    let mut errors: HashMap<UploadId, Vec<UploadError>> = HashMap::new();
    for error in rows {
        errors.entry(error.upload_id).or_default().push(error);
    }
    Ok(errors)
}

/// The external ids of a commit's uploads from `first` to `last`.
pub async fn list_external_ids(
    conn: &mut Conn,
    commit: CommitId,
    first: UploadId,
    last: UploadId,
) -> Result<HashMap<UploadId, String>> {
    const SQL: &str =
        "select id, external_id from upload where commit_id = $1 and id between $2 and $3";
    let rows: Vec<(UploadId, String)> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(commit)
        .bind(first)
        .bind(last)
        .fetch_all(c))?;
    Ok(rows.into_iter().collect())
}

/// The packs that a commit's report is the fold of, in the order in which they were merged.
pub async fn list_packs(conn: &mut Conn, commit: CommitId) -> Result<Vec<UploadPack>> {
    const SQL: &str = "select upload.id, pack, joined, upload.name, source_id, flag.name
        from upload left join upload_flag on upload_id = upload.id left join flag on flag.id = flag_id
        where commit_id = $1 and kind = 'coverage' and state in ('merged', 'complete') and pack is not null
            and not superseded
        order by order_number, upload.id, flag.name";
    type Row = (
        UploadId,
        String,
        bool,
        Option<String>,
        Option<UploadId>,
        Option<String>,
    );
    let rows: Vec<Row> = on!(conn, |c| sqlx::query_as(SQL).bind(commit).fetch_all(c))?;
    let mut packs: Vec<UploadPack> = Vec::new();
    for (upload_id, pack, joined, name, source, flag) in rows {
        match packs.last_mut() {
            Some(last) if last.upload_id == upload_id => last.flags.extend(flag),
            _ => packs.push(UploadPack {
                upload_id,
                pack,
                flags: Vec::from_iter(flag),
                joined,
                name,
                source,
            }),
        }
    }
    Ok(packs)
}

/// An upload of a build whose attempts are known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The upload.
    pub id: UploadId,
    /// What its job is known by: the CI's word, its build, its code, the upload's name, and its flags.
    pub job: Vec<Option<String>>,
    /// Which attempt it is, from 1.
    pub number: i64,
    /// Whether it is superseded so far.
    pub superseded: bool,
}

/// A commit's merged uploads whose attempts are known.
pub async fn list_attempts(conn: &mut Conn, commit: CommitId) -> Result<Vec<Attempt>> {
    const SQL: &str = "select id, provider, build_code, job_code, name, attempt, superseded from upload
        where commit_id = $1 and kind = 'coverage' and state = 'merged' and attempt is not null order by id";
    type Text = Option<String>;
    type Row = (UploadId, Text, Text, Text, Text, i64, bool);
    let rows: Vec<Row> = on!(conn, |c| sqlx::query_as(SQL).bind(commit).fetch_all(c))?;
    let (Some(first), Some(last)) = (rows.first(), rows.last()) else {
        return Ok(Vec::new());
    };
    let mut flags = list_flags_of_commit(conn, commit, first.0, last.0).await?;
    let attempt = |(id, provider, build, code, name, number, superseded)| {
        let flags = flags.remove(&id).unwrap_or_default();
        let job = [provider, build, code, name].into_iter();
        Attempt {
            id,
            job: job.chain(flags.into_iter().map(Some)).collect(),
            number,
            superseded,
        }
    };
    Ok(rows.into_iter().map(attempt).collect())
}

/// Notes whether a newer attempt takes an upload's place.
pub async fn set_superseded(conn: &mut Conn, id: UploadId, superseded: bool) -> Result<()> {
    const SQL: &str = "update upload set superseded = $2 where id = $1";
    exec!(conn, sqlx::query(SQL).bind(id).bind(superseded))?;
    Ok(())
}

/// Makes an upload of another commit part of this one, as its last; what is known of its build and its flags come with
/// it. Idempotent: a second call for the same upload changes nothing.
pub async fn insert_carried(
    conn: &mut Conn,
    commit: CommitId,
    carried: &CarriedUpload,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into upload (id, external_id, repo_id, commit_id, kind, state, upload_type, provider,
            build_code, build_url, job_code, name, env, order_number, storage_path, envelope, pack, totals, uploader,
            joined, carried_from, source_id, created_us, updated_us)
        select $1, $2, repo_id, $3, kind, 'complete', 'carriedforward', provider, build_code, build_url, job_code, $4, env,
            (select coalesce(max(beside.order_number) + 1, 0) from upload as beside where beside.commit_id = $3),
            storage_path, envelope, $5, $6, uploader, $7, $8, id, $9, $9
        from upload where id = $10
        on conflict (commit_id, source_id) where source_id is not null do nothing";
    const FLAGS: &str = "insert into upload_flag (upload_id, flag_id)
        select upload.id, flag_id from upload join upload_flag on upload_id = source_id where upload.id = $1";
    let id = UploadId::generate(now_us);
    let inserted = exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(format!("carried-{id}"))
            .bind(commit)
            .bind(carried.name.as_str())
            .bind(carried.pack.as_str())
            .bind(carried.totals.as_str())
            .bind(carried.joined)
            .bind(carried.from_sha.as_str())
            .bind(now_us)
            .bind(carried.source)
    )?;
    if inserted == 1 {
        exec!(conn, sqlx::query(FLAGS).bind(id))?;
    }
    Ok(())
}

/// Takes a carried upload from its commit. An upload that a client sent stays.
pub async fn delete_carried(conn: &mut Conn, id: UploadId) -> Result<()> {
    const SQL: &str = "delete from upload where id = $1 and upload_type = 'carriedforward'";
    exec!(conn, sqlx::query(SQL).bind(id))?;
    Ok(())
}

/// Flag names by upload, for a commit's uploads from `first` to `last`.
async fn list_flags_of_commit(
    conn: &mut Conn,
    commit: CommitId,
    first: UploadId,
    last: UploadId,
) -> Result<HashMap<UploadId, Vec<String>>> {
    const SQL: &str = "select upload_id, flag.name from upload
        join upload_flag on upload_id = upload.id join flag on flag.id = flag_id
        where commit_id = $1 and upload.id between $2 and $3 order by flag.name";
    let rows: Vec<(UploadId, String)> = on!(conn, |c| sqlx::query_as(SQL)
        .bind(commit)
        .bind(first)
        .bind(last)
        .fetch_all(c))?;
    let mut flags: HashMap<UploadId, Vec<String>> = HashMap::new();
    for (upload, name) in rows {
        flags.entry(upload).or_default().push(name);
    }
    Ok(flags)
}

/// Notes that an upload's bytes are durable: `hash` is BLAKE3 in hex. Returns whether that is news.
/// Bytes that come after the upload was given up count all the same, and its error is taken back.
pub async fn mark_uploaded(
    conn: &mut Conn,
    id: UploadId,
    size_bytes: i64,
    hash: &str,
    now_us: i64,
) -> Result<bool> {
    const SQL: &str =
        "update upload set state = 'uploaded', size_bytes = $2, body_hash = $3, updated_us = $4
        where id = $1 and body_hash is null and state in ('started', 'error')";
    const FORGIVE: &str = "delete from upload_error where upload_id = $1";
    let news = exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(size_bytes)
            .bind(hash)
            .bind(now_us)
    )? == 1;
    if news {
        exec!(conn, sqlx::query(FORGIVE).bind(id))?;
    }
    Ok(news)
}

/// Makes the pack part of the commit's report and gives the upload its order number. Returns whether that is news:
/// a second call changes nothing. Locks the commit until the transaction ends.
pub async fn mark_merged(
    conn: &mut Conn,
    id: UploadId,
    pack: &str,
    totals: Option<&str>,
    joined: bool,
    now_us: i64,
) -> Result<bool> {
    const LOCK: &str = "update commits set updated_us = $2 where id = (select commit_id from upload where id = $1)";
    const SQL: &str =
        "update upload set state = 'merged', pack = $2, totals = $3, updated_us = $4, joined = $5,
            order_number = (select coalesce(max(merged.order_number) + 1, 0) from upload as merged
                where merged.commit_id = upload.commit_id)
        where id = $1 and state in ('started', 'uploaded', 'error')";
    exec!(conn, sqlx::query(LOCK).bind(id).bind(now_us))?;
    Ok(exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(pack)
            .bind(totals)
            .bind(now_us)
            .bind(joined)
    )? == 1)
}

/// Notes that test results or a bundle were read, and what is known of a bundle: its name, and counts as JSON. Returns
/// whether that is news.
pub async fn mark_processed(
    conn: &mut Conn,
    id: UploadId,
    bundle: Option<(&str, &str)>,
    now_us: i64,
) -> Result<bool> {
    const SQL: &str =
        "update upload set state = 'processed', updated_us = $2, name = coalesce($3, name), totals = $4
        where id = $1 and state in ('started', 'uploaded', 'error')";
    let (name, totals) = bundle.unzip();
    Ok(exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(now_us)
            .bind(name)
            .bind(totals)
    )? == 1)
}

/// The counts of the bundle of this name that the commit had last, as [`mark_processed`] was given them.
pub async fn find_bundle(conn: &mut Conn, commit: CommitId, name: &str) -> Result<Option<String>> {
    const SQL: &str =
        "select totals from upload where commit_id = $1 and kind = 'bundle_analysis' and state = 'processed'
        and name = $2 and totals is not null order by id desc limit 1";
    Ok(on!(conn, |c| sqlx::query_scalar(SQL)
        .bind(commit)
        .bind(name)
        .fetch_optional(c))?)
}

/// Notes that an upload could not be read, and why: `params` is a JSON object. Returns whether that is news:
/// an upload that is merged or has an error stays as it is.
pub async fn mark_error(
    conn: &mut Conn,
    id: UploadId,
    code: &str,
    params: &str,
    now_us: i64,
) -> Result<bool> {
    const SQL: &str = "update upload set state = 'error', updated_us = $2
        where id = $1 and state in ('started', 'uploaded')";
    let news = exec!(conn, sqlx::query(SQL).bind(id).bind(now_us))? == 1;
    if news {
        insert_upload_error(conn, id, code, params, now_us).await?;
    }
    Ok(news)
}

/// Adds an error or a warning to an upload and leaves its state.
pub async fn insert_upload_error(
    conn: &mut Conn,
    upload: UploadId,
    code: &str,
    params: &str,
    now_us: i64,
) -> Result<()> {
    const SQL: &str = "insert into upload_error (id, upload_id, code, params, created_us) values ($1, $2, $3, $4, $5)";
    let id = UploadErrorId::generate(now_us);
    exec!(
        conn,
        sqlx::query(SQL)
            .bind(id)
            .bind(upload)
            .bind(code)
            .bind(params)
            .bind(now_us)
    )?;
    Ok(())
}

/// How many of a commit's coverage uploads are in each state; states without uploads are absent, and uploads whose place a
/// newer attempt takes are left out.
pub async fn count_by_state(
    conn: &mut Conn,
    commit: CommitId,
) -> Result<HashMap<UploadState, i64>> {
    const SQL: &str = "select state, cast(count(*) as bigint) from upload
        where commit_id = $1 and kind = 'coverage' and not superseded group by state";
    let rows: Vec<(UploadState, i64)> =
        on!(conn, |c| sqlx::query_as(SQL).bind(commit).fetch_all(c))?;
    Ok(rows.into_iter().collect())
}
