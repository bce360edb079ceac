//! Which `codecov.yml` holds for a commit: the installation's, the owner's, and the commit's or the repository's,
//! one over the other, ready for use.
//!
//! What holds is derived from texts that are named by their hashes, so it is computed once for each set of texts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use engine::codecov_yml::{Defaults, Errors, Origin, Source, YamlError, effective, parse};
use engine::db::Conn;
use engine::db::branches::find_branch;
use engine::db::commits::{Commit, get_commit};
use engine::db::journal::Verdict;
use engine::db::repos::{get_repo, set_repo_info};
use engine::db::yamls::{
    YamlHashes, delete_commit_error, get_commit_yamls, get_repo_yamls, get_yaml, insert_yaml,
    set_commit_yaml, set_owner_yaml, set_repo_yaml, upsert_commit_error,
};
use engine::id::{CommitId, OwnerId, RepoId};
use engine::{Error, Result};
use serde_json::{Map, Value, json};

use crate::components::Component;
use crate::job::{Note, enqueue_refresh};
use crate::settings::Settings;

/// Sets of texts whose result a node keeps at hand.
const KEPT: usize = 1_000;
/// The error of a commit whose file is no codecov.yml.
pub const INVALID_YAML: &str = "invalid_yaml";
/// Owners are spread over as many buckets, of which the installation may treat some otherwise.
const BUCKETS: i64 = 100;

/// What holds for a commit.
#[derive(Clone, Debug, Default)]
pub struct Effective {
    /// Its keys and values, in their final form.
    pub yaml: Map<String, Value>,
    /// Where each value comes from.
    pub origin: Origin,
    /// What reading reports needs of it.
    pub settings: Settings,
    /// The components.
    pub components: Vec<Component>,
    /// BLAKE3 of the keys and values, hex.
    pub hash: String,
}

impl Effective {
    fn new((yaml, origin): (Map<String, Value>, Origin)) -> Effective {
        let text = Value::Object(yaml.clone()).to_string();
        Effective {
            settings: Settings::parse(&text),
            hash: blake3::hash(text.as_bytes()).to_hex().to_string(),
            components: Component::list(&yaml),
            yaml,
            origin,
        }
    }

    /// The value at these keys; null where nothing is said.
    pub fn get(&self, keys: &[&str]) -> &Value {
        let Some((first, rest)) = keys.split_first() else {
            return &Value::Null;
        };
        let value = self.yaml.get(*first).unwrap_or(&Value::Null);
        rest.iter().fold(value, |value, key| &value[*key])
    }

    /// The component of this id.
    pub fn component(&self, id: &str) -> Option<&Component> {
        self.components.iter().find(|component| component.id == id)
    }

    /// Whether any flag is carried forward.
    pub fn carries_anything(&self) -> bool {
        self.settings.carries_anything()
    }

    /// Uploads that a commit needs before anybody is notified.
    pub fn after_n_builds(&self) -> u64 {
        let builds = self.get(&["codecov", "notify", "after_n_builds"]);
        builds.as_u64().unwrap_or(0)
    }

    /// Whether nobody is notified until a client asks for it.
    pub fn manual_trigger(&self) -> bool {
        self.get(&["codecov", "notify", "manual_trigger"]) == true
    }
}

/// What an installation says for all.
#[derive(Clone, Debug, Default)]
pub struct Site {
    /// For every owner, in its final form.
    pub yaml: Map<String, Value>,
    /// For some owners, over that.
    pub some: Vec<SomeOwners>,
}

/// What an installation says for a share of its owners.
#[derive(Clone, Debug, PartialEq)]
pub struct SomeOwners {
    /// How many of 100 owners.
    pub percentage: i64,
    /// What it is called.
    pub name: String,
    /// What holds for them, in its final form.
    pub yaml: Map<String, Value>,
}

impl Site {
    /// What is said for this owner besides: of the first share that the owner's bucket falls into.
    fn of_owner(&self, owner: OwnerId) -> Option<&SomeOwners> {
        let bucket = owner.0.rem_euclid(BUCKETS);
        let mut upper = 0;
        self.some.iter().find(|some| {
            upper += some.percentage;
            bucket < upper
        })
    }
}

/// Finds what holds; cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Yamls(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    site: Site,
    known: Mutex<HashMap<YamlHashes, Arc<Effective>>>,
}

impl Yamls {
    /// With what the installation says.
    pub fn new(site: Site) -> Yamls {
        Yamls(Arc::new(Inner {
            site,
            known: Mutex::default(),
        }))
    }

    /// What holds for a commit: its own file takes the place of the repository's. Errors: `NotFound`.
    pub async fn of_commit(&self, conn: &mut Conn, commit: CommitId) -> Result<Arc<Effective>> {
        let hashes = get_commit_yamls(conn, commit).await?;
        self.of(conn, hashes).await
    }

    /// What holds for a repository where no commit says otherwise. Errors: `NotFound`.
    pub async fn of_repo(&self, conn: &mut Conn, repo: RepoId) -> Result<Arc<Effective>> {
        let hashes = get_repo_yamls(conn, repo).await?;
        self.of(conn, hashes).await
    }

