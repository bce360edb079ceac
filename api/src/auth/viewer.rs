//! Who reads and changes: anybody, a user or an owner, or the instance itself.
//!
//! Anybody sees public repositories. A private one is for its owner and for users who may read it and are activated
//! with its owner; for all others it does not exist. A wrong token is refused even where anybody may read.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts, MatchedPath};
use axum::http::header::{AUTHORIZATION, COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use engine::db::Conn;
use engine::db::members::{self, Standing, find_standing, is_reader};
use engine::db::owners::{Owner, find_owner, get_owner};
use engine::db::repos::{PrivateRepos, Repo, find_repo};
use engine::db::sessions::find_session_owner;
use engine::db::tokens::{ApiToken, find_api_token, touch_api_token};
use engine::id::OwnerId;
use engine::secret::hash_token;

use super::scope::{Scope, Scopes};
use crate::app::App;
use crate::error::{Error, Result};
use crate::middleware::limit::{Limited, allows};

/// How exactly a token's last use is known.
const LAST_USE_EXACT_US: i64 = 60_000_000;
/// The cookie of a login.
const SESSION_COOKIE: &str = "sessionid";
/// Longest token that is looked up.
const TOKEN_MAX_BYTES: usize = 8192;
/// Where the operator's super token opens what is below a repository.
const SUPER_ROUTES: [&str; 5] = [
    "/report",
    "/file_report",
    "/pulls",
    "/test-results",
    "/test-analytics",
];
const NOT_ACTIVATED: &str = "Permission denied: some possible reasons for this are (1) the user doesn't have \
    permission to view the specific resource, (2) the organization has a per-user plan or (3) the user is trying to \
    view a private repo but is not activated.";

/// A caller of the REST API.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Viewer {
    /// Who it is.
    pub who: Who,
    scopes: Scopes,
    on_super_route: bool,
}

/// Who a caller is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Who {
    /// Nobody known.
    Anonymous,
    /// A user, or an organisation by a token of its own.
    Owner(OwnerId),
    /// The holder of a token of the whole instance.
    Instance,
}

/// What a repository is to a viewer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Access {
    /// It may be read.
    Readable,
    /// It may be read once this user is activated with its owner, as its members are by their first read.
    Activating(OwnerId),
    /// It could be read if the viewer were activated with its owner.
    NotActivated,
    /// It does not exist.
    Hidden,
}

impl Viewer {
    /// Which of this owner's private repositories a list shows.
    pub fn private_repos(&self, owner: OwnerId) -> PrivateRepos {
        match self.who {
            Who::Anonymous => PrivateRepos::None,
            Who::Instance => PrivateRepos::All,
            Who::Owner(own) if own == owner => PrivateRepos::All,
            Who::Owner(own) => PrivateRepos::ReadBy(own),
        }
    }

    /// Who it is, if known. Errors: 401.
    pub fn known(&self) -> Result<Who> {
        match self.who {
            Who::Anonymous => Err(unknown()),
            who => Ok(who),
        }
    }

    /// Refuses callers that are not known, 401, and tokens that do not allow this, 403.
    pub fn require(&self, scope: Scope) -> Result<()> {
        self.known()?;
        match self.scopes.allow(scope) {
            true => Ok(()),
            false => Err(lacks(scope)),
        }
    }

    /// Refuses tokens that do not allow reading, 403. Whoever has none reads what is public.
    fn may_read(&self) -> Result<()> {
        match self.who == Who::Anonymous || self.scopes.allow(Scope::Read) {
            true => Ok(()),
            false => Err(lacks(Scope::Read)),
        }
    }

    /// Whether its token allows this.
    pub fn allows(&self, scope: Scope) -> bool {
        self.scopes.allow(scope)
    }

    /// Whether its token allows all of this.
    pub fn includes(&self, scopes: Scopes) -> bool {
        self.scopes.include(scopes)
    }

    /// Whether it is the owner, or counts among its members.
    pub async fn is_member_of(&self, conn: &mut Conn, owner: OwnerId) -> Result<bool> {
        Ok(match self.who {
            Who::Anonymous => false,
            Who::Instance => true,
            Who::Owner(own) if own == owner => true,
            Who::Owner(own) => find_standing(conn, owner, own)
                .await?
                .is_some_and(|standing| standing.belongs),
        })
    }

