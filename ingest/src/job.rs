//! The worker: takes uploads from the queue and makes them part of their commits' reports.
//!
//! Every job may run twice, or be cut off anywhere and run again: what it writes last, in one
//! transaction with its own end, is the only thing that counts.

use std::future::Future;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use async_trait::async_trait;
use engine::blob::Blobs;
use engine::clock::Clock;
use engine::db::commits::{
    Commit, CommitResult, CommitState, get_commit, list_children, set_commit_result,
};
use engine::db::journal::{Step, Verdict, insert_step};
use engine::db::measures::set_measures;
use engine::db::uploads::{
    self, Envelope, Upload, UploadKind, UploadPack, UploadState, list_attempts, list_packs,
    list_upload_flags, mark_error, mark_merged, mark_processed, set_superseded,
};
use engine::db::{Conn, Db};
use engine::fold::{Folds, PackSet};
use engine::id::{CommitId, JournalId, RepoId, UploadId};
use engine::mmap::Mapped;
use engine::pack::{self, Pack, PackName};
use engine::queue::{self, Job, NewJob, Retried};
use engine::shared::{Memory, Shared};
use engine::{Error, Result};
use futures_util::FutureExt as _;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::task::TaskTracker;

use crate::arrival::{self, ARRIVE};
use crate::attempts;
use crate::bundle::Bundle;
use crate::carry;
use crate::envelope::Kind;
use crate::error::UploadError;
use crate::measure::measure;
use crate::process::{Outcome, process};
use crate::repeats::{Reading, ReadingKey, Repeats};
use crate::yamls::{Effective, Yamls};

/// Reads an upload whose bytes are durable.
pub const PROCESS: &str = "process";
/// Counts a commit's report anew.
pub const REFRESH: &str = "refresh";

const KINDS: [&str; 3] = [PROCESS, ARRIVE, REFRESH];
/// How many problems of an upload the journal keeps.
const PROBLEMS_SHOWN: usize = 50;
/// Memory that uploads which are being read may take together, by estimate, in MiB.
const READING_MIB: u32 = 1024;
/// How much an upload may grow when it is unpacked and parsed, by estimate.
const GROWTH: u32 = 16;
/// Commits whose parent is a commit, and that may carry what it has, at most.
const CHILDREN_MAX: i64 = 100;
/// So far a change of a commit's report is handed on to those that carry what it has.
const CARRY_HOPS: u32 = 10;
/// A worker that cannot reach the database tries again after so long.
const TROUBLE_PAUSE: Duration = Duration::from_secs(1);
/// How often a failed job is given back where the database is away: about as long as its lease holds.
const RETURNS_MAX: u32 = 15;

/// Names the upload of a job.
#[derive(Serialize, Deserialize)]
struct UploadJob {
    upload: UploadId,
}

/// Names the commit of a job.
#[derive(Serialize, Deserialize)]
struct CommitJob {
    commit: CommitId,
    /// How many commits away the change is that made this necessary.
    #[serde(default)]
    hops: u32,
}

/// Enqueues the reading of an upload, in the transaction that makes its bytes a fact. Repositories wait in turn.
pub async fn enqueue_process(
    conn: &mut Conn,
    upload: UploadId,
    repo: RepoId,
    now_us: i64,
) -> Result<()> {
    let job = NewJob::new(PROCESS, &UploadJob { upload }, now_us)?.in_lane(repo.0);
    queue::enqueue(conn, &job, now_us).await
}

/// Enqueues the counting of a commit's report; several that wait are one.
pub async fn enqueue_refresh(conn: &mut Conn, commit: CommitId, now_us: i64) -> Result<()> {
    enqueue_refresh_at(conn, commit, 0, now_us).await
}

async fn enqueue_refresh_at(
    conn: &mut Conn,
    commit: CommitId,
    hops: u32,
    now_us: i64,
) -> Result<()> {
    let payload = CommitJob { commit, hops };
    let job = NewJob::new(REFRESH, &payload, now_us)?.with_key(commit.to_string());
    queue::enqueue(conn, &job, now_us).await
}

/// A step of an upload's life, for its journal.
#[must_use]
pub struct Note(Step);

