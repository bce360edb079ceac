//! API tokens, managed with an API token or a login that may: of its own owner, or of anybody for the instance's.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use engine::db::tokens::{self, ApiToken, revoke_api_token};
use engine::id::{OwnerId, TokenId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::repos::{get_known_owner, known_service};
use super::rest::{BadUpload, Detail};
use super::uploads::Fields;
use crate::app::App;
use crate::auth::scope::{Scope, Scopes};
use crate::auth::tokens::{TokenWish, add_api_token};
use crate::auth::viewer::{Viewer, Who};
use crate::error::{Error, Result};
use crate::times::iso;

/// Days that a token lasts at most, where its end is given.
const DAYS_MAX: i64 = 3650;
const DAY_US: i64 = 24 * 3_600_000_000;

/// What is known of a token.
#[derive(Serialize, ToSchema)]
pub struct TokenBody {
    /// Its id.
    #[schema(value_type = String)]
    pub id: TokenId,
    /// What its maker calls it.
    pub name: String,
    /// What it allows: `read`, `write`, `admin`, `upload`.
    pub scopes: Vec<String>,
    /// When it was made.
    #[schema(format = DateTime)]
    pub created_at: String,
    /// When it ends; null: never.
    #[schema(required, format = DateTime)]
    pub expires_at: Option<String>,
    /// When it was last used, give or take a minute.
    #[schema(required, format = DateTime)]
    pub last_used_at: Option<String>,
}

impl TokenBody {
    fn new(token: ApiToken) -> TokenBody {
        let scopes: Scopes = token.scope.parse().unwrap_or_default();
        TokenBody {
            id: token.id,
            name: token.name,
            scopes: scopes.words().into_iter().map(Into::into).collect(),
            created_at: iso(token.created_us),
            expires_at: token.expires_us.map(iso),
            last_used_at: token.last_used_us.map(iso),
        }
    }
}

/// A token that was just made.
#[derive(Serialize, ToSchema)]
pub struct NewTokenBody {
    /// The token itself, which is never shown again.
    pub token: String,
    /// What is known of it.
    #[serde(flatten)]
    pub about: TokenBody,
}

/// A token to make.
#[derive(Deserialize, ToSchema)]
pub struct TokenRequest {
    /// What to call it.
    #[schema(min_length = 1, max_length = 100)]
    pub name: String,
    /// What it allows, joined by commas: `read`, `write`, `admin`, `upload`. Not more than the caller's own token.
    #[schema(default = "read")]
    pub scopes: Option<String>,
    /// After how many days it ends; never without.
    #[schema(minimum = 1, maximum = 3650)]
    pub expires_in_days: Option<i64>,
    /// Whose it is, as `github/acme`; only for a token of the instance, whose own it is otherwise.
    pub owner: Option<String>,
}

/// `GET /tokens`: the caller's tokens, newest first.
#[utoipa::path(get, path = "/tokens", tag = "tokens", params(PageQuery),
    responses((status = 200, body = PageOf<TokenBody>), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn list_tokens(
    State(app): State<App>,
    viewer: Viewer,
    paging: Paging,
) -> Result<Json<PageOf<TokenBody>>> {
    viewer.require(Scope::Admin)?;
    let owner = own(viewer);
    let mut conn = app.db.read().await?;
    let page = list_page!(paging, |part| {
        tokens::list_api_tokens(&mut conn, owner, part).await
    });
    Ok(Json(page.try_map(|token| Ok(TokenBody::new(token)))?))
}

/// `POST /tokens`: makes a token and shows it, once.
#[utoipa::path(post, path = "/tokens", tag = "tokens", request_body = TokenRequest,
    responses((status = 201, body = NewTokenBody), (status = 400, body = BadUpload), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail), (status = 415, body = Detail)))]
pub async fn create_token(
    State(app): State<App>,
    viewer: Viewer,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<(StatusCode, Json<NewTokenBody>)> {
    viewer.require(Scope::Admin)?;
    let fields = Fields::parse(&headers, body)?;
    let wish = read_wish(&app, viewer, &fields).await?;
    let (token, stored) = add_api_token(&app.db, wish).await?;
    let body = NewTokenBody {
        token: token.expose().to_owned(),
        about: TokenBody::new(stored),
    };
    Ok((StatusCode::CREATED, Json(body)))
}

async fn read_wish(app: &App, viewer: Viewer, fields: &Fields) -> Result<TokenWish> {
    let scopes = fields.text("scopes")?.unwrap_or_else(|| "read".into());
    let scopes: Scopes = scopes
        .parse()
        .map_err(|why| Error::Field("scopes".into(), why))?;
    if !viewer.includes(scopes) {
        let why = "a token may not allow more than the one that makes it";
        return Err(Error::Field("scopes".into(), why.into()));
    }
    let days = fields.integer("expires_in_days")?;
    if days.is_some_and(|days| !(1..=DAYS_MAX).contains(&days)) {
        let why = format!("Ensure this value is between 1 and {DAYS_MAX}.");
        return Err(Error::Field("expires_in_days".into(), why));
    }
    Ok(TokenWish {
        owner_id: read_owner(app, viewer, fields).await?,
        name: fields.required("name")?,
        scopes,
        expires_us: days.map(|days| app.clock.now_us() + days * DAY_US),
    })
}

async fn read_owner(app: &App, viewer: Viewer, fields: &Fields) -> Result<Option<OwnerId>> {
    let own = own(viewer);
    match fields.text("owner")? {
        None => Ok(own),
        Some(_) if own.is_some() => {
            let why = "only a token of the instance may make one for another owner";
            Err(Error::Field("owner".into(), why.into()))
        }
        Some(name) => {
            let invalid = || Error::Field("owner".into(), "Write it as service/owner.".into());
            let (service, owner) = name.split_once('/').ok_or_else(invalid)?;
            let service = known_service(service)?;
            let owner = get_known_owner(&mut app.db.read().await?, service, owner).await?;
            Ok(Some(owner.id))
        }
    }
}

/// `DELETE /tokens/{id}`: ends a token at once.
#[utoipa::path(delete, path = "/tokens/{id}", tag = "tokens",
    params(("id" = String, Path, description = "the token's id")),
    responses((status = 204, description = "it has ended"), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn revoke_token(
    State(app): State<App>,
    viewer: Viewer,
    Path(id): Path<String>,
) -> Result<StatusCode> {
    viewer.require(Scope::Admin)?;
    let id = id.parse().map_err(|_| Error::not_found("Not found."))?;
    let (owner, now_us) = (own(viewer), app.clock.now_us());
    let revoked = app.db.write(move |conn| {
        Box::pin(async move { revoke_api_token(conn, id, owner, now_us).await })
    });
    revoked.await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Whose tokens the caller manages; everybody's without.
fn own(viewer: Viewer) -> Option<OwnerId> {
    match viewer.who {
        Who::Owner(own) => Some(own),
        Who::Anonymous | Who::Instance => None,
    }
}
