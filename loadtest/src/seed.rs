//! A fleet's history, written in bulk: repositories, commits in a row on their branches, uploads with flags.
//!
//! The rows are what the server itself would have written; only the packs are few and shared by many commits.

use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use engine::blob::{Blobs as _, LocalBlobs};
use engine::clock::Clock;
use engine::db::Db;
use engine::fold::PackSet;
use engine::model::Totals;
use engine::pack::{Pack, PackName};
use sqlx::{Connection as _, PgConnection};

use crate::packs::{Shape, pack};

/// Sets of packs that commits take in turn.
const VERSIONS: u64 = 8;
/// Commits that one statement writes.
const BATCH_COMMITS: i64 = 20_000;
/// Commits of a repository between two of its side branches.
const BRANCH_EVERY: i64 = 5;
/// Time between two commits of the fleet, in microseconds.
const STEP_US: i64 = 20_000_000;
/// The repository with two commits of a huge report.
const HUGE_REPO: &str = "huge";
/// The size of a huge report.
const HUGE: Shape = Shape {
    files: 20_000,
    lines: 100,
};

#[derive(Args)]
pub(crate) struct Options {
    /// The database, empty or fresh: postgres://user@host/name.
    #[arg(long)]
    database: String,
    /// The server's data folder, whose object store takes the packs.
    #[arg(long)]
    data: PathBuf,
    /// Repositories.
    #[arg(long, default_value_t = 2000)]
    repos: i64,
    /// Commits in all.
    #[arg(long, default_value_t = 1_000_000)]
    commits: i64,
    /// Uploads of each commit, each with a flag of its own.
    #[arg(long, default_value_t = 10)]
    uploads: i64,
    /// Files of an ordinary report.
    #[arg(long, default_value_t = 200)]
    files: usize,
    /// Instrumented lines of each file.
    #[arg(long, default_value_t = 100)]
    lines: u32,
}

/// What the uploads of a commit say, of which many commits have the same.
struct Version {
    packs: Vec<(PackName, Totals)>,
    fold: String,
    totals: Totals,
}