    /// Whether it administers this owner: an admin of the instance does, by configuration or token, and so does a
    /// token that was made for this owner's administration.
    pub async fn is_admin_of(&self, app: &App, conn: &mut Conn, owner: OwnerId) -> Result<bool> {
        if !self.scopes.allow(Scope::Admin) {
            return Ok(false);
        }
        match self.who {
            Who::Anonymous => Ok(false),
            Who::Instance => Ok(true),
            Who::Owner(own) if own == owner => Ok(true),
            Who::Owner(own) => {
                let user = get_owner(conn, own).await?;
                Ok(app.config.is_admin(&user.service, &user.username))
            }
        }
    }

    /// The repository of these names, if the viewer may read it, and the connection that read it, which serves the rest
    /// of a request: the pool sends a statement of its own for each that it lends. Errors: 404, also for a private one
    /// that the viewer may not see; 403 if it would have to be activated for it.
    pub async fn readable_repo(
        &self,
        app: &App,
        service: &str,
        owner: &str,
        repo: &str,
    ) -> Result<(Conn, Owner, Repo)> {
        let detail = match self.on_super_route {
            true => {
                return self
                    .readable_repo_or(app, service, owner, repo, Error::forbidden())
                    .await;
            }
            false => NOT_ACTIVATED,
        };
        let refused = Error::Detail(StatusCode::FORBIDDEN, detail.into());
        self.readable_repo_or(app, service, owner, repo, refused)
            .await
    }

    /// The same, with what is said to a viewer who is not activated.
    pub async fn readable_repo_or(
        &self,
        app: &App,
        service: &str,
        owner: &str,
        repo: &str,
        not_activated: Error,
    ) -> Result<(Conn, Owner, Repo)> {
        self.may_read()?;
        let mut conn = app.db.read_report().await?;
        let (owner, repo) = find_named(&mut conn, service, owner, repo).await?;
        let access = self.access(&mut conn, &owner, &repo).await?;
        if matches!(access, Access::Readable | Access::Activating(_)) {
            app.hot.ask(repo.id);
        }
        match access {
            Access::Readable => Ok((conn, owner, repo)),
            Access::Activating(user) => {
                drop(conn); // Who holds one connection must not wait for another.
                activate(app, owner.id, user).await?;
                Ok((app.db.read_report().await?, owner, repo))
            }
            Access::NotActivated => Err(not_activated),
            Access::Hidden => Err(Error::not_found("Not found.")),
        }
    }

    async fn access(&self, conn: &mut Conn, owner: &Owner, repo: &Repo) -> Result<Access> {
        let user = match self.who {
            _ if !repo.private => return Ok(Access::Readable),
            Who::Anonymous => return Ok(Access::Hidden),
            Who::Instance => return Ok(Access::Readable),
            Who::Owner(own) if own == owner.id => return Ok(Access::Readable),
            Who::Owner(user) => user,
        };
        if !is_reader(conn, user, repo.id).await? {
            return Ok(Access::Hidden);
        }
        let standing = find_standing(conn, owner.id, user).await?;
        Ok(match standing.unwrap_or_default() {
            Standing { belongs: false, .. } => Access::NotActivated,
            Standing {
                activated: true, ..
            } => Access::Readable,
            _ if owner.auto_activate => Access::Activating(user),
            _ => Access::NotActivated,
        })
    }
}

async fn activate(app: &App, owner: OwnerId, user: OwnerId) -> Result<()> {
    let activated = app.db.write(move |conn| {
        Box::pin(async move { members::set_activated(conn, owner, user, true).await })
    });
    Ok(activated.await?)
}

async fn find_named(
    conn: &mut Conn,
    service: &str,
    owner: &str,
    repo: &str,
) -> Result<(Owner, Repo)> {
    let service =
        service_name(service).ok_or_else(|| Error::not_found("Invalid service for Owner."))?;
    if let Some(found) = find_repo(conn, service, owner, repo).await? {
        return Ok(found);
    }
    let what = match find_owner(conn, service, owner).await? {
        Some(_) => "Repository",
        None => "Owner",
    };
    let detail = format!("No {what} matches the given query.");
    Err(Error::not_found(detail))
}