impl Note {
    /// A step that went well, from when to when.
    pub fn new(
        commit: &Commit,
        upload: Option<UploadId>,
        step: &str,
        message: String,
        (started_us, ended_us): (i64, i64),
    ) -> Note {
        Note(Step {
            id: JournalId::generate(ended_us),
            repo_id: commit.repo_id,
            commit_sha: commit.sha.clone(),
            upload_id: upload,
            step: step.into(),
            verdict: Verdict::Ok,
            code: None,
            message,
            detail: None,
            started_us,
            duration_us: (ended_us - started_us).max(0),
        })
    }

    /// The step with another verdict, and the code of what went wrong.
    pub fn with_verdict(mut self, verdict: Verdict, code: Option<&str>) -> Note {
        self.0.verdict = verdict;
        self.0.code = code.map(Into::into);
        self
    }

    /// The step with what programs may want to know of it.
    pub fn with_detail(mut self, detail: serde_json::Value) -> Note {
        self.0.detail = Some(detail.to_string());
        self
    }

    /// Adds the step to the journal.
    pub async fn write(self, conn: &mut Conn) -> Result<()> {
        insert_step(conn, &self.0).await
    }
}

/// Work of another part of the program that the same queue carries.
#[async_trait]
pub trait Errand: Send + Sync {
    /// The kind of its jobs.
    fn kind(&self) -> &'static str;

    /// The job that a new report of a commit gives rise to.
    fn after_report(&self, commit: &Commit, now_us: i64) -> Result<Option<NewJob>>;

    /// Does the work of a job, and ends it in the transaction of its result. Runs again after a failure.
    async fn run(&self, job: &Job) -> Result<()>;
}

/// What a worker works with.
#[derive(Clone)]
pub struct Worker {
    db: Db,
    blobs: Arc<dyn Blobs>,
    folds: Folds,
    yamls: Yamls,
    clock: Clock,
    name: String,
    concurrency: usize,
    errands: Vec<Arc<dyn Errand>>,
    repeats: Repeats,
    /// Permits of a MiB each, so that large uploads wait for each other.
    reading: Arc<Semaphore>,
}

impl Worker {
    /// A worker that runs `concurrency` jobs at once; `name` is how the queue knows it.
    pub fn new(
        db: Db,
        blobs: Arc<dyn Blobs>,
        folds: Folds,
        yamls: Yamls,
        clock: Clock,
        name: String,
        concurrency: usize,
    ) -> Worker {
        let reading = Arc::new(Semaphore::new(READING_MIB as usize));
        let repeats = Repeats::new(Arc::new(Memory::new(clock.clone())));
        Worker {
            db,
            blobs,
            folds,
            yamls,
            clock,
            name,
            concurrency,
            errands: Vec::new(),
            repeats,
            reading,
        }
    }

    /// The same worker, which runs these errands, too.
    pub fn with_errand(mut self, errand: Arc<dyn Errand>) -> Worker {
        self.errands.push(errand);
        self
    }

    /// The same worker, which shares with others what was read lately.
    pub fn with_shared(mut self, shared: Arc<dyn Shared>) -> Worker {
        self.repeats = Repeats::new(shared);
        self
    }

