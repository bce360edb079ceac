//! Bitbucket Cloud. Source: Bitbucket's REST API, version 2.0.

use async_trait::async_trait;
use engine::db::pulls::PullState;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::Result;
use crate::http::{self, Http, PAGES};
use crate::{Author, Commit, Comparison, Entry, Provider, Pull, RepoName, Settings};

const JSON: &str = "application/json";
const TEXT: &str = "text/plain";

pub(crate) struct Bitbucket(Http);

impl Bitbucket {
    pub(crate) fn new(settings: &Settings) -> Result<Bitbucket> {
        let http = Http::new(&settings.api_url, "Bearer", settings.key.as_ref())?;
        Ok(Bitbucket(http))
    }

    /// All pages of a list, up to a bound.
    async fn pages<T: DeserializeOwned>(
        &self,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<T>> {
        let mut reply = self.0.page(path, query).await?;
        let mut values = Vec::new();
        for _ in 1..PAGES {
            let page: PageJson<T> = http::parse(&reply.body)?;
            values.extend(page.values);
            match page.next {
                Some(next) => reply = self.0.next_page(&next).await?,
                None => return Ok(values),
            }
        }
        let page: PageJson<T> = http::parse(&reply.body)?;
        values.extend(page.values);
        Ok(values)
    }

    /// The whole hash of a commit, of which pull requests tell the start.
    async fn whole_sha(&self, repo: &RepoName, end: EndJson) -> Result<Option<String>> {
        match end.commit {
            Some(commit) => Ok(Some(self.commit(repo, &commit.hash).await?.sha)),
            None => Ok(None),
        }
    }
}

fn of(repo: &RepoName) -> String {
    format!(
        "/repositories/{}/{}",
        http::part(&repo.owner),
        http::part(&repo.name)
    )
}

#[derive(Deserialize)]
struct PageJson<T> {
    values: Vec<T>,
    next: Option<String>,
}

#[derive(Deserialize)]
struct CommitJson {
    hash: String,
    message: Option<String>,
    date: Option<String>,
    author: Option<AuthorJson>,
    #[serde(default)]
    parents: Vec<HashJson>,
}

#[derive(Deserialize)]
struct AuthorJson {
    raw: Option<String>,
    user: Option<UserJson>,
}

#[derive(Deserialize)]
struct UserJson {
    uuid: Option<String>,
    nickname: Option<String>,
    display_name: Option<String>,
}

#[derive(Deserialize)]
struct HashJson {
    hash: String,
}

impl From<UserJson> for Author {
    fn from(user: UserJson) -> Author {
        let bare = |uuid: String| uuid.trim_matches(['{', '}']).to_owned();
        Author {
            id: user.uuid.map(bare),
            username: user.nickname,
            name: user.display_name,
            email: None,
        }
    }
}

impl From<CommitJson> for Commit {
    fn from(json: CommitJson) -> Commit {
        let (raw, user) = json
            .author
            .map_or((None, None), |author| (author.raw, author.user));
        let mut author = user.map_or_else(Author::default, Author::from);
        if let Some((name, email)) = raw.as_deref().and_then(|raw| raw.split_once('<')) {
            author.name = author.name.or_else(|| Some(name.trim().to_owned()));
            author.email = Some(email.trim_end_matches('>').to_owned());
        }
        Commit {
            sha: json.hash,
            message: json.message,
            timestamp_us: json.date.as_deref().and_then(http::time_us),
            author,
            parents: json.parents.into_iter().map(|parent| parent.hash).collect(),
        }
    }
}

#[derive(Deserialize)]
struct PullJson {
    title: Option<String>,
    state: String,
    source: EndJson,
    destination: EndJson,
    author: Option<UserJson>,
}

#[derive(Deserialize)]
struct EndJson {
    branch: Option<BranchJson>,
    commit: Option<HashJson>,
}

#[derive(Deserialize)]
struct BranchJson {
    name: String,
}

#[derive(Deserialize)]
struct EntryJson {
    path: String,
    #[serde(rename = "type")]
    kind: String,
}

#[async_trait]
impl Provider for Bitbucket {
    /// The range is written the other way round than with git.
    async fn compare(&self, repo: &RepoName, base: &str, head: &str) -> Result<Comparison> {
        let range = format!("{}..{}", http::part(head), http::part(base));
        let path = format!("{}/diff/{range}", of(repo));
        let diff = self.0.text(&path, &[("context", "1")], TEXT).await?;
        let path = format!("{}/commits", of(repo));
        let query = [("include", head), ("exclude", base), ("pagelen", "100")];
        let commits: Vec<CommitJson> = self.pages(&path, &query).await?;
        Ok(Comparison {
            diff,
            commits: commits.into_iter().map(Commit::from).collect(),
        })
    }

    async fn commit(&self, repo: &RepoName, sha: &str) -> Result<Commit> {
        let path = format!("{}/commit/{}", of(repo), http::part(sha));
        Ok(self.0.json::<CommitJson>(&path, &[], JSON).await?.into())
    }

    async fn pull(&self, repo: &RepoName, number: i64) -> Result<Pull> {
        let path = format!("{}/pullrequests/{number}", of(repo));
        let json: PullJson = self.0.json(&path, &[], JSON).await?;
        let state = match json.state.as_str() {
            "MERGED" => PullState::Merged,
            "OPEN" => PullState::Open,
            _ => PullState::Closed,
        };
        Ok(Pull {
            title: json.title,
            state,
            base_branch: json
                .destination
                .branch
                .as_ref()
                .map(|branch| branch.name.clone()),
            base_sha: self.whole_sha(repo, json.destination).await?,
            head_sha: self.whole_sha(repo, json.source).await?,
            author: json.author.map_or_else(Author::default, Author::from),
        })
    }

    async fn file(&self, repo: &RepoName, path: &str, at: &str) -> Result<String> {
        let path = format!("{}/src/{}/{}", of(repo), http::part(at), http::path(path));
        self.0.text(&path, &[], TEXT).await
    }

    async fn list(&self, repo: &RepoName, folder: &str, at: &str) -> Result<Vec<Entry>> {
        let path = format!("{}/src/{}/{}", of(repo), http::part(at), http::path(folder));
        let entries: Vec<EntryJson> = self.pages(&path, &[("pagelen", "100")]).await?;
        let entry = |entry: EntryJson| Entry {
            is_folder: entry.kind == "commit_directory",
            path: entry.path,
        };
        Ok(entries.into_iter().map(entry).collect())
    }
}
