//! People of an owner: who they are, whether they are activated, whether they are logged in.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Path, State};
use axum::http::HeaderMap;
use engine::db::members::{self, Member, MemberFilter, set_activated};
use engine::db::owners::{Owner, find_owner};
use engine::db::{Conn, Page};
use engine::id::OwnerId;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use super::page::{PageOf, PageQuery, Paging, list_page};
use super::repos::{get_known_owner, known_service};
use super::rest::params::Params;
use super::rest::{BadUpload, Detail, OwnerKey};
use super::uploads::Fields;
use crate::app::App;
use crate::auth::scope::Scope;
use crate::auth::viewer::{Viewer, Who};
use crate::error::{Error, Result};
use crate::times::iso;

/// A user of an owner.
#[derive(Serialize, ToSchema)]
pub struct UserBody {
    /// The provider's long name.
    pub service: String,
    /// The name in URLs.
    pub username: String,
    /// The name for people.
    #[schema(required)]
    pub name: Option<String>,
    /// Whether the user may read the private repositories that it has access to.
    pub activated: bool,
    /// Whether the user is one of the owner's admins.
    pub is_admin: bool,
    /// The e-mail address.
    #[schema(required)]
    pub email: Option<String>,
}

impl From<Member> for UserBody {
    fn from(member: Member) -> UserBody {
        UserBody {
            service: member.service,
            username: member.username,
            name: member.name,
            activated: member.activated,
            is_admin: member.admin,
            email: member.email,
        }
    }
}

/// Whether a user is logged in.
#[derive(Serialize, ToSchema)]
pub struct SessionBody {
    /// The name in URLs.
    pub username: String,
    /// The name for people.
    #[schema(required)]
    pub name: Option<String>,
    /// Whether a login has not ended yet.
    pub has_active_session: bool,
    /// When the longest login ends or ended.
    #[schema(required, format = DateTime)]
    pub expiry_date: Option<String>,
}

/// Which users to list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub struct UserQuery {
    /// Only those that are, or are not, activated: `true` or `false`.
    pub activated: Option<bool>,
    /// Only those that are, or are not, admins: `true` or `false`.
    pub is_admin: Option<bool>,
    /// Only those whose names or e-mail address contain each of these words.
    pub search: Option<String>,
}

/// Names a user of an owner.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
pub struct UserKey {
    /// The provider, by its long or short name.
    pub service: String,
    /// The owner's name, in any case.
    pub owner: String,
    /// The user's name in any case, or its id.
    pub user: String,
}

/// What to change of a user.
#[derive(Deserialize, ToSchema)]
pub struct UserChange {
    /// Whether the user may read the private repositories that it has access to.
    pub activated: bool,
}

/// `GET /{service}/{owner}/users/`: the owner's members, and who else is activated there; for members.
#[utoipa::path(get, path = "/{service}/{owner}/users/", tag = "users", params(OwnerKey, UserQuery, PageQuery),
    responses((status = 200, body = PageOf<UserBody>), (status = 401, body = Detail), (status = 404, body = Detail)))]
pub async fn list_users(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<OwnerKey>,
    params: Params,
    paging: Paging,
) -> Result<Json<PageOf<UserBody>>> {
    let mut conn = app.db.read().await?;
    let owner = own_owner(&mut conn, viewer, &key.service, &key.owner).await?;
    let filter = MemberFilter {
        activated: params.flag("activated"),
        admin: params.flag("is_admin"),
        search: params.text("search"),
        id: None,
    };
    let page = list_page!(paging, |part| {
        members::list_members(&mut conn, owner.id, &filter, part).await
    });
    Ok(Json(page.try_map(|member| Ok(member.into()))?))
}

/// `GET /{service}/{owner}/users/{user}/`: one of them.
#[utoipa::path(get, path = "/{service}/{owner}/users/{user}/", tag = "users", params(UserKey),
    responses((status = 200, body = UserBody), (status = 401, body = Detail), (status = 404, body = Detail)))]