    /// What would hold for a commit whose own file said this. Errors: `NotFound`.
    pub async fn of_trial(
        &self,
        conn: &mut Conn,
        commit: CommitId,
        own: &Map<String, Value>,
    ) -> Result<Effective> {
        let hashes = get_commit_yamls(conn, commit).await?;
        let owner = read_layer(conn, hashes.owner_hash.as_deref()).await?;
        Ok(self.merge(&hashes, owner.as_ref(), Some((Source::Commit, own))))
    }

    async fn of(&self, conn: &mut Conn, hashes: YamlHashes) -> Result<Arc<Effective>> {
        if let Some(known) = self.known(|known| known.get(&hashes).cloned()) {
            return Ok(known);
        }
        let owner = read_layer(conn, hashes.owner_hash.as_deref()).await?;
        let (source, own) = match &hashes.commit_hash {
            Some(hash) => (Source::Commit, read_layer(conn, Some(hash)).await?),
            None => (
                Source::Repository,
                read_layer(conn, hashes.repo_hash.as_deref()).await?,
            ),
        };
        let own = own.as_ref().map(|own| (source, own));
        let effective = Arc::new(self.merge(&hashes, owner.as_ref(), own));
        self.known(|known| {
            if known.len() >= KEPT {
                known.clear();
            }
            known.insert(hashes, effective.clone());
        });
        Ok(effective)
    }