    /// The kinds of its jobs.
    fn kinds(&self) -> Vec<&'static str> {
        let errands = self.errands.iter().map(|errand| errand.kind());
        KINDS.into_iter().chain(errands).collect()
    }

    /// Works until `shutdown`, then finishes what it has begun.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let worker = Arc::new(self);
        let permits = Arc::new(Semaphore::new(worker.concurrency));
        let tasks = TaskTracker::new();
        let mut wakeups = worker.db.subscribe(queue::TOPIC);
        let mut shutdown = std::pin::pin!(shutdown.fuse());
        loop {
            let turn = worker.turn(&permits, &tasks, &mut wakeups);
            let result = tokio::select! {
                () = &mut shutdown => break,
                result = turn => result,
            };
            if let Err(error) = result {
                tracing::error!(%error, "queue is out of reach; trying again");
                tokio::time::sleep(TROUBLE_PAUSE).await;
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    /// Starts what is due, or waits until something is.
    async fn turn(
        self: &Arc<Self>,
        permits: &Arc<Semaphore>,
        tasks: &TaskTracker,
        wakeups: &mut tokio::sync::watch::Receiver<u64>,
    ) -> Result<()> {
        let closed = |_| Error::Closed {
            what: "worker".into(),
        };
        let first = permits.clone().acquire_owned().await.map_err(closed)?;
        let limit = permits.available_permits() + 1;
        let kinds = self.kinds();
        let jobs =
            queue::claim(&self.db, &self.name, &kinds, limit as i64, queue::LEASE_US).await?;
        if jobs.is_empty() {
            drop(first);
            return queue::wait(&self.db, &kinds, wakeups).await;
        }
        let mut permit = Some(first);
        for job in jobs {
            let permit = match permit.take() {
                Some(permit) => permit,
                None => permits.clone().acquire_owned().await.map_err(closed)?,
            };
            let worker = self.clone();
            tasks.spawn(async move {
                worker.work(job).await;
                drop(permit);
            });
        }
        Ok(())
    }

    /// Runs one job, keeping its lease, and returns it to the queue if it fails.
    async fn work(&self, job: Job) {
        let renewal = Duration::from_micros(queue::LEASE_US.unsigned_abs() / 3);
        let mut run = std::pin::pin!(self.run_job(&job));
        let result = loop {
            tokio::select! {
                result = &mut run => break result,
                () = tokio::time::sleep(renewal) => {
                    if let Err(error) = queue::renew(&self.db, &job, queue::LEASE_US).await {
                        tracing::warn!(job = %job.id, %error, "lease was not renewed");
                    }
                }
            }
        };
        let Err(error) = result else { return };
        tracing::warn!(job = %job.id, kind = job.kind, attempt = job.attempt, %error, "job failed");
        let reason = error.to_string();
        for _ in 0..RETURNS_MAX {
            match self.give_back(&job, &reason).await {
                Ok(()) | Err(Error::Conflict { .. }) => return,
                Err(error) => tracing::warn!(%error, "job is not returned yet"),
            }
            tokio::time::sleep(TROUBLE_PAUSE).await;
        }
        tracing::warn!(job = %job.id, "job was not returned; its lease has ended");
    }

    /// Returns a failed job to the queue.
    async fn give_back(&self, job: &Job, reason: &str) -> Result<()> {
        let (job, reason, clock) = (job.clone(), reason.to_owned(), self.clock.clone());
        let returned = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                if queue::retry(conn, &job, &reason, now_us).await? == Retried::Dead {
                    note_given_up(conn, &job, &reason, now_us).await?;
                }
                Ok(())
            })
        });
        returned.await
    }

    async fn run_job(&self, job: &Job) -> Result<()> {
        match job.kind.as_str() {
            PROCESS => self.process(job).await,
            ARRIVE => arrival::look(&self.db, &*self.blobs, &self.clock, job).await,
            REFRESH => self.refresh(job).await,
            other => match self.errands.iter().find(|errand| errand.kind() == other) {
                Some(errand) => errand.run(job).await,
                None => Err(Error::invalid("job", format!("unknown kind {other}"))),
            },
        }
    }

    async fn process(&self, job: &Job) -> Result<()> {
        let UploadJob { upload } = job.payload()?;
        let mut conn = self.db.read().await?;
        let upload = uploads::get_upload(&mut conn, upload).await?;
        if upload.state != UploadState::Uploaded {
            return self.end(job).await;
        }
        let commit = get_commit(&mut conn, upload.commit_id).await?;
        let effective = self.yamls.of_commit(&mut conn, commit.id).await?;
        let flags = list_upload_flags(&mut conn, upload.id).await?;
        drop(conn);
        if upload.kind != UploadKind::Coverage {
            return self.keep(job, upload, commit).await;
        }
        let (begun_us, joined) = (self.clock.now_us(), effective.settings.joins(&flags));
        let key = ReadingKey::new(&upload, &flags, &effective);
        if let Some(key) = &key
            && let Some(mut reading) = self.repeats.find(key, begun_us).await
            && self.has_pack(&reading).await?
        {
            reading
                .message
                .push_str("; the same bytes were read before");
            let read = (reading, joined);
            return self.merge(job, upload, commit, read, [begun_us; 3]).await;
        }
        let _memory = self.reading.acquire_many(estimate_mib(&upload)).await;
        let file = self.blobs.open(&upload.storage_path).await?;
        let kind = match upload.envelope {
            Envelope::V1 => Kind::V1,
            Envelope::Legacy => Kind::Legacy,
        };
        let clock = self.clock.clone();
        let read = tokio::task::spawn_blocking(move || -> Result<_> {
            let body = Mapped::sealed(file)?;
            let outcome = process(&body, kind, &effective.settings, &flags, clock.now_us());
            let parsed_us = clock.now_us();
            let pack = match outcome.error {
                Some(_) => None,
                None => Some(pack::encode(&outcome.files, 1)?),
            };
            Ok((outcome, pack, [begun_us, parsed_us, clock.now_us()]))
        });
        let (outcome, pack, times) = read.await.map_err(|error| Error::Closed {
            what: format!("parser thread ({error})"),
        })??;
        let Some(pack) = pack else {
            return self.reject(job, upload, commit, outcome, times).await;
        };
        let reading = reading_of(&outcome, &pack)?;
        self.folds.store(pack).await?;
        if let Some(key) = &key {
            self.repeats.keep(key, &reading, begun_us).await;
        }
        let read = (reading, joined);
        self.merge(job, upload, commit, read, times).await
    }

    /// Whether the pack of a reading is in the object store: a Redis may outlive it, or know another store's packs.
    async fn has_pack(&self, reading: &Reading) -> Result<bool> {
        let pack: PackName = reading.pack.parse()?;
        Ok(self.blobs.size(&pack.blob_key()).await?.is_some())
    }

    /// Makes a pack part of its commit. The last are when reading began, when it ended, and when the pack was made.
    async fn merge(
        &self,
        job: &Job,
        upload: Upload,
        commit: Commit,
        (reading, joined): (Reading, bool),
        [begun_us, parsed_us, packed_us]: [i64; 3],
    ) -> Result<()> {
        let (job, clock) = (job.clone(), self.clock.clone());
        let span = upload_span(&upload, &commit);
        let merged = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                let (pack, totals) = (&reading.pack, Some(&*reading.totals));
                if mark_merged(conn, upload.id, pack, totals, joined, now_us).await? {
                    let id = Some(upload.id);
                    let verdict = match reading.code {
                        None => Verdict::Ok,
                        Some(_) => Verdict::Warning,
                    };
                    let parsed = (begun_us, parsed_us);
                    Note::new(&commit, id, "parsed", reading.message, parsed)
                        .with_verdict(verdict, reading.code.as_deref())
                        .with_detail(reading.detail)
                        .write(conn)
                        .await?;
                    let (bytes, lines) = (reading.pack_bytes, reading.lines);
                    let message = format!("{bytes} bytes for {lines} lines");
                    let detail = json!({ "pack": reading.pack });
                    let packed = (parsed_us, packed_us);
                    Note::new(&commit, id, "packed", message, packed)
                        .with_detail(detail)
                        .write(conn)
                        .await?;
                    let message = "part of the commit's report".to_string();
                    let merged = (packed_us, now_us);
                    Note::new(&commit, id, "merged", message, merged)
                        .write(conn)
                        .await?;
                    enqueue_refresh(conn, commit.id, now_us).await?;
                }
                queue::finish(conn, &job).await
            })
        });
        merged.await?;
        let _entered = span.enter();
        tracing::info!("upload processed");
        Ok(())
    }

    /// Notes why an upload yields nothing.
    async fn reject(
        &self,
        job: &Job,
        upload: Upload,
        commit: Commit,
        outcome: Outcome,
        [begun_us, parsed_us, _]: [i64; 3],
    ) -> Result<()> {
        let (job, clock) = (job.clone(), self.clock.clone());
        let span = upload_span(&upload, &commit);
        let detail = detail_of(&outcome);
        let error = outcome.error.expect("only failed uploads are rejected");
        let logged = error.clone();
        let rejected = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                let UploadError { code, message } = error;
                let params =
                    json!({ "location": upload.storage_path, "message": message }).to_string();
                if mark_error(conn, upload.id, code.as_str(), &params, now_us).await? {
                    let parsed = (begun_us, parsed_us);
                    let code = Some(code.as_str());
                    Note::new(&commit, Some(upload.id), "parsed", message, parsed)
                        .with_verdict(Verdict::Error, code)
                        .with_detail(detail)
                        .write(conn)
                        .await?;
                    enqueue_refresh(conn, commit.id, now_us).await?;
                }
                queue::finish(conn, &job).await
            })
        });
        rejected.await?;
        let _entered = span.enter();
        tracing::warn!(
            code = logged.code.as_str(),
            reason = logged.message,
            "upload yields no coverage"
        );
        Ok(())
    }

    /// Keeps an upload that holds no coverage as it is, and measures a bundle.
    async fn keep(&self, job: &Job, upload: Upload, commit: Commit) -> Result<()> {
        let read = match upload.kind {
            UploadKind::BundleAnalysis => Some(self.read_bundle(&upload).await?),
            _ => None,
        };
        let (job, clock) = (job.clone(), self.clock.clone());
        let kept = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                let bundle = read.as_ref().and_then(|read| read.as_ref().ok());
                let totals = bundle.map(|bundle| json!(bundle).to_string());
                let named = bundle.map(|bundle| bundle.name.as_str());
                if mark_processed(conn, upload.id, named.zip(totals.as_deref()), now_us).await? {
                    let (message, verdict) = match &read {
                        Some(Ok(bundle)) => {
                            let Bundle { name, size_bytes } = bundle;
                            let told = format!("bundle {name} has {size_bytes} bytes");
                            (told, Verdict::Ok)
                        }
                        Some(Err(why)) => (
                            format!("no statistics of a bundle: {why}"),
                            Verdict::Warning,
                        ),
                        None => ("test results are kept".to_owned(), Verdict::Ok),
                    };
                    let at = (now_us, now_us);
                    Note::new(&commit, Some(upload.id), "stored", message, at)
                        .with_verdict(verdict, None)
                        .write(conn)
                        .await?;
                }
                queue::finish(conn, &job).await
            })
        });
        kept.await
    }

    /// The bundle of an upload, or what is wrong with its statistics.
    async fn read_bundle(&self, upload: &Upload) -> Result<std::result::Result<Bundle, String>> {
        let _memory = self.reading.acquire_many(estimate_mib(upload)).await;
        let file = self.blobs.open(&upload.storage_path).await?;
        let read = tokio::task::spawn_blocking(move || Ok(Bundle::read(&Mapped::sealed(file)?)));
        let closed = |_| Error::Closed {
            what: "reading of a bundle".into(),
        };
        read.await.map_err(closed)?
    }

    async fn refresh(&self, job: &Job) -> Result<()> {
        let CommitJob { commit, hops } = job.payload()?;
        let mut conn = self.db.read().await?;
        let commit = get_commit(&mut conn, commit).await?;
        let effective = self.yamls.of_commit(&mut conn, commit.id).await?;
        self.supersede(&mut conn, &commit).await?;
        let uploads = self.carry(&mut conn, &commit, &effective).await?;
        let states = uploads::count_by_state(&mut conn, commit.id).await?;
        drop(conn);
        let failed = states.contains_key(&UploadState::Error);
        let awaits = [UploadState::Started, UploadState::Uploaded];
        let is_last = !awaits.iter().any(|state| states.contains_key(state));
        let begun_us = self.clock.now_us();
        let packs = PackSet::of_uploads(&uploads)?;
        let mut totals = self.folds.report(&packs).await?.totals();
        totals.sessions = uploads.len() as u64;
        let (fold, state) = match totals.files {
            0 if failed => (None, CommitState::Error),
            0 => return self.end(job).await,
            _ => (Some(packs.key_hex()), counted_state(&commit)),
        };
        let measures = match fold {
            Some(_) => measure(&self.folds, &uploads, &effective.components, totals).await?,
            None => Vec::new(),
        };
        let totals = serde_json::to_string(&totals).map_err(|e| Error::invalid("totals", e))?;
        let result = CommitResult {
            state,
            totals: fold.is_some().then_some(totals),
            fold,
        };
        let (job, clock, count) = (job.clone(), self.clock.clone(), uploads.len());
        let after = self.after_report(&commit)?;
        let refreshed = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                if !set_commit_result(conn, commit.id, commit.fold.as_deref(), &result, now_us)
                    .await?
                {
                    enqueue_refresh_at(conn, commit.id, hops, now_us).await?;
                    return queue::finish(conn, &job).await;
                }
                set_measures(conn, commit.id, &measures).await?;
                if result.fold.is_some() && result.fold != commit.fold {
                    let message = format!("the report of {count} uploads");
                    let at = (begun_us, now_us);
                    Note::new(&commit, None, "folded", message, at)
                        .write(conn)
                        .await?;
                    for errand in &after {
                        queue::enqueue(conn, errand, now_us).await?;
                    }
                    note_gate(conn, &commit, &effective, count, now_us).await?;
                    if effective.carries_anything() && hops < CARRY_HOPS {
                        refresh_children(conn, &commit, hops + 1, now_us).await?;
                    }
                }
                queue::finish(conn, &job).await
            })
        });
        refreshed.await?;
        if is_last {
            self.folds.share(&packs).await;
        }
        Ok(())
    }

    /// Has uploads give way to those of newer attempts.
    async fn supersede(&self, conn: &mut Conn, commit: &Commit) -> Result<()> {
        let changed = attempts::changed(&list_attempts(conn, commit.id).await?);
        if changed.is_empty() {
            return Ok(());
        }
        let (commit, clock) = (commit.clone(), self.clock.clone());
        let noted = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                for (id, superseded) in changed {
                    set_superseded(conn, id, superseded).await?;
                    let message = match superseded {
                        true => "a newer attempt of the job takes its place",
                        false => "it counts again, as the newer attempt brings less",
                    };
                    let at = (now_us, now_us);
                    Note::new(&commit, Some(id), "superseded", message.to_owned(), at)
                        .write(conn)
                        .await?;
                }
                Ok(())
            })
        });
        noted.await
    }

    /// Brings what the commit carries forward up to date; gives all its uploads.
    async fn carry(
        &self,
        conn: &mut Conn,
        commit: &Commit,
        effective: &Effective,
    ) -> Result<Vec<UploadPack>> {
        let uploads = list_packs(conn, commit.id).await?;
        let begun_us = self.clock.now_us();
        let (blobs, settings) = (&*self.blobs, &effective.settings);
        let change = carry::plan(conn, &self.folds, blobs, settings, commit, &uploads).await?;
        if change.is_empty() {
            return Ok(uploads);
        }
        let (carrying, clock) = (commit.clone(), self.clock.clone());
        let carried = self.db.write(move |conn| {
            Box::pin(async move {
                let now_us = clock.now_us();
                let message = change.apply(conn, &carrying, now_us).await?;
                Note::new(&carrying, None, "carried", message, (begun_us, now_us))
                    .write(conn)
                    .await
            })
        });
        carried.await?;
        list_packs(conn, commit.id).await
    }

    /// The jobs that a new report of a commit gives rise to.
    fn after_report(&self, commit: &Commit) -> Result<Vec<NewJob>> {
        let now_us = self.clock.now_us();
        let jobs = self
            .errands
            .iter()
            .map(|errand| errand.after_report(commit, now_us));
        jobs.filter_map(Result::transpose).collect()
    }

    async fn end(&self, job: &Job) -> Result<()> {
        let job = job.clone();
        self.db
            .write(move |conn| Box::pin(async move { queue::finish(conn, &job).await }))
            .await
    }
}

