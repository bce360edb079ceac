//! What is asked: each route with a repository, commit and file of the seeded fleet that are drawn by chance.

use anyhow::{Context as _, Result, ensure};
use rand::Rng;
use rand::seq::IndexedRandom as _;
use reqwest::Client;
use serde_json::Value;

/// Repositories whose commits are asked for.
const REPOS: usize = 200;
/// Commits of a repository that are asked for.
const COMMITS: usize = 100;
/// Repositories of one page of a list.
const PAGE: usize = 100;
/// Items of a page when none is asked for.
const DEFAULT_PAGE: usize = 20;

/// A question: its name, and its path with places for what is drawn.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Route {
    /// What a report calls it.
    pub(crate) name: &'static str,
    path: &'static str,
}

macro_rules! routes {
    ($($name:literal: $path:literal,)*) => {
        /// All questions.
        pub(crate) const ROUTES: &[Route] = &[$(Route { name: $name, path: $path }),*];
    };
}

routes! {
    "owner": "/api/v2/github/fleet",
    "repos": "/api/v2/github/fleet/repos?page={page}",
    "repos that match": "/api/v2/github/fleet/repos?search={repo}",
    "repo": "{in_repo}",
    "branches": "{in_repo}/branches",
    "branch": "{in_repo}/branches/main",
    "commits": "{in_repo}/commits?page={page}",
    "commits of a branch": "{in_repo}/commits?branch=main",
    "commit": "{in_repo}/commits/{sha}",
    "uploads": "{in_repo}/commits/{sha}/uploads",
    "journal": "{in_repo}/commits/{sha}/journal",
    "pulls": "{in_repo}/pulls",
    "totals": "{in_repo}/totals?sha={sha}",
    "totals of a flag": "{in_repo}/totals?sha={sha}&flag=job1",
    "report of a folder": "{in_repo}/report?sha={sha}&path=src/area1/",
    "tree": "{in_repo}/report/tree?sha={sha}",
    "file": "{in_repo}/file_report/{path}?sha={sha}",
    "flags": "{in_repo}/flags",
    "components": "{in_repo}/components",
    "trend": "{in_repo}/coverage?interval=7d",
    "compare": "{in_repo}/compare?base={parent}&head={sha}&has_diff=true",
    "impacted files": "{in_repo}/compare/impacted_files?base={parent}&head={sha}",
    "compare a file": "{in_repo}/compare/file/{path}?base={parent}&head={sha}",
    "badge": "/github/fleet/{repo}/graph/badge.svg",
}

/// A repository and what of it is asked for.
struct Repo {
    name: String,
    /// Commits with their parents.
    commits: Vec<(String, String)>,
}

/// What questions are about, as the server tells it.
pub(crate) struct Fleet {
    repos: Vec<Repo>,
    paths: Vec<String>,
    /// Pages that every list has.
    pages: usize,
}

impl Fleet {
    /// Asks the server for what was seeded. Errors: it answers otherwise, or has nothing.
    pub(crate) async fn find(client: &Client, server: &str) -> Result<Fleet> {
        let owner = format!("{server}/api/v2/github/fleet/repos");
        let mut names = Vec::new();
        for page in 1..=REPOS / PAGE {
            let list = json(client, &format!("{owner}?page={page}&page_size={PAGE}")).await?;
            names.extend(texts(&list["results"], "name"));
            if list["next"].is_null() {
                break;
            }
        }
        names.retain(|name| name != "huge");
        ensure!(
            !names.is_empty(),
            "{owner} lists nothing: run `loadtest seed` first"
        );
        let mut repos = Vec::new();
        for name in names {
            let list = json(
                client,
                &format!("{owner}/{name}/commits?page_size={COMMITS}"),
            )
            .await?;
            // The first commit of a repository has no parent to be compared with.
            let parents = texts(&list["results"], "parent");
            let commits = texts(&list["results"], "commitid").into_iter().zip(parents);
            repos.push(Repo {
                name,
                commits: commits.collect(),
            });
        }
        let (repo, sha) = (
            &repos[0].name,
            &repos[0].commits.first().context("a commit")?.0,
        );
        let report = json(client, &format!("{owner}/{repo}/totals?sha={sha}")).await?;
        let paths = texts(&report["files"], "name");
        ensure!(!paths.is_empty(), "commit {sha} of {repo} has no files");
        let fewest = repos
            .iter()
            .map(|repo| repo.commits.len())
            .fold(repos.len(), usize::min);
        let pages = (fewest / DEFAULT_PAGE).max(1);
        Ok(Fleet {
            repos,
            paths,
            pages,
        })
    }

    /// A route's path with what was drawn.
    pub(crate) fn draw(&self, route: Route, chance: &mut impl Rng) -> String {
        let nothing = || ("main".to_owned(), "main".to_owned());
        let repo = self.repos.choose(chance).expect("a fleet has repositories");
        let (sha, parent) = repo.commits.choose(chance).cloned().unwrap_or_else(nothing);
        let path = self.paths.choose(chance).expect("a report has files");
        let page = chance.random_range(1..=self.pages).to_string();
        let in_repo = "/api/v2/github/fleet/repos/{repo}";
        let drawn = [
            ("{in_repo}", in_repo),
            ("{repo}", &repo.name),
            ("{sha}", &sha),
            ("{parent}", &parent),
            ("{path}", path),
            ("{page}", &page),
        ];
        drawn
            .iter()
            .fold(route.path.to_owned(), |path, (place, text)| {
                path.replace(place, text)
            })
    }
}

async fn json(client: &Client, url: &str) -> Result<Value> {
    let answer = client.get(url).send().await?.error_for_status()?;
    answer
        .json()
        .await
        .with_context(|| format!("read the answer of {url}"))
}

/// The texts of one key of each object in a list.
fn texts(list: &Value, key: &str) -> Vec<String> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    let text = |item: &Value| item[key].as_str().map(str::to_owned);
    items.iter().filter_map(text).collect()
}
