//! Which commit a pull request is compared with, and why.

use engine::Result;
use engine::db::Conn;
use engine::db::commits::{Commit, find_commit, list_parents};
use engine::db::pulls::Pull;
use engine::db::repos::Repo;
use ingest::yamls::Yamls;

/// Parents of a head that are looked at for the first one outside of its pull request.
const ANCESTORS: i64 = 250;

/// The commit that another one is compared with.
#[derive(Clone, Debug)]
pub struct Base {
    /// The commit whose report is compared.
    pub commit: Commit,
    /// The commit that the pull request starts from, where that may be another one.
    pub named: Option<String>,
    /// Why it was chosen.
    pub rule: Rule,
}

/// Why a base was chosen.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Rule {
    /// The request names the commit.
    Explicit,
    /// The request names a branch.
    BranchHead,
    /// The uploader named it for the pull request.
    UserProvided,
    /// The pull request starts from it.
    PullBase,
    /// It is the newest known commit of the target branch from before the one that the pull request starts from,
    /// which is not known.
    StandIn,
    /// It is the nearest known ancestor that is not part of the pull request.
    Ancestor,
}

impl Rule {
    /// The code in answers.
    pub fn as_str(self) -> &'static str {
        match self {
            Rule::Explicit => "explicit",
            Rule::BranchHead => "branch_head",
            Rule::UserProvided => "user_provided",
            Rule::PullBase => "pull_base",
            Rule::StandIn => "stand_in",
            Rule::Ancestor => "ancestor",
        }
    }
}

impl Base {
    /// A base that the diff starts from as well.
    pub fn exact(commit: Commit, rule: Rule) -> Base {
        Base {
            commit,
            named: None,
            rule,
        }
    }
}

/// Chooses the base of a pull request among the commits that are known; `None` if there is none.
pub async fn choose_base(
    yamls: &Yamls,
    conn: &mut Conn,
    repo: &Repo,
    pull: &Pull,
    head: &Commit,
) -> Result<Option<Base>> {
    if let Some(sha) = &pull.user_provided_base_sha
        && let Some(commit) = find_commit(conn, repo.id, sha).await?
    {
        return Ok(Some(Base::exact(commit, Rule::UserProvided)));
    }
    let yaml = yamls.of_commit(conn, head.id).await?;
    let allows_stand_in = yaml.get(&["codecov", "allow_pseudo_compare"]).as_bool();
    let allows_stand_in = allows_stand_in.unwrap_or(true);
    if let Some(sha) = &pull.compared_to
        && pull.base_sha.as_ref() != Some(sha)
        && allows_stand_in
        && let Some(commit) = find_commit(conn, repo.id, sha).await?
    {
        let named = pull.user_provided_base_sha.clone();
        let named = named.or_else(|| pull.base_sha.clone());
        return Ok(Some(Base {
            rule: match named {
                Some(_) => Rule::StandIn,
                None => Rule::Ancestor,
            },
            commit,
            named,
        }));
    }
    if let Some(sha) = &pull.base_sha
        && let Some(commit) = find_commit(conn, repo.id, sha).await?
    {
        return Ok(Some(Base::exact(commit, Rule::PullBase)));
    }
    let parents = list_parents(conn, repo.id, &head.sha, None, ANCESTORS).await?;
    let outside = parents
        .into_iter()
        .find(|parent| parent.pull_id != Some(pull.number));
    Ok(outside.map(|commit| Base::exact(commit, Rule::Ancestor)))
}
