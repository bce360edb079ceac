//! What the git provider tells of a commit and its pull request, fetched after the upload that names them, and the
//! counts of the lines that the pull request changes.

use async_trait::async_trait;
use engine::compare::patch;
use engine::db::commits::{
    Commit, CommitInfo, find_commit, find_stand_in, get_commit, list_commits_of, set_commit_info,
};
use engine::db::journal::Verdict;
use engine::db::owners::{Owner, get_owner, upsert_owner};
use engine::db::pulls::{Pull, PullFacts, find_pull, set_pull_comparison, set_pull_facts};
use engine::db::repos::{Repo, get_repo};
use engine::db::uploads::list_packs;
use engine::db::{Conn, Db};
use engine::id::{CommitId, OwnerId};
use engine::queue::{self, Job, NewJob};
use engine::{Error, Result};
use forge::{Provider, RepoName, find_codecov_yml};
use ingest::job::{Errand, Note};
use ingest::yamls::{Scope, Yamls, store_yaml};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::app::App;
use crate::base::choose_base;
use crate::diffs;
use crate::forges::name_of;
use crate::handlers::compare::packs;

/// The kind of these jobs.
const KIND: &str = "sync";
/// Generations of ancestors that are asked for, until one is known.
const ANCESTORS: usize = 10;

/// Names the commit of a job.
#[derive(Serialize, Deserialize)]
struct CommitJob {
    commit: CommitId,
}

/// Enqueues the fetching of what the provider knows of a commit; several that wait are one. Waits in turn with other
/// repositories' work: a provider that is slow must not keep uploads waiting.
pub async fn enqueue_sync(conn: &mut Conn, commit: &Commit, now_us: i64) -> Result<()> {
    queue::enqueue(conn, &new_job(commit, now_us)?, now_us).await
}

fn new_job(commit: &Commit, now_us: i64) -> Result<NewJob> {
    let payload = CommitJob { commit: commit.id };
    let job = NewJob::new(KIND, &payload, now_us)?;
    Ok(job
        .with_key(commit.id.to_string())
        .in_lane(commit.repo_id.0))
}

/// The worker's part in it.
pub struct Sync(pub App);

#[async_trait]
impl Errand for Sync {
    fn kind(&self) -> &'static str {
        KIND
    }

    /// The lines that a pull request changes are counted anew with each new report of its head.
    fn after_report(&self, commit: &Commit, now_us: i64) -> Result<Option<NewJob>> {
        match commit.pull_id {
            Some(_) => new_job(commit, now_us).map(Some),
            None => Ok(None),
        }
    }

    async fn run(&self, job: &Job) -> Result<()> {
        let CommitJob { commit } = job.payload()?;
        let told = Told::ask(&self.0, commit).await?;
        let job = job.clone();
        let written = self.0.db.write(move |conn| {
            Box::pin(async move {
                told.write(conn).await?;
                queue::finish(conn, &job).await
            })
        });
        written.await
    }
}

/// What is known after the provider was asked, ready to be written.
struct Told {
    commit: Commit,
    service: String,
    info: Option<forge::Commit>,
    /// The text of its codecov.yml, empty where it has none; absent if nobody told.
    yaml: Option<String>,
    parent: Option<String>,
    pull: Option<(i64, Option<forge::Pull>)>,
    compared_to: Option<String>,
    patch: Option<String>,
    troubles: Vec<String>,
    yamls: Yamls,
    begun_us: i64,
    ended_us: i64,
}

impl Told {
    async fn ask(app: &App, commit: CommitId) -> Result<Told> {
        let begun_us = app.clock.now_us();
        let mut conn = app.db.read().await?;
        let commit = get_commit(&mut conn, commit).await?;
        let repo = get_repo(&mut conn, commit.repo_id).await?;
        let owner = get_owner(&mut conn, repo.owner_id).await?;
        let pull = match commit.pull_id {
            Some(number) => find_pull(&mut conn, repo.id, number).await?,
            None => None,
        };
        drop(conn);
        let mut told = Told {
            service: owner.service.clone(),
            info: None,
            yaml: None,
            yamls: app.yamls.clone(),
            parent: None,
            pull: pull.as_ref().map(|pull| (pull.number, None)),
            compared_to: None,
            patch: None,
            troubles: Vec::new(),
            begun_us,
            ended_us: begun_us,
            commit,
        };
        if let Some(provider) = app.forges.of(&owner) {
            let asked = Asked {
                db: &app.db,
                provider: &*provider,
                name: name_of(&owner, &repo),
            };
            told.ask_for_commit(&asked).await?;
            told.ask_for_pull(&asked, &repo, pull.as_ref()).await?;
        }
        if let Some(pull) = pull {
            told.compare(app, &owner, &repo, pull).await?;
        }
        told.ended_us = app.clock.now_us();
        Ok(told)
    }