    fn known<T>(&self, read: impl FnOnce(&mut HashMap<YamlHashes, Arc<Effective>>) -> T) -> T {
        read(&mut self.0.known.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn merge(
        &self,
        hashes: &YamlHashes,
        owner: Option<&Map<String, Value>>,
        own: Option<(Source, &Map<String, Value>)>,
    ) -> Effective {
        let site = &self.0.site;
        let some = site.of_owner(hashes.owner_id);
        let mut layers = vec![(Source::Site, &site.yaml)];
        layers.extend(some.map(|some| (Source::Site, &some.yaml)));
        layers.extend(owner.map(|owner| (Source::Owner, owner)));
        layers.extend(own);
        let defaults = Defaults::of_owner(hashes.owner_created_us);
        Effective::new(effective(defaults, &layers))
    }
}

/// The text of this hash, parsed. One that was stored by a program with other rules says nothing.
async fn read_layer(conn: &mut Conn, hash: Option<&str>) -> Result<Option<Map<String, Value>>> {
    let Some(hash) = hash else {
        return Ok(None);
    };
    match parse(&get_yaml(conn, hash).await?) {
        Ok(map) => Ok(Some(map)),
        Err(YamlError::Empty) => Ok(None),
        Err(error) => {
            tracing::warn!(hash, %error, "a stored codecov.yml is passed over");
            Ok(None)
        }
    }
}

/// Whose a text is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    /// An owner's, for all its repositories.
    Owner(OwnerId),
    /// A repository's.
    Repo(RepoId),
    /// The file in the repository, as this commit has it; an empty text where it has none.
    Commit(CommitId),
}

/// Stores a codecov.yml, in the caller's transaction. Gives it in its final form, or why it is none.
///
/// Of an owner or a repository, one that is none changes nothing. A commit whose file is none has an error of its
/// own and falls back on the repository's. The file of the newest commit of the repository's branch becomes the
/// repository's. Idempotent.
pub async fn store_yaml(
    conn: &mut Conn,
    yamls: &Yamls,
    scope: Scope,
    text: &str,
    now_us: i64,
) -> Result<Result<Map<String, Value>, YamlError>> {
    let parsed = parse(text);
    match (scope, &parsed) {
        (Scope::Owner(owner), Ok(_)) => {
            let hash = insert_yaml(conn, text, now_us).await?;
            set_owner_yaml(conn, owner, Some(&hash)).await?;
        }
        (Scope::Repo(repo), Ok(_)) => {
            let hash = insert_yaml(conn, text, now_us).await?;
            set_repo_yaml(conn, repo, Some(&hash), None, now_us).await?;
        }
        (Scope::Commit(commit), Ok(own)) => {
            let commit = get_commit(conn, commit).await?;
            keep(conn, yamls, &commit, Some((text, own)), now_us).await?;
        }
        (Scope::Commit(commit), Err(YamlError::Empty)) => {
            let commit = get_commit(conn, commit).await?;
            keep(conn, yamls, &commit, None, now_us).await?;
        }
        (Scope::Commit(commit), Err(error)) => {
            let commit = get_commit(conn, commit).await?;
            refuse(conn, &commit, error, now_us).await?;
        }
        (Scope::Owner(_) | Scope::Repo(_), Err(_)) => {}
    }
    Ok(parsed)
}

/// Takes an owner's or a repository's codecov.yml away. Errors: `NotFound`. Idempotent.
pub async fn delete_yaml(conn: &mut Conn, scope: Scope, now_us: i64) -> Result<()> {
    match scope {
        Scope::Owner(owner) => set_owner_yaml(conn, owner, None).await,
        Scope::Repo(repo) => set_repo_yaml(conn, repo, None, None, now_us).await,
        Scope::Commit(commit) => set_commit_yaml(conn, commit, None).await,
    }
}

/// Gives a commit its file, or none, and perhaps its repository too.
async fn keep(
    conn: &mut Conn,
    yamls: &Yamls,
    commit: &Commit,
    file: Option<(&str, &Map<String, Value>)>,
    now_us: i64,
) -> Result<()> {
    let hash = match file {
        Some((text, _)) => Some(insert_yaml(conn, text, now_us).await?),
        None => None,
    };
    let before = get_commit_yamls(conn, commit.id).await?;
    let is_news = before.commit_hash != hash;
    if is_news {
        set_commit_yaml(conn, commit.id, hash.as_deref()).await?;
        delete_commit_error(conn, commit.id, INVALID_YAML).await?;
        let message = match &hash {
            Some(_) => "the commit has its own codecov.yml".to_owned(),
            None => "the commit has no codecov.yml".to_owned(),
        };
        let at = (now_us, now_us);
        Note::new(commit, None, "yaml", message, at)
            .write(conn)
            .await?;
        enqueue_refresh(conn, commit.id, now_us).await?;
    }
    if before.repo_hash != hash && speaks_for_repo(conn, yamls, commit).await? {
        set_repo_yaml(
            conn,
            commit.repo_id,
            hash.as_deref(),
            Some(&commit.sha),
            now_us,
        )
        .await?;
        let branch = file.and_then(|(_, own)| own.get("codecov")?.get("branch")?.as_str());
        if branch.is_some() {
            set_repo_info(conn, commit.repo_id, branch, None, now_us).await?;
        }
    }
    Ok(())
}

/// Whether a commit's file is the repository's: it is the newest of the branch that the settings name, or of the
/// default branch where they name none.
async fn speaks_for_repo(conn: &mut Conn, yamls: &Yamls, commit: &Commit) -> Result<bool> {
    let Some(branch) = commit.branch.as_deref() else {
        return Ok(false);
    };
    let repo = get_repo(conn, commit.repo_id).await?;
    let existing = yamls.of_repo(conn, repo.id).await?;
    let strict = existing.get(&["codecov", "strict_yaml_branch"]).as_str();
    let named = existing.get(&["codecov", "branch"]).as_str();
    let is_candidate = match strict {
        Some(strict) => strict == branch,
        None => branch == repo.default_branch || named == Some(branch),
    };
    if !is_candidate {
        return Ok(false);
    }
    let head = find_branch(conn, repo.id, branch).await?;
    Ok(head.is_none_or(|head| head.head == commit.sha))
}

/// Notes that a commit's file is no codecov.yml.
async fn refuse(conn: &mut Conn, commit: &Commit, error: &YamlError, now_us: i64) -> Result<()> {
    let (location, line, remedy) = match error {
        YamlError::Invalid(errors) => first_issue(errors),
        YamlError::Syntax { line, .. } => (Vec::new(), Some(*line), None),
        _ => (Vec::new(), None, None),
    };
    let params = json!({
        "location": location,
        "line": line,
        "message": error.to_string(),
        "remedy": remedy,
    });
    let known = engine::db::yamls::list_commit_errors(conn, commit.id).await?;
    let text = params.to_string();
    if known
        .iter()
        .any(|known| known.code == INVALID_YAML && known.params == text)
    {
        return Ok(());
    }
    set_commit_yaml(conn, commit.id, None).await?;
    upsert_commit_error(conn, commit.id, INVALID_YAML, &text, now_us).await?;
    let message =
        format!("codecov.yml is not used: {error}; what the repository has counts instead");
    let at = (now_us, now_us);
    Note::new(commit, None, "yaml", message, at)
        .with_verdict(Verdict::Warning, Some(INVALID_YAML))
        .with_detail(params)
        .write(conn)
        .await
}

fn first_issue(errors: &Errors) -> (Vec<String>, Option<usize>, Option<String>) {
    match errors.issues().first() {
        Some(issue) => (issue.path.clone(), issue.line, issue.remedy.clone()),
        None => (Vec::new(), None, None),
    }
}

/// The settings of an installation in their final form. Errors: `Invalid`, naming what is wrong.
pub fn check_site(name: &str, yaml: Map<String, Value>) -> Result<Map<String, Value>> {
    engine::codecov_yml::validate(yaml).map_err(|error| Error::invalid(name, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_owner_belongs_to_the_first_share_that_its_bucket_falls_into() {
        let some = |percentage, name: &str| SomeOwners {
            percentage,
            name: name.into(),
            yaml: Map::new(),
        };
        let site = Site {
            yaml: Map::new(),
            some: vec![some(10, "a"), some(20, "b")],
        };
        let name = |owner| Some(site.of_owner(OwnerId(owner))?.name.as_str());
        assert_eq!(
            (name(1209), name(10), name(29)),
            (Some("a"), Some("b"), Some("b"))
        );
        assert_eq!(name(30), None);
    }
}
