//! Who may upload: a repository's token, an owner's, the instance's, or nobody for public projects.

use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use engine::db::Page;
use engine::db::journal::{Step, Verdict, insert_step, list_steps};
use engine::db::owners::Owner;
use engine::db::repos::{Repo, find_repo};
use engine::db::tokens::{ApiToken, UploadToken, find_api_token, find_upload_token};
use engine::id::JournalId;
use engine::secret::hash_token;

use super::scope::{Scope, Scopes};
use crate::app::App;
use crate::error::{Error, Result};

/// The services whose repositories can receive uploads, by their long names.
pub const SERVICES: [&str; 6] = [
    "github",
    "gitlab",
    "bitbucket",
    "github_enterprise",
    "gitlab_enterprise",
    "bitbucket_server",
];

/// The scheme that a refused upload is told of.
const SCHEME: &str = "Token";
const REFUSED: &str = "Failed token authentication, please double-check that the token of this repository \
    (`hitline admin repo add`) is the one that the client sends";
const REFUSED_TOKENLESS: &str = "Not valid tokenless upload";
const TOKEN_MAX_BYTES: usize = 8192;
const SHA_MAX_BYTES: usize = 128;
/// A commit with so many steps gets no further refusals noted.
const REFUSALS_NOTED: i64 = 100;

/// A repository, and the right to upload to it.
#[derive(Clone, Debug)]
pub struct Target {
    /// Whose it is.
    pub owner: Owner,
    /// The repository.
    pub repo: Repo,
}

/// Whether an endpoint takes uploads without a token.
#[derive(Clone, Copy, Debug)]
pub enum Tokenless<'a> {
    /// It never does.
    No,
    /// For public repositories; `branch` is the one that the call or the stored commit names. One
    /// with a colon (`forkowner:branch`) is a fork's and needs no token anywhere.
    Public {
        /// The branch, if known.
        branch: Option<&'a str>,
    },
}

/// The token of `Authorization: token …`; another scheme counts as none, a malformed one is 401.
pub fn header_token(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let malformed = |why: &str| Error::Unauthorized(SCHEME, format!("Invalid token header. {why}"));
    let text = header
        .to_str()
        .map_err(|_| malformed("Token string should not contain invalid characters."))?;
    let mut words = text.split_ascii_whitespace();
    let scheme = words.next().unwrap_or_default();
    if !scheme.eq_ignore_ascii_case("token") {
        return Ok(None);
    }
    match (words.next(), words.next()) {
        (None, _) => Err(malformed("No credentials provided.")),
        (Some(_), Some(_)) => Err(malformed("Token string should not contain spaces.")),
        (Some(token), None) => Ok(Some(token).filter(|token| token.len() <= TOKEN_MAX_BYTES)),
    }
}

/// The stored row of a token that a client sent: an upload token, or an API token that allows uploads.
pub async fn find_token(app: &App, token: &str) -> Result<Option<UploadToken>> {
    let hash = hash_token(token);
    let mut conn = app.db.read().await?;
    if let Some(token) = find_upload_token(&mut conn, &hash).await? {
        return Ok(Some(token));
    }
    let found = find_api_token(&mut conn, &hash, app.clock.now_us()).await?;
    let uploads = |token: &ApiToken| {
        let scopes: Scopes = token.scope.parse().unwrap_or_default();
        scopes.allow(Scope::Upload)
    };
    Ok(found.filter(uploads).map(|token| UploadToken {
        id: token.id,
        repo_id: None,
        owner_id: token.owner_id,
    }))
}

/// Splits `owner::::repo`, nested groups joined by `:::`, into the stored names. `None` without `::::`.
pub fn split_slug(slug: &str) -> Option<(String, &str)> {
    let (owner, repo) = slug.rsplit_once("::::")?;
    Some((owner.replace(":::", ":"), repo))
}

/// The repository of a path, if the caller may upload to it. First who, then what: an unknown
/// caller learns nothing of which repositories exist. A refusal for a known repository and a named
/// commit is noted in the journal, where its owner can see it.
pub async fn authorise(
    app: &App,
    headers: &HeaderMap,
    service: &str,
    slug: &str,
    sha: Option<&str>,
    tokenless: Tokenless<'_>,
) -> Result<Target> {
    let token = match header_token(headers)? {
        Some(token) => Caller::from(find_token(app, token).await?),
        None => Caller::Nobody,
    };
    let target = find_target(app, service, slug).await?;
    let error = match (token, target) {
        (Caller::Known(_), None) if !SERVICES.contains(&service) => {
            return Err(Error::List(format!("Service not found: {service}")));
        }
        (Caller::Known(_), None) => return Err(Error::List("Repository not found".into())),
        (Caller::Known(token), Some(target)) if opens(&token, &target) => return activated(target),
        (Caller::Nobody, Some(target)) if open_to_all(&target, tokenless) => {
            return activated(target);
        }
        (Caller::Unknown | Caller::Nobody, None) => return Err(refused(tokenless)),
        (Caller::Known(_), Some(target)) => {
            note_refusal(
                app,
                &target,
                sha,
                "the token belongs to another repository or owner",
            )
            .await?;
            Error::forbidden()
        }
        (Caller::Unknown, Some(target)) => {
            note_refusal(app, &target, sha, "the token is not one of this server").await?;
            refused(tokenless)
        }
        (Caller::Nobody, Some(target)) => {
            note_refusal(app, &target, sha, "no token was sent").await?;
            refused(tokenless)
        }
    };
    Err(error)
}