    /// A commit that has a message was told of before.
    async fn ask_for_commit(&mut self, asked: &Asked<'_>) -> Result<()> {
        if self.commit.message.is_some() {
            return Ok(());
        }
        let answer = asked.provider.commit(&asked.name, &self.commit.sha).await;
        let Some(info) = self.taken(answer)? else {
            return Ok(());
        };
        if self.commit.parent_sha.is_none() {
            self.parent = asked.nearest_parent(&self.commit, &info).await?;
        }
        self.info = Some(info);
        let yaml = find_codecov_yml(asked.provider, &asked.name, &self.commit.sha).await;
        self.yaml = self.taken(yaml)?.map(Option::unwrap_or_default);
        Ok(())
    }

    async fn ask_for_pull(
        &mut self,
        asked: &Asked<'_>,
        repo: &Repo,
        pull: Option<&Pull>,
    ) -> Result<()> {
        let Some(pull) = pull else { return Ok(()) };
        let answer = asked.provider.pull(&asked.name, pull.number).await;
        let Some(facts) = self.taken(answer)? else {
            return Ok(());
        };
        let user = pull.user_provided_base_sha.clone();
        for sha in user.iter().chain(&facts.base_sha) {
            if let Some(stand_in) = asked.known_or_stand_in(repo, &facts, sha).await? {
                self.compared_to = Some(stand_in.sha);
                break;
            }
        }
        self.pull = Some((pull.number, Some(facts)));
        Ok(())
    }

    /// An answer, or nothing where the provider has none; then the reason is kept for the journal. Errors: what may
    /// pass, so that the job is tried again.
    fn taken<T>(&mut self, answer: forge::Result<T>) -> Result<Option<T>> {
        match answer {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.is_transient() => Err(Error::Closed {
                what: format!("the git provider ({error})"),
            }),
            Err(error) => {
                self.troubles.push(error.to_string());
                Ok(None)
            }
        }
    }

    /// Chooses the base of the pull request, and counts the lines that it changes.
    async fn compare(&mut self, app: &App, owner: &Owner, repo: &Repo, pull: Pull) -> Result<()> {
        let facts = self.pull.as_ref().and_then(|(_, facts)| facts.as_ref());
        let stands_in = pull.base_sha.is_some() || pull.user_provided_base_sha.is_some();
        let pull = Pull {
            base_sha: facts
                .and_then(|facts| facts.base_sha.clone())
                .or(pull.base_sha),
            compared_to: match facts {
                Some(_) => self.compared_to.clone(),
                // Only a provider finds another commit that stands in.
                None if stands_in => pull.compared_to,
                None => None,
            },
            ..pull
        };
        let mut conn = app.db.read().await?;
        let head = match &pull.head_sha {
            Some(sha) => find_commit(&mut conn, repo.id, sha).await?,
            None => None,
        };
        let Some(head) = head else { return Ok(()) };
        let base = choose_base(&app.yamls, &mut conn, repo, &pull, &head).await?;
        let uploads = list_packs(&mut conn, head.id).await?;
        drop(conn);
        self.compared_to = base.as_ref().map(|base| base.commit.sha.clone());
        let start = match base {
            Some(base) => Some(base.named.unwrap_or(base.commit.sha)),
            None => pull.base_sha,
        };
        let (Some(start), false) = (start, uploads.is_empty()) else {
            return Ok(());
        };
        let diff = diffs::find_or_fetch(app, owner, repo, &start, &head.sha).await;
        let Some(diff) = self.taken_diff(diff)? else {
            return Ok(());
        };
        let diff = diffs::read(app, &diff).await?;
        let paths = diff.files().iter().map(|file| file.path.clone()).collect();
        let report = app
            .folds
            .open_report(&packs(&uploads)?, Some(paths))
            .await?;
        let totals = serde_json::to_string(&patch(&report, &diff)?);
        self.patch = Some(totals.map_err(|error| Error::invalid("totals", error))?);
        Ok(())
    }

    fn taken_diff<T>(&mut self, diff: Result<Option<T>, diffs::Trouble>) -> Result<Option<T>> {
        match diff {
            Ok(diff) => Ok(diff),
            Err(diffs::Trouble::Provider(error)) => self.taken(Err(error)),
            Err(diffs::Trouble::Engine(error)) => Err(error),
        }
    }

