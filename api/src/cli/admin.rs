//! `hitline admin`: repositories and tokens. Works on the database, so a server may run beside it.
//! A token is printed once, alone on standard output; only its hash is kept.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use engine::clock::Clock;
use engine::db::owners::upsert_owner;
use engine::db::repos::{NewRepo, find_repo, upsert_repo};
use engine::db::tokens::{
    NewApiToken, UploadToken, insert_api_token, insert_upload_token, revoke_upload_tokens_of_repo,
};
use engine::db::{Db, Page};
use engine::id::{JobId, OwnerId, RepoId, TokenId};
use engine::queue;
use engine::secret::{graph_token, hash_token, new_api_token, new_upload_token};

use super::{DataArgs, print};
use crate::app::{open_db, signing_key};
use crate::auth::upload::SERVICES;

/// Jobs that one list shows at most.
const JOBS_LISTED: i64 = 1000;

/// Arguments of `admin`.
#[derive(Args)]
pub(super) struct AdminArgs {
    #[command(subcommand)]
    command: AdminCommand,
}

#[derive(Subcommand)]
enum AdminCommand {
    /// Repositories
    #[command(subcommand)]
    Repo(RepoCommand),
    /// API tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Jobs that were given up
    #[command(subcommand)]
    Job(JobCommand),
}

#[derive(Subcommand)]
enum JobCommand {
    /// List the jobs that failed for good: id, kind, attempts, reason
    List(DataArgs),
    /// Give a job new attempts, once the cause of its failure is mended
    Revive(JobReviveArgs),
}

#[derive(Args)]
struct JobReviveArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The job's id
    id: JobId,
}

#[derive(Subcommand)]
enum RepoCommand {
    /// Add a repository, or give a known one a new token; prints its upload token
    Add(RepoAddArgs),
}

#[derive(Subcommand)]
enum TokenCommand {
    /// Make an API token; prints it
    Add(TokenAddArgs),
    /// Print the token that shows a private repository's badge and graphs
    Graph(TokenGraphArgs),
}

#[derive(Args)]
struct RepoAddArgs {
    #[command(flatten)]
    data: DataArgs,
    /// `service/owner/name`, as github/acme/widgets; groups are further parts: gitlab/group/sub/name
    repo: String,
    /// Anyone may see it, and forks may upload without a token
    #[arg(long)]
    public: bool,
    /// End the repository's other upload tokens
    #[arg(long)]
    revoke_others: bool,
}

#[derive(Args)]
struct TokenGraphArgs {
    #[command(flatten)]
    data: DataArgs,
    /// `service/owner/name`, as github/acme/widgets
    repo: String,
}

#[derive(Args)]
struct TokenAddArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The owner whose repositories it reads
    #[arg(
        long,
        conflicts_with = "instance",
        required_unless_present = "instance"
    )]
    owner: Option<String>,
    /// The owner's service
    #[arg(long, default_value = "github")]
    service: String,
    /// It reads every repository of this instance
    #[arg(long)]
    instance: bool,
    /// What to call it
    #[arg(long, default_value = "api")]
    name: String,
}

/// Runs the command.
pub(super) async fn run(args: AdminArgs) -> anyhow::Result<()> {
    match args.command {
        AdminCommand::Repo(RepoCommand::Add(args)) => add_repo(args).await,
        AdminCommand::Token(TokenCommand::Add(args)) => add_token(args).await,
        AdminCommand::Token(TokenCommand::Graph(args)) => show_graph_token(args).await,
        AdminCommand::Job(JobCommand::List(data)) => list_dead_jobs(&data).await,
        AdminCommand::Job(JobCommand::Revive(args)) => revive_job(args).await,
    }
}

/// A repository's place: service, owner (groups joined by colons) and name.
pub(super) fn split_repo(repo: &str) -> anyhow::Result<(&str, String, &str)> {
    let parts = || {
        let (service, rest) = repo.split_once('/')?;
        let (owner, name) = rest.rsplit_once('/')?;
        (!owner.is_empty() && !name.is_empty()).then(|| (service, owner.replace('/', ":"), name))
    };
    let (service, owner, name) =
        parts().with_context(|| format!("repository {repo:?}: write it as service/owner/name"))?;
    check_service(service)?;
    Ok((service, owner, name))
}