/// How far a commit is whose report holds something. Source: Codecov's rule for `[ci skip]` and its like.
fn counted_state(commit: &Commit) -> CommitState {
    static SKIP: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"\[(ci|skip| |-){3,}\]").expect("the pattern is constant"));
    match commit
        .message
        .as_deref()
        .is_some_and(|message| SKIP.is_match(message))
    {
        true => CommitState::Skipped,
        false => CommitState::Complete,
    }
}

/// Notes what the settings wait for before anybody is notified, if they wait for anything.
async fn note_gate(
    conn: &mut Conn,
    commit: &Commit,
    effective: &Effective,
    uploads: usize,
    now_us: i64,
) -> Result<()> {
    let expected = commit.expected_uploads.unwrap_or(0).unsigned_abs();
    let builds = effective.after_n_builds().max(expected);
    let (code, message) = if builds > uploads as u64 {
        let message = format!("{uploads} of {builds} uploads are there; nobody is notified before");
        ("not_enough_builds", message)
    } else if effective.manual_trigger() {
        let message = "nobody is notified until a client sends upload-complete".to_owned();
        ("manual_trigger", message)
    } else {
        return Ok(());
    };
    let at = (now_us, now_us);
    Note::new(commit, None, "gate", message, at)
        .with_verdict(Verdict::Waiting, Some(code))
        .write(conn)
        .await
}