    async fn write(self, conn: &mut Conn) -> Result<()> {
        let now_us = self.ended_us;
        if let Some(info) = &self.info {
            let info = CommitInfo {
                message: Some(info.message.clone().unwrap_or_default()),
                author_id: author(conn, &self.service, &info.author, now_us).await?,
                timestamp_us: info.timestamp_us.unwrap_or(self.commit.timestamp_us),
                parent_sha: self.parent.clone(),
            };
            set_commit_info(conn, self.commit.id, &info, now_us).await?;
        }
        if let Some(text) = &self.yaml {
            // One that is wrong is noted with the commit, and harms nothing.
            let _ = store_yaml(
                conn,
                &self.yamls,
                Scope::Commit(self.commit.id),
                text,
                now_us,
            )
            .await?;
        }
        if let Some((number, facts)) = &self.pull {
            let repo = self.commit.repo_id;
            if let Some(facts) = facts {
                let facts = PullFacts {
                    base_sha: facts.base_sha.clone(),
                    base_branch: facts.base_branch.clone(),
                    state: facts.state,
                    title: facts.title.clone(),
                    author_id: author(conn, &self.service, &facts.author, now_us).await?,
                };
                set_pull_facts(conn, repo, *number, &facts, now_us).await?;
            }
            let (base, patch) = (self.compared_to.as_deref(), self.patch.as_deref());
            set_pull_comparison(conn, repo, *number, base, patch).await?;
        }
        self.note(conn).await
    }

    /// What the provider did not tell is for the commit's readers to see.
    async fn note(&self, conn: &mut Conn) -> Result<()> {
        let is_told = self.info.is_some() || matches!(self.pull, Some((_, Some(_))));
        let (verdict, code, message) = match self.troubles.first() {
            Some(trouble) => (Verdict::Warning, Some("provider_issue"), trouble.clone()),
            None if is_told => (
                Verdict::Ok,
                None,
                "the git provider told of the commit".into(),
            ),
            None => return Ok(()),
        };
        let detail = json!({ "compared_to": self.compared_to, "troubles": self.troubles });
        let at = (self.begun_us, self.ended_us);
        let step = Note::new(&self.commit, None, "synced", message, at);
        step.with_verdict(verdict, code)
            .with_detail(detail)
            .write(conn)
            .await
    }
}

/// A provider, and what its answers are compared with.
struct Asked<'a> {
    db: &'a Db,
    provider: &'a dyn Provider,
    name: RepoName,
}

impl Asked<'_> {
    /// Of the parents, the known one, at best of the same branch; else the nearest known first ancestor, else the first
    /// parent.
    async fn nearest_parent(
        &self,
        commit: &Commit,
        info: &forge::Commit,
    ) -> Result<Option<String>> {
        let mut conn = self.db.read().await?;
        let known = list_commits_of(&mut conn, commit.repo_id, &info.parents).await?;
        drop(conn);
        let same = known.iter().find(|known| known.branch == commit.branch);
        if let Some(parent) = same.or(known.first()) {
            return Ok(Some(parent.sha.clone()));
        }
        let mut next = info.parents.first().cloned();
        for _ in 0..ANCESTORS {
            let Some(sha) = next else { break };
            if find_commit(&mut self.db.read().await?, commit.repo_id, &sha)
                .await?
                .is_some()
            {
                return Ok(Some(sha));
            }
            let Ok(parent) = self.provider.commit(&self.name, &sha).await else {
                break;
            };
            next = parent.parents.into_iter().next();
        }
        Ok(info.parents.first().cloned())
    }

    /// The commit that a pull request starts from, or the one that stands in for it. `None` if there is neither.
    async fn known_or_stand_in(
        &self,
        repo: &Repo,
        pull: &forge::Pull,
        sha: &str,
    ) -> Result<Option<Commit>> {
        let known = find_commit(&mut self.db.read().await?, repo.id, sha).await?;
        if known.is_some() {
            return Ok(known);
        }
        let Ok(commit) = self.provider.commit(&self.name, sha).await else {
            return Ok(None);
        };
        let Some(before_us) = commit.timestamp_us else {
            return Ok(None);
        };
        let branch = pull.base_branch.as_deref().unwrap_or(&repo.default_branch);
        find_stand_in(&mut self.db.read().await?, repo.id, branch, before_us).await
    }
}

/// The owner who is meant by what the provider tells of an author; made known if it is new.
async fn author(
    conn: &mut Conn,
    service: &str,
    author: &forge::Author,
    now_us: i64,
) -> Result<Option<OwnerId>> {
    let Some(username) = &author.username else {
        return Ok(None);
    };
    let id = OwnerId::generate(now_us);
    Ok(Some(
        upsert_owner(conn, id, service, username, now_us).await?.id,
    ))
}