fn check_service(service: &str) -> anyhow::Result<()> {
    if !SERVICES.contains(&service) {
        bail!("service {service:?} is not one of {}", SERVICES.join(", "));
    }
    Ok(())
}

async fn open(data: &DataArgs) -> anyhow::Result<Db> {
    let config = data.config()?;
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("create {}", config.data.display()))?;
    Ok(open_db(&config, Clock::system()).await?)
}

async fn list_dead_jobs(data: &DataArgs) -> anyhow::Result<()> {
    let db = open(data).await?;
    for job in queue::list_dead(&mut db.read().await?, Page::first(JOBS_LISTED)).await? {
        let reason = job.reason.as_deref().unwrap_or_default();
        print(&format!(
            "{}\t{}\t{}\t{reason}",
            job.id, job.kind, job.attempt
        ))?;
    }
    Ok(())
}

async fn revive_job(args: JobReviveArgs) -> anyhow::Result<()> {
    let db = open(&args.data).await?;
    let (id, now_us) = (args.id, db.clock().now_us());
    let revived =
        db.write(move |conn| Box::pin(async move { queue::revive(conn, id, now_us).await }));
    Ok(revived.await?)
}

async fn add_repo(args: RepoAddArgs) -> anyhow::Result<()> {
    let (service, owner, name) = split_repo(&args.repo)?;
    let (service, name) = (service.to_string(), name.to_string());
    let db = open(&args.data).await?;
    let now_us = db.clock().now_us();
    let token = new_upload_token();
    let hash = hash_token(token.expose());
    let (private, revoke_others) = (!args.public, args.revoke_others);
    let added = db.write(move |conn| {
        Box::pin(async move {
            let owner =
                upsert_owner(conn, OwnerId::generate(now_us), &service, &owner, now_us).await?;
            let new = NewRepo {
                id: RepoId::generate(now_us),
                owner_id: owner.id,
                name,
                private,
            };
            let repo = upsert_repo(conn, &new, now_us).await?;
            if revoke_others {
                revoke_upload_tokens_of_repo(conn, repo.id, now_us).await?;
            }
            let row = UploadToken {
                id: TokenId::generate(now_us),
                repo_id: Some(repo.id),
                owner_id: None,
            };
            insert_upload_token(conn, &row, &hash, now_us).await
        })
    });
    added.await?;
    print(token.expose())
}

async fn add_token(args: TokenAddArgs) -> anyhow::Result<()> {
    check_service(&args.service)?;
    let db = open(&args.data).await?;
    let now_us = db.clock().now_us();
    let token = new_api_token();
    let hash = hash_token(token.expose());
    let added = db.write(move |conn| {
        Box::pin(async move {
            let owner_id = match &args.owner {
                Some(owner) => Some(
                    upsert_owner(
                        conn,
                        OwnerId::generate(now_us),
                        &args.service,
                        owner,
                        now_us,
                    )
                    .await?
                    .id,
                ),
                None => None,
            };
            let id = TokenId::generate(now_us);
            let new = NewApiToken {
                id,
                hash,
                owner_id,
                name: args.name,
                scope: "read".into(),
                expires_us: None,
            };
            insert_api_token(conn, &new, now_us).await
        })
    });
    added.await?;
    print(token.expose())
}

async fn show_graph_token(args: TokenGraphArgs) -> anyhow::Result<()> {
    let (service, owner, name) = split_repo(&args.repo)?;
    let db = open(&args.data).await?;
    let found = find_repo(&mut db.read().await?, service, &owner, name).await?;
    let (_, repo) = found.with_context(|| {
        format!(
            "repository {} is not known: add it with hitline admin repo add",
            args.repo
        )
    })?;
    let key = signing_key(&db).await?;
    print(graph_token(&key, repo.id).expose())
}