/// Has those commits counted anew that may carry what this one has.
async fn refresh_children(conn: &mut Conn, commit: &Commit, hops: u32, now_us: i64) -> Result<()> {
    for child in list_children(conn, commit.repo_id, &commit.sha, CHILDREN_MAX).await? {
        enqueue_refresh_at(conn, child, hops, now_us).await?;
    }
    Ok(())
}

/// Notes that a job has failed for good: its upload's bytes are kept, and an operator can revive it.
async fn note_given_up(conn: &mut Conn, job: &Job, reason: &str, now_us: i64) -> Result<()> {
    tracing::error!(job = %job.id, kind = job.kind, reason, "job was given up");
    if job.kind != PROCESS {
        return Ok(());
    }
    let UploadJob { upload } = job.payload()?;
    let upload = uploads::get_upload(conn, upload).await?;
    let commit = get_commit(conn, upload.commit_id).await?;
    let message = format!(
        "processing failed {} times, last: {reason}; mend the cause, then run: hitline admin job revive {}",
        job.attempt, job.id
    );
    let (code, at) = (Some("given_up"), (now_us, now_us));
    Note::new(&commit, Some(upload.id), "parsed", message, at)
        .with_verdict(Verdict::Error, code)
        .write(conn)
        .await
}

/// The memory that reading an upload may take, in MiB; the largest read alone.
fn estimate_mib(upload: &Upload) -> u32 {
    let mib = upload.size_bytes.unwrap_or(0) >> 20;
    u32::try_from(mib)
        .unwrap_or(u32::MAX)
        .saturating_add(1)
        .saturating_mul(GROWTH)
        .min(READING_MIB)
}