/// Who calls, by the token that was sent.
enum Caller {
    Known(UploadToken),
    Unknown,
    Nobody,
}

impl From<Option<UploadToken>> for Caller {
    fn from(found: Option<UploadToken>) -> Caller {
        found.map_or(Caller::Unknown, Caller::Known)
    }
}

fn refused(tokenless: Tokenless<'_>) -> Error {
    match tokenless {
        Tokenless::No => Error::Unauthorized(SCHEME, REFUSED.into()),
        Tokenless::Public { .. } => Error::Unauthorized(SCHEME, REFUSED_TOKENLESS.into()),
    }
}

/// Notes a refused call, unless the commit has had many: anyone can be refused.
async fn note_refusal(
    app: &App,
    target: &Target,
    sha: Option<&str>,
    why: &'static str,
) -> Result<()> {
    let Some(sha) = sha.filter(|sha| sha.len() <= SHA_MAX_BYTES) else {
        return Ok(());
    };
    let (repo_id, commit_sha, now_us) = (target.repo.id, sha.to_string(), app.clock.now_us());
    let known = list_steps(&mut app.db.read().await?, repo_id, sha, Page::first(0)).await?;
    if known.count >= Some(REFUSALS_NOTED) {
        return Ok(());
    }
    let step = Step {
        id: JournalId::generate(now_us),
        repo_id,
        commit_sha,
        upload_id: None,
        step: "refused".into(),
        verdict: Verdict::Error,
        code: Some("unauthorized".into()),
        message: format!("an upload call was refused: {why}"),
        detail: None,
        started_us: now_us,
        duration_us: 0,
    };
    app.db
        .write(move |conn| Box::pin(async move { insert_step(conn, &step).await }))
        .await?;
    Ok(())
}

fn activated(target: Target) -> Result<Target> {
    require_activated(&target.repo)?;
    Ok(target)
}

/// The repository of a service and an encoded slug.
pub async fn find_target(app: &App, service: &str, slug: &str) -> Result<Option<Target>> {
    let Some((owner, repo)) = split_slug(slug).filter(|_| SERVICES.contains(&service)) else {
        return Ok(None);
    };
    let found = find_repo(&mut app.db.read().await?, service, &owner, repo).await?;
    Ok(found.map(|(owner, repo)| Target { owner, repo }))
}

/// Whether a token opens a repository: its own, its owner's, or any.
pub fn opens(token: &UploadToken, target: &Target) -> bool {
    match (token.repo_id, token.owner_id) {
        (Some(repo), _) => repo == target.repo.id,
        (None, Some(owner)) => owner == target.owner.id,
        (None, None) => true,
    }
}

fn open_to_all(target: &Target, tokenless: Tokenless<'_>) -> bool {
    let fork =
        matches!(tokenless, Tokenless::Public { branch: Some(branch) } if branch.contains(':'));
    !target.repo.private && (fork || !target.owner.upload_token_required)
}

/// Refuses uploads to a repository that an admin has switched off.
pub fn require_activated(repo: &Repo) -> Result<()> {
    if repo.activated {
        return Ok(());
    }
    let text = format!(
        "Repository {} is deactivated. To resume uploading to it, activate it in its settings.",
        repo.name
    );
    Err(Error::List(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(header: &str) -> Result<Option<String>> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, header.parse().expect("a header"));
        header_token(&headers).map(|token| token.map(Into::into))
    }

    #[test]
    fn the_scheme_word_is_compared_without_case() {
        assert_eq!(
            token("token abc").expect("well formed").as_deref(),
            Some("abc")
        );
        assert_eq!(
            token("Token abc").expect("well formed").as_deref(),
            Some("abc")
        );
        assert_eq!(token("Bearer abc").expect("another scheme"), None);
        assert!(token("token").is_err());
        assert!(token("token a b").is_err());
    }

    #[test]
    fn nested_groups_are_joined_by_single_colons() {
        assert_eq!(
            split_slug("acme::::widgets"),
            Some(("acme".into(), "widgets"))
        );
        assert_eq!(
            split_slug("grp:::sub1:::sub2::::proj"),
            Some(("grp:sub1:sub2".into(), "proj"))
        );
        assert_eq!(split_slug("acme/widgets"), None);
    }
}
