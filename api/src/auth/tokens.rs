//! Making repositories and tokens: what the commands, the API and the tests share. A token is seen once.

use engine::Result;
use engine::db::Db;
use engine::db::owners::upsert_owner;
use engine::db::repos::{NewRepo, upsert_repo};
use engine::db::tokens::{
    ApiToken, NewApiToken, UploadToken, find_upload_token, get_token_generation, insert_api_token,
    insert_upload_token, revoke_upload_tokens_of_repo,
};
use engine::id::{OwnerId, RepoId, TokenId};
use engine::secret::{Secret, hash_token, new_api_token, new_upload_token, repo_upload_token};

use super::scope::Scopes;

/// A repository to make known, or to find.
#[derive(Clone, Debug)]
pub struct RepoPlace {
    /// The provider's long name.
    pub service: String,
    /// The owner's name; groups are joined by colons.
    pub owner: String,
    /// The repository's name.
    pub name: String,
    /// Whether only some may see it, if it is new.
    pub private: bool,
}

/// What becomes of a repository's other upload tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OtherTokens {
    /// They stay.
    Keep,
    /// They end.
    Revoke,
}

/// Makes the repository known, and gives it one more upload token.
pub async fn add_repo(db: &Db, place: RepoPlace, others: OtherTokens) -> Result<Secret> {
    let now_us = db.clock().now_us();
    let token = new_upload_token();
    let hash = hash_token(token.expose());
    let added = db.write(move |conn| {
        Box::pin(async move {
            let id = OwnerId::generate(now_us);
            let owner = upsert_owner(conn, id, &place.service, &place.owner, now_us).await?;
            let new = NewRepo {
                id: RepoId::generate(now_us),
                owner_id: owner.id,
                name: place.name,
                private: place.private,
            };
            let repo = upsert_repo(conn, &new, now_us).await?;
            if others == OtherTokens::Revoke {
                revoke_upload_tokens_of_repo(conn, repo.id, now_us).await?;
            }
            insert_upload_token(conn, &token_of(repo.id, now_us), &hash, now_us).await
        })
    });
    added.await?;
    Ok(token)
}

/// The repository's upload token that can be shown again: it follows from the instance's key, so that it is not
/// stored either. It becomes another one when the repository's tokens are revoked.
pub async fn show_upload_token(db: &Db, key: &Secret, repo: RepoId) -> Result<Secret> {
    let mut conn = db.read().await?;
    let generation = get_token_generation(&mut conn, repo).await?;
    let token = repo_upload_token(key, repo, generation);
    let hash = hash_token(token.expose());
    if find_upload_token(&mut conn, &hash).await?.is_some() {
        return Ok(token);
    }
    drop(conn);
    let now_us = db.clock().now_us();
    let inserted = db.write(move |conn| {
        Box::pin(async move {
            match find_upload_token(conn, &hash).await? {
                Some(_) => Ok(()),
                None => insert_upload_token(conn, &token_of(repo, now_us), &hash, now_us).await,
            }
        })
    });
    inserted.await?;
    Ok(token)
}

fn token_of(repo: RepoId, now_us: i64) -> UploadToken {
    UploadToken {
        id: TokenId::generate(now_us),
        repo_id: Some(repo),
        owner_id: None,
    }
}

/// An API token to make.
#[derive(Clone, Debug)]
pub struct TokenWish {
    /// Whose it is; absent: the whole instance's.
    pub owner_id: Option<OwnerId>,
    /// What to call it.
    pub name: String,
    /// What it allows.
    pub scopes: Scopes,
    /// When it ends, microseconds.
    pub expires_us: Option<i64>,
}

/// Makes an API token; returns it with what is stored of it.
pub async fn add_api_token(db: &Db, wish: TokenWish) -> Result<(Secret, ApiToken)> {
    let now_us = db.clock().now_us();
    let token = new_api_token();
    let new = NewApiToken {
        id: TokenId::generate(now_us),
        hash: hash_token(token.expose()),
        owner_id: wish.owner_id,
        name: wish.name,
        scope: wish.scopes.to_string(),
        expires_us: wish.expires_us,
    };
    let stored = ApiToken {
        id: new.id,
        owner_id: new.owner_id,
        name: new.name.clone(),
        scope: new.scope.clone(),
        created_us: now_us,
        expires_us: new.expires_us,
        last_used_us: None,
    };
    db.write(move |conn| Box::pin(async move { insert_api_token(conn, &new, now_us).await }))
        .await?;
    Ok((token, stored))
}

/// The owner of that name, made known if it is new.
pub async fn known_owner(db: &Db, service: &str, name: &str) -> Result<OwnerId> {
    let (service, name) = (service.to_owned(), name.to_owned());
    let now_us = db.clock().now_us();
    let known = db.write(move |conn| {
        Box::pin(async move {
            let id = OwnerId::generate(now_us);
            Ok(upsert_owner(conn, id, &service, &name, now_us).await?.id)
        })
    });
    known.await
}