/// What was read of an upload that yields coverage.
fn reading_of(outcome: &Outcome, pack: &Pack) -> Result<Reading> {
    let totals = &outcome.totals;
    let (lines, files, reports) = (totals.lines, totals.files, outcome.reports.len());
    let message = format!("{lines} lines of {files} files from {reports} reports");
    let problem = outcome.problems.first();
    Ok(Reading {
        pack: pack.name().to_string(),
        pack_bytes: pack.bytes().len(),
        lines,
        totals: serde_json::to_string(totals).map_err(|e| Error::invalid("totals", e))?,
        code: problem.map(|problem| problem.code.as_str().to_owned()),
        message: match problem {
            None => message,
            Some(problem) => format!("{message}; {}", problem.message),
        },
        detail: detail_of(outcome),
    })
}

/// What the journal tells programs of a reading.
fn detail_of(outcome: &Outcome) -> serde_json::Value {
    let reports = outcome.reports.iter().map(|report| {
        json!({
            "name": report.name,
            "format": report.format.map(|format| format.processor()),
            "size_bytes": report.size_bytes,
            "files": report.files,
        })
    });
    let problems = outcome.problems.iter().take(PROBLEMS_SHOWN);
    let problems = problems.map(|problem| {
        json!({
            "file": problem.file,
            "line": problem.line,
            "code": problem.code.as_str(),
            "message": problem.message,
        })
    });
    json!({
        "reports": reports.collect::<Vec<_>>(),
        "problems": problems.collect::<Vec<_>>(),
        "problems_in_all": outcome.problems.len(),
        "paths": outcome.paths,
    })
}

fn upload_span(upload: &Upload, commit: &Commit) -> tracing::Span {
    tracing::info_span!(
        "upload",
        upload_id = upload.external_id,
        commit_sha = commit.sha,
        repo = %upload.repo_id
    )
}
