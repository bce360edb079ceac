//! Who reads: anybody, or the holder of an API token.
//!
//! Anybody sees public repositories. A token sees its owner's private ones too, or, without an
//! owner, all of the instance. A wrong token is refused even where anybody may read.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::db::owners::{Owner, find_owner};
use engine::db::repos::{Repo, find_repo_of_owner};
use engine::db::tokens::{ApiToken, find_api_token, touch_api_token};
use engine::id::OwnerId;
use engine::secret::hash_token;

use crate::app::App;
use crate::error::{Error, Result};

/// How exactly a token's last use is known.
const LAST_USE_EXACT_US: i64 = 60_000_000;

/// A caller of the REST API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Viewer {
    /// Nobody known.
    Anonymous,
    /// The holder of a token of this owner.
    Owner(OwnerId),
    /// The holder of a token of the whole instance.
    Instance,
}

impl Viewer {
    /// Whether the viewer sees this owner's private repositories.
    pub fn sees_private_of(&self, owner: OwnerId) -> bool {
        match *self {
            Viewer::Anonymous => false,
            Viewer::Owner(own) => own == owner,
            Viewer::Instance => true,
        }
    }

    /// The repository of these names, if the viewer may read it. Errors: 404, also for a private
    /// one that the viewer may not see.
    pub async fn readable_repo(
        &self,
        app: &App,
        service: &str,
        owner: &str,
        repo: &str,
    ) -> Result<(Owner, Repo)> {
        let mut conn = app.db.read().await?;
        let service =
            service_name(service).ok_or_else(|| Error::not_found("Invalid service for Owner."))?;
        let owner = find_owner(&mut conn, service, owner)
            .await?
            .ok_or_else(|| Error::not_found("No Owner matches the given query."))?;
        let repo = find_repo_of_owner(&mut conn, owner.id, repo)
            .await?
            .ok_or_else(|| Error::not_found("No Repository matches the given query."))?;
        if repo.private && !self.sees_private_of(owner.id) {
            return Err(Error::not_found("Not found."));
        }
        Ok((owner, repo))
    }
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Viewer> {
        let Some(header) = parts.headers.get(AUTHORIZATION) else {
            return Ok(Viewer::Anonymous);
        };
        let header = header.to_str().map_err(|_| refused("Invalid token."))?;
        let Some(token) = bearer_token(header)? else {
            return Ok(Viewer::Anonymous);
        };
        let now_us = app.clock.now_us();
        let found = find_api_token(&mut app.db.read().await?, &hash_token(token), now_us).await?;
        let token = found.ok_or_else(|| refused("Invalid token."))?;
        note_use(app, &token, now_us).await;
        Ok(token.owner_id.map_or(Viewer::Instance, Viewer::Owner))
    }
}

/// The token of an `Authorization` header; `None` if the scheme is not ours.
fn bearer_token(header: &str) -> Result<Option<&str>> {
    let mut words = header.split_ascii_whitespace();
    if !words
        .next()
        .is_some_and(|scheme| scheme.eq_ignore_ascii_case("bearer"))
    {
        return Ok(None);
    }
    match (words.next(), words.next()) {
        (None, _) => Err(refused("Invalid token header. No credentials provided.")),
        (_, Some(_)) => Err(refused(
            "Invalid token header. Token string should not contain spaces.",
        )),
        (token, None) => Ok(token),
    }
}

fn refused(detail: &str) -> Error {
    Error::Unauthorized("Bearer", detail.into())
}

/// Notes that the token was used. A failure costs the note, not the answer.
async fn note_use(app: &App, token: &ApiToken, now_us: i64) {
    if token
        .last_used_us
        .is_some_and(|last_us| now_us - last_us < LAST_USE_EXACT_US)
    {
        return;
    }
    let id = token.id;
    let noted = app
        .db
        .write(move |conn| Box::pin(async move { touch_api_token(conn, id, now_us).await }))
        .await;
    if let Err(error) = noted {
        tracing::warn!(%error, "use of an API token is not noted");
    }
}

/// The provider's stored word for what a URL calls it, in any case: `gh` is `github`.
pub fn service_name(word: &str) -> Option<&'static str> {
    Some(match word.to_ascii_lowercase().as_str() {
        "gh" | "github" => "github",
        "gl" | "gitlab" => "gitlab",
        "bb" | "bitbucket" => "bitbucket",
        "ghe" | "github_enterprise" => "github_enterprise",
        "gle" | "gitlab_enterprise" => "gitlab_enterprise",
        "bbs" | "bitbucket_server" => "bitbucket_server",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_bearer_headers_hold_a_token() {
        assert_eq!(bearer_token("bEARER hl_a").unwrap(), Some("hl_a"));
        assert_eq!(bearer_token("token hl_a").unwrap(), None);
        assert_eq!(bearer_token("").unwrap(), None);
        assert!(bearer_token("Bearer").is_err());
        assert!(bearer_token("Bearer a b").is_err());
    }
}