pub(crate) async fn run(options: &Options) -> Result<()> {
    ensure!(
        options.repos > 0 && options.commits >= options.repos && options.uploads > 0,
        "expected at least one repository, a commit of each, and one upload"
    );
    let begun = Instant::now();
    let clock = Clock::system();
    Db::open(&options.database, clock.clone())
        .await?
        .migrate()
        .await?;
    let blobs = LocalBlobs::open(&options.data.join("blobs"))?;
    let ordinary = Shape {
        files: options.files,
        lines: options.lines,
    };
    let mut versions = Vec::new();
    for version in 0..VERSIONS {
        versions.push(store(&blobs, ordinary, version, options.uploads as u64).await?);
    }
    let mut huge = Vec::new();
    for version in 0..2 {
        huge.push(store(&blobs, HUGE, version, options.uploads as u64).await?);
    }
    let mut seeder = Seeder::connect(options, clock.now_us()).await?;
    seeder.insert_repos().await?;
    seeder.insert_versions(&versions, 0).await?;
    seeder.insert_versions(&huge, VERSIONS as i64).await?;
    for from in (0..options.commits).step_by(BATCH_COMMITS as usize) {
        let to = options.commits.min(from + BATCH_COMMITS);
        seeder.insert_commits(from, to).await?;
        eprintln!("seed: {to} commits, {:.0} s", begun.elapsed().as_secs_f64());
    }
    seeder.insert_huge().await?;
    seeder.finish().await?;
    eprintln!("seed: done, {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Makes and stores the packs of a version, one of each job.
async fn store(blobs: &LocalBlobs, shape: Shape, version: u64, jobs: u64) -> Result<Version> {
    let mut packs: Vec<Pack> = Vec::new();
    for job in 0..jobs {
        packs.push(pack(shape, version, job)?);
    }
    let mut totals = Totals::default();
    for at in 0..packs[0].header().files.len() {
        let mut files = packs.iter().map(|pack| pack.file(&pack.header().files[at]));
        let first = files.next().context("a commit has an upload")??;
        let joined = files.try_fold(first, |joined, file| {
            Ok::<_, engine::Error>(joined.join(&file?))
        })?;
        totals += joined.totals();
        totals.files += 1;
    }
    totals.sessions = jobs;
    let mut named = Vec::new();
    for pack in packs {
        blobs
            .put(&pack.name().blob_key(), pack.bytes().clone())
            .await?;
        named.push((pack.name(), pack.header().totals()));
    }
    let set: PackSet = named.iter().map(|(name, _)| *name).collect();
    Ok(Version {
        fold: set.key_hex(),
        packs: named,
        totals,
    })
}

struct Seeder {
    conn: PgConnection,
    repos: i64,
    commits: i64,
    uploads: i64,
    now_us: i64,
}

impl Seeder {
    async fn connect(options: &Options, now_us: i64) -> Result<Seeder> {
        let mut conn = PgConnection::connect(&options.database)
            .await
            .context("connect to the database")?;
        let repos: i64 = sqlx::query_scalar("select count(*) from repo")
            .fetch_one(&mut conn)
            .await?;
        ensure!(
            repos == 0,
            "the database has repositories already; give an empty one"
        );
        // What a crash of the database would lose is seeded anew.
        sqlx::query("set synchronous_commit = off")
            .execute(&mut conn)
            .await?;
        Ok(Seeder {
            conn,
            repos: options.repos,
            commits: options.commits,
            uploads: options.uploads,
            now_us,
        })
    }

    /// Repositories 1 to `repos` and the huge one, with their flags.
    async fn insert_repos(&mut self) -> Result<()> {
        const OWNER: &str = "insert into owner (id, service, username, username_key, created_us)
            values (1, 'github', 'fleet', 'fleet', $1)";
        const REPOS: &str = "insert into repo (id, owner_id, name, name_key, private, active, created_us, updated_us)
            select n, 1, name, name, false, true, $2, $2
            from (select n, case when n > $1 then $3 else 'repo' || n end as name from generate_series(1, $1 + 1) n) named";
        const FLAGS: &str = "insert into flag (id, repo_id, name)
            select repo * 1000 + job, repo, 'job' || job
            from generate_series(1, $1 + 1) repo, generate_series(0, $2 - 1) job";
        let conn = &mut self.conn;
        sqlx::query(OWNER)
            .bind(self.now_us)
            .execute(&mut *conn)
            .await?;
        sqlx::query(REPOS)
            .bind(self.repos)
            .bind(self.now_us)
            .bind(HUGE_REPO)
            .execute(&mut *conn)
            .await?;
        sqlx::query(FLAGS)
            .bind(self.repos)
            .bind(self.uploads)
            .execute(&mut *conn)
            .await?;
        Ok(())
    }

    /// The packs that rows are made from, in tables of this connection.
    async fn insert_versions(&mut self, versions: &[Version], first: i64) -> Result<()> {
        const TABLES: [&str; 2] = [
            "create temp table if not exists version (number bigint, fold text, totals text)",
            "create temp table if not exists version_pack (number bigint, job bigint, pack text, totals text)",
        ];
        for table in TABLES {
            sqlx::query(table).execute(&mut self.conn).await?;
        }
        for (number, version) in (first..).zip(versions) {
            sqlx::query("insert into version values ($1, $2, $3)")
                .bind(number)
                .bind(&version.fold)
                .bind(serde_json::to_string(&version.totals)?)
                .execute(&mut self.conn)
                .await?;
            for (job, (pack, totals)) in (0i64..).zip(&version.packs) {
                sqlx::query("insert into version_pack values ($1, $2, $3, $4)")
                    .bind(number)
                    .bind(job)
                    .bind(pack.to_string())
                    .bind(serde_json::to_string(totals)?)
                    .execute(&mut self.conn)
                    .await?;
            }
        }
        Ok(())
    }

    /// Commits `from..to` of the fleet with their uploads: commit n is of repository n modulo `repos`, and its parent
    /// is the commit before it there.
    async fn insert_commits(&mut self, from: i64, to: i64) -> Result<()> {
        const COMMITS: &str = "insert into commits (id, repo_id, sha, parent_sha, branch, message, timestamp_us,
                created_us, updated_us, state, totals, fold, report_created)
            select n + 1, n % $3 + 1, left(md5('a' || n) || md5('b' || n), 40),
                case when n >= $3 then left(md5('a' || n - $3) || md5('b' || n - $3), 40) end,
                case when n / $3 % $4 = $4 - 1 then 'feature-' || n / $3 / $4 else 'main' end,
                'Commit ' || n, $5 + n * $6, $5 + n * $6, $5 + n * $6, 'complete', totals, fold, true
            from generate_series($1, $2 - 1) n join version on number = n / $3 % $7";
        sqlx::query(COMMITS)
            .bind(from)
            .bind(to)
            .bind(self.repos)
            .bind(BRANCH_EVERY)
            .bind(self.now_us - self.commits * STEP_US)
            .bind(STEP_US)
            .bind(VERSIONS as i64)
            .execute(&mut self.conn)
            .await?;
        self.insert_uploads(from + 1, to).await
    }

    /// The uploads of the commits of these ids, one of each job.
    async fn insert_uploads(&mut self, first: i64, last: i64) -> Result<()> {
        const UPLOADS: &str = "insert into upload (id, external_id, repo_id, commit_id, kind, state, upload_type, provider,
                build_code, job_code, name, order_number, storage_path, envelope, size_bytes, pack, totals, uploader,
                created_us, updated_us)
            select commits.id * $3 + job, gen_random_uuid()::text, repo_id, commits.id, 'coverage', 'merged', 'uploaded',
                'github-actions', 'build' || commits.id, 'job' || job, 'job' || job, job,
                'raw/' || repo_id || '/' || sha || '/' || job, 'v1', 100000, pack, version_pack.totals, 'codecov-cli/10',
                created_us, created_us
            from commits join version on version.fold = commits.fold join version_pack using (number)
            where commits.id between $1 and $2";
        const FLAGS: &str = "insert into upload_flag (upload_id, flag_id)
            select commits.id * $3 + job, repo_id * 1000 + job
            from commits, generate_series(0, $3 - 1) job where commits.id between $1 and $2";
        for sql in [UPLOADS, FLAGS] {
            sqlx::query(sql)
                .bind(first)
                .bind(last)
                .bind(self.uploads)
                .execute(&mut self.conn)
                .await?;
        }
        self.insert_measures(first, last).await
    }

    /// What was counted of the commits of these ids.
    async fn insert_measures(&mut self, first: i64, last: i64) -> Result<()> {
        const SQL: &str = "insert into measure (commit_id, kind, name, files, lines, hits, misses, partials, repo_id,
                branch, timestamp_us)
            select id, kind, name, (counts->>'files')::bigint, (counts->>'lines')::bigint, (counts->>'hits')::bigint,
                (counts->>'misses')::bigint, (counts->>'partials')::bigint,
                repo_id, branch, timestamp_us
            from (
                select commits.id, 'report' as kind, '' as name, commits.totals::json as counts, repo_id, branch,
                    timestamp_us from commits
                where commits.id between $1 and $2
                union all
                select commits.id, 'flag', 'job' || job, version_pack.totals::json, repo_id, branch, timestamp_us
                from commits join version on version.fold = commits.fold join version_pack using (number)
                where commits.id between $1 and $2) counted";
        let query = sqlx::query(SQL).bind(first).bind(last);
        query.execute(&mut self.conn).await?;
        Ok(())
    }

    /// Two commits of the huge repository, the second made from the first.
    async fn insert_huge(&mut self) -> Result<()> {
        const COMMITS: &str =
            "insert into commits (id, repo_id, sha, parent_sha, branch, message, timestamp_us,
                created_us, updated_us, state, totals, fold, report_created)
            select $1 + n, $2, left(md5('huge' || n) || md5('b'), 40),
                case when n = 2 then left(md5('huge1') || md5('b'), 40) end, 'main', 'Huge ' || n,
                $3 + n, $3 + n, $3 + n, 'complete', totals, fold, true
            from generate_series(1, 2) n join version on number = $4 + n - 1";
        sqlx::query(COMMITS)
            .bind(self.commits)
            .bind(self.repos + 1)
            .bind(self.now_us - STEP_US)
            .bind(VERSIONS as i64)
            .execute(&mut self.conn)
            .await?;
        self.insert_uploads(self.commits + 1, self.commits + 2)
            .await
    }

    /// The branches; then the tables as they are after a while of use, with statistics for the planner.
    async fn finish(mut self) -> Result<()> {
        const BRANCHES: &str =
            "insert into branch (repo_id, name, head, head_timestamp_us, updated_us)
            select distinct on (repo_id, branch) repo_id, branch, sha, timestamp_us, timestamp_us
            from commits order by repo_id, branch, timestamp_us desc";
        for sql in [BRANCHES, "vacuum analyze"] {
            sqlx::query(sql).execute(&mut self.conn).await?;
        }
        self.conn.close().await?;
        Ok(())
    }
}