pub async fn get_user(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<UserKey>,
) -> Result<Json<UserBody>> {
    let mut conn = app.db.read().await?;
    let owner = own_owner(&mut conn, viewer, &key.service, &key.owner).await?;
    Ok(Json(get_member(&mut conn, &owner, &key.user).await?.into()))
}

/// `PATCH /{service}/{owner}/users/{user}/`: activates or deactivates a user, with all owners alike. Admins may do so
/// for anybody, others for themselves. There are no seats to run out of.
#[utoipa::path(patch, path = "/{service}/{owner}/users/{user}/", tag = "users", params(UserKey),
    request_body = UserChange,
    responses((status = 200, body = UserBody), (status = 400, body = BadUpload), (status = 401, body = Detail),
        (status = 403, body = Detail), (status = 404, body = Detail), (status = 415, body = Detail)))]
pub async fn set_user(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<UserKey>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<UserBody>> {
    viewer.require(Scope::Write)?;
    let mut conn = app.db.read().await?;
    let owner = own_owner(&mut conn, viewer, &key.service, &key.owner).await?;
    let member = get_member(&mut conn, &owner, &key.user).await?;
    let own = viewer.who == Who::Owner(member.id);
    if !own && !viewer.is_admin_of(&app, &mut conn, owner.id).await? {
        return Err(Error::forbidden());
    }
    drop(conn);
    let activated = Fields::parse(&headers, body)?.required_truth("activated")?;
    let (owner_id, user) = (owner.id, member.id);
    let changed = app.db.write(move |conn| {
        Box::pin(async move { set_activated(conn, owner_id, user, activated).await })
    });
    changed.await?;
    Ok(Json(
        Member {
            activated,
            ..member
        }
        .into(),
    ))
}

/// `GET /{service}/{owner}/user-sessions/`: which of the owner's members are logged in; for admins.
#[utoipa::path(get, path = "/{service}/{owner}/user-sessions/", tag = "users", params(OwnerKey, PageQuery),
    responses((status = 200, body = PageOf<SessionBody>), (status = 401, body = Detail), (status = 403, body = Detail),
        (status = 404, body = Detail)))]
pub async fn list_sessions(
    State(app): State<App>,
    viewer: Viewer,
    Path(key): Path<OwnerKey>,
    paging: Paging,
) -> Result<Json<PageOf<SessionBody>>> {
    viewer.known()?;
    let mut conn = app.db.read().await?;
    let owner = get_known_owner(&mut conn, known_service(&key.service)?, &key.owner).await?;
    if !viewer.is_admin_of(&app, &mut conn, owner.id).await? {
        return Err(Error::forbidden());
    }
    let all = MemberFilter::default();
    let page = list_page!(paging, |part| {
        members::list_members(&mut conn, owner.id, &all, part).await
    });
    let now_us = app.clock.now_us();
    Ok(Json(page.try_map(|member| {
        Ok(SessionBody {
            username: member.username,
            name: member.name,
            has_active_session: member.session_us > Some(now_us),
            expiry_date: member.session_us.map(iso),
        })
    })?))
}

/// The owner of these names. Errors: 401; 404, also for a caller who is no member.
async fn own_owner(conn: &mut Conn, viewer: Viewer, service: &str, name: &str) -> Result<Owner> {
    viewer.known()?;
    let owner = get_known_owner(conn, known_service(service)?, name).await?;
    match viewer.is_member_of(conn, owner.id).await? {
        true => Ok(owner),
        false => Err(unknown()),
    }
}

async fn get_member(conn: &mut Conn, owner: &Owner, user: &str) -> Result<Member> {
    let named = find_owner(conn, &owner.service, user)
        .await?
        .map(|user| user.id);
    let ids = named.into_iter().chain(user.parse().ok().map(OwnerId));
    for id in ids {
        let filter = MemberFilter {
            id: Some(id),
            ..MemberFilter::default()
        };
        let listed = members::list_members(conn, owner.id, &filter, Page::first(1)).await?;
        if let Some(member) = listed.rows.into_iter().next() {
            return Ok(member);
        }
    }
    Err(unknown())
}

fn unknown() -> Error {
    Error::not_found("No Owner matches the given query.")
}