impl FromRequestParts<App> for Viewer {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Viewer> {
        let reads = matches!(parts.method, Method::GET | Method::HEAD);
        let on_super_route = parts
            .extensions
            .get::<MatchedPath>()
            .is_some_and(is_super_route);
        let (who, scopes) = match find_token(&parts.headers)? {
            Some(token) if is_super_token(app, token) => match (on_super_route, reads) {
                (true, true) => (Who::Instance, Scopes::from_iter([Scope::Read])),
                (_, false) => return Err(Error::forbidden()),
                (false, true) => return Err(refused("Invalid token.")),
            },
            Some(token) => find_holder(app, parts, token).await?,
            None => find_login(app, &parts.headers).await?,
        };
        if who == Who::Anonymous && !app.config.guest_access {
            return Err(unknown());
        }
        let viewer = Viewer {
            who,
            scopes,
            on_super_route,
        };
        if reads {
            viewer.may_read()?;
        }
        Ok(viewer)
    }
}

fn is_super_route(route: &MatchedPath) -> bool {
    let below = route.as_str().split_once("{repo}");
    below.is_some_and(|(_, below)| {
        SUPER_ROUTES.iter().any(|route| {
            let rest = below.strip_prefix(route);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    })
}

/// Hashes are compared, so that the time tells nothing of the token.
fn is_super_token(app: &App, token: &str) -> bool {
    let right = app.config.super_token.as_ref();
    right.is_some_and(|right| hash_token(right.expose()) == hash_token(token))
}

fn find_token(headers: &HeaderMap) -> Result<Option<&str>> {
    let Some(header) = headers.get(AUTHORIZATION) else {
        return Ok(None);
    };
    let header = header.to_str().map_err(|_| refused("Invalid token."))?;
    bearer_token(header)
}

/// Who holds the token. Errors: 401, and 429 for a peer that sends wrong ones too often.
async fn find_holder(app: &App, parts: &Parts, token: &str) -> Result<(Who, Scopes)> {
    let now_us = app.clock.now_us();
    let found = match token.len() <= TOKEN_MAX_BYTES {
        true => find_api_token(&mut app.db.read().await?, &hash_token(token), now_us).await?,
        false => None,
    };
    let Some(token) = found else {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        let is_allowed = match peer {
            Some(peer) => allows(app, Limited::WrongTokens, peer.ip()).await,
            None => true,
        };
        return Err(match is_allowed {
            true => refused("Invalid token."),
            false => {
                let detail = "Request was throttled. Expected available in 1 second.";
                Error::Busy(StatusCode::TOO_MANY_REQUESTS, detail.into(), 1)
            }
        });
    };
    note_use(app, &token, now_us).await;
    let scopes = token.scope.parse().unwrap_or_default();
    Ok((token.owner_id.map_or(Who::Instance, Who::Owner), scopes))
}

/// Who has logged in with this browser; a login that has ended is nobody's.
async fn find_login(app: &App, headers: &HeaderMap) -> Result<(Who, Scopes)> {
    let cookies = headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok());
    let mut pairs = cookies
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='));
    let session = pairs.find_map(|(name, value)| (name == SESSION_COOKIE).then_some(value));
    let Some(session) = session.filter(|value| value.len() <= TOKEN_MAX_BYTES) else {
        return Ok((Who::Anonymous, Scopes::default()));
    };
    let (hash, now_us) = (hash_token(session), app.clock.now_us());
    let owner = find_session_owner(&mut app.db.read().await?, &hash, now_us).await?;
    Ok(match owner {
        Some(owner) => (Who::Owner(owner), Scopes::ALL),
        None => (Who::Anonymous, Scopes::default()),
    })
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

fn unknown() -> Error {
    refused("Authentication credentials were not provided.")
}

fn lacks(scope: Scope) -> Error {
    let detail = format!(
        "This token does not allow this: it lacks the scope \"{}\".",
        scope.as_str()
    );
    Error::Detail(StatusCode::FORBIDDEN, detail)
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
