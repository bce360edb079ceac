//! Who changes settings: the holder of an API token with the scope `admin`.

use axum::extract::FromRequestParts;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use engine::db::owners::{Owner, find_owner};
use engine::db::repos::{Repo, find_repo_of_owner};
use engine::db::tokens::find_api_token;
use engine::id::OwnerId;
use engine::secret::hash_token;

use super::viewer::{Viewer, service_name};
use crate::app::App;
use crate::error::{Error, Result};

/// What an API token's scopes say when it allows changes.
const SCOPE: &str = "admin";

/// A caller who may change settings: of one owner, or of all.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Admin(Option<OwnerId>);

impl Admin {
    /// The owner of this name, if the caller may change its settings. Errors: 404, and 403 for another's owner.
    pub async fn changeable_owner(&self, app: &App, service: &str, owner: &str) -> Result<Owner> {
        let service = service_name(service)
            .ok_or_else(|| Error::not_found(format!("Service not found: {service}")))?;
        let owner = find_owner(&mut app.db.read().await?, service, owner)
            .await?
            .ok_or_else(|| Error::not_found("No Owner matches the given query."))?;
        match self.0.is_none_or(|own| own == owner.id) {
            true => Ok(owner),
            false => Err(Error::forbidden()),
        }
    }

    /// The repository of these names, if the caller may change its settings. Errors: as for its owner.
    pub async fn changeable_repo(
        &self,
        app: &App,
        service: &str,
        owner: &str,
        repo: &str,
    ) -> Result<Repo> {
        let owner = self.changeable_owner(app, service, owner).await?;
        find_repo_of_owner(&mut app.db.read().await?, owner.id, repo)
            .await?
            .ok_or_else(|| Error::not_found("No Repository matches the given query."))
    }
}

impl FromRequestParts<App> for Admin {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Admin> {
        Viewer::from_request_parts(parts, app).await?; // refuses what is no token
        let header = parts.headers.get(AUTHORIZATION);
        let header = header.and_then(|header| header.to_str().ok());
        let Some(token) = header.and_then(|header| header.split_ascii_whitespace().nth(1)) else {
            let detail = "Authentication credentials were not provided.";
            return Err(Error::Unauthorized("Bearer", detail.into()));
        };
        let now_us = app.clock.now_us();
        let found = find_api_token(&mut app.db.read().await?, &hash_token(token), now_us).await?;
        match found {
            Some(token) if token.scope.split(',').any(|scope| scope.trim() == SCOPE) => {
                Ok(Admin(token.owner_id))
            }
            _ => Err(Error::forbidden()),
        }
    }
}
