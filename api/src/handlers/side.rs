//! What the endpoints share whose calls name the repository and the commit in their body.

use axum::http::HeaderMap;
use engine::db::commits;
use engine::db::owners::get_owner;
use engine::db::repos::{find_repo, get_repo};

use super::intake::CommitFacts;
use super::uploads::Fields;
use crate::app::App;
use crate::auth::upload::{
    Target, Tokenless, authorise, find_target, find_token, header_token, opens, require_activated,
    split_slug,
};
use crate::error::{Error, Result};

/// The repository that a body with `slug`, `commit` and `branch` is for, if the caller may upload to it. A
/// repository's token says which, whatever the slug; an owner's finds it by the slug among the owner's; without a
/// token it is `service`'s and must take uploads from anyone. A token for the whole instance is not taken here.
pub async fn authorise_body(
    app: &App,
    headers: &HeaderMap,
    fields: &Fields,
    service: Option<&str>,
) -> Result<Target> {
    let refused = || Error::Unauthorized("Token", "Not valid tokenless upload".into());
    let Some(token) = header_token(headers)? else {
        return authorise_tokenless(app, headers, fields, service.ok_or_else(refused)?).await;
    };
    let token = find_token(app, token).await?.ok_or_else(refused)?;
    let slug = fields.required("slug")?;
    let mut conn = app.db.read().await?;
    let target = match (token.repo_id, token.owner_id) {
        (Some(repo), _) => {
            let repo = get_repo(&mut conn, repo).await?;
            let owner = get_owner(&mut conn, repo.owner_id).await?;
            Target { owner, repo }
        }
        (None, Some(owner)) => {
            let not_found = || Error::not_found("Repository not found.");
            let service = get_owner(&mut conn, owner).await?.service;
            let (name, repo) = split_slug(&slug).ok_or_else(not_found)?;
            let (owner, repo) = find_repo(&mut conn, &service, &name, repo)
                .await?
                .ok_or_else(not_found)?;
            Target { owner, repo }
        }
        (None, None) => return Err(refused()),
    };
    if !opens(&token, &target) {
        return Err(Error::forbidden());
    }
    require_activated(&target.repo)?;
    Ok(target)
}

/// Without a token, the branch of a known commit must be the one that the body names, or it does not count.
async fn authorise_tokenless(
    app: &App,
    headers: &HeaderMap,
    fields: &Fields,
    service: &str,
) -> Result<Target> {
    let (slug, commit) = (fields.required("slug")?, fields.required("commit")?);
    let branch = fields.text_or_blank("branch")?;
    let known = match find_target(app, service, &slug).await? {
        Some(target) => {
            commits::find_commit(&mut app.db.read().await?, target.repo.id, &commit).await?
        }
        None => None,
    };
    let branch =
        branch.filter(|branch| known.is_none_or(|known| known.branch.as_ref() == Some(branch)));
    authorise(
        app,
        headers,
        service,
        &slug,
        Some(&commit),
        Tokenless::Public {
            branch: branch.as_deref(),
        },
    )
    .await
}

/// The commit that a body names; without a branch it is on the repository's default branch.
pub fn commit_facts(fields: &Fields, target: &Target) -> Result<CommitFacts> {
    let branch = fields.text_or_blank("branch")?;
    Ok(CommitFacts {
        sha: fields.required("commit")?,
        parent_sha: None,
        branch: Some(branch.unwrap_or_else(|| target.repo.default_branch.clone())),
        pull_id: fields.integer("pr")?,
    })
}
