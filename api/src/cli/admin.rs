//! `hitline admin`: repositories and tokens. Works on the database, so a server may run beside it.
//! A token is printed once, alone on standard output; only its hash is kept.

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use engine::clock::Clock;
use engine::db::members::{Standing, add_reader, set_standing};
use engine::db::owners::{get_owner, set_owner_names};
use engine::db::repos::{find_repo, find_repo_of_owner};
use engine::db::tokens::{list_api_tokens, revoke_api_token};
use engine::db::{Db, Page};
use engine::id::{JobId, TokenId};
use engine::queue;
use engine::secret::graph_token;

use super::{DataArgs, print};
use crate::app::{open_db, signing_key};
use crate::auth::scope::Scopes;
use crate::auth::tokens::{self, OtherTokens, RepoPlace, TokenWish};
use crate::auth::upload::SERVICES;
use crate::times::iso;

/// Jobs that one list shows at most.
const JOBS_LISTED: i64 = 1000;
/// Tokens that one list shows at most.
const TOKENS_LISTED: i64 = 10_000;
const DAY_US: i64 = 24 * 3_600_000_000;

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
    /// Members of owners
    #[command(subcommand)]
    Member(MemberCommand),
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
    /// List the API tokens: id, owner, name, scopes, end
    List(DataArgs),
    /// End an API token
    Revoke(TokenRevokeArgs),
}

#[derive(Args)]
struct TokenRevokeArgs {
    #[command(flatten)]
    data: DataArgs,
    /// The token's id
    id: TokenId,
}

#[derive(Subcommand)]
enum MemberCommand {
    /// Say how a user stands with an owner, and what it may read there
    Set(MemberSetArgs),
}

#[derive(Args)]
struct MemberSetArgs {
    #[command(flatten)]
    data: DataArgs,
    /// `service/owner/user`, as github/acme/ann
    member: String,
    /// The user may read the private repositories that it has access to
    #[arg(long)]
    activated: bool,
    /// The user is one of the owner's admins
    #[arg(long)]
    admin: bool,
    /// The user is no member of the owner
    #[arg(long)]
    outside: bool,
    /// The name of one of the owner's private repositories that the user has access to; may be given several times
    #[arg(long)]
    reads: Vec<String>,
    /// The user's name for people
    #[arg(long)]
    name: Option<String>,
    /// The user's e-mail address
    #[arg(long)]
    email: Option<String>,
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
    /// The owner as whom it acts
    #[arg(
        long,
        conflicts_with = "instance",
        required_unless_present = "instance"
    )]
    owner: Option<String>,
    /// The owner's service
    #[arg(long, default_value = "github")]
    service: String,
    /// It acts for every owner of this instance
    #[arg(long)]
    instance: bool,
    /// What to call it
    #[arg(long, default_value = "api")]
    name: String,
    /// What it allows, separated by commas: read, write, admin, upload
    #[arg(long = "scope", default_value = "read,write")]
    scopes: Scopes,
    /// After how many days it ends; never without
    #[arg(long)]
    days: Option<u16>,
}

/// Runs the command.
pub(super) async fn run(args: AdminArgs) -> anyhow::Result<()> {
    match args.command {
        AdminCommand::Repo(RepoCommand::Add(args)) => add_repo(args).await,
        AdminCommand::Token(TokenCommand::Add(args)) => add_token(args).await,
        AdminCommand::Token(TokenCommand::Graph(args)) => show_graph_token(args).await,
        AdminCommand::Token(TokenCommand::List(data)) => list_tokens(&data).await,
        AdminCommand::Token(TokenCommand::Revoke(args)) => revoke_token(args).await,
        AdminCommand::Member(MemberCommand::Set(args)) => set_member(args).await,
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
    let place = RepoPlace {
        service: service.to_owned(),
        owner,
        name: name.to_owned(),
        private: !args.public,
    };
    let others = match args.revoke_others {
        true => OtherTokens::Revoke,
        false => OtherTokens::Keep,
    };
    let db = open(&args.data).await?;
    let token = tokens::add_repo(&db, place, others).await?;
    print(token.expose())
}

async fn add_token(args: TokenAddArgs) -> anyhow::Result<()> {
    check_service(&args.service)?;
    let db = open(&args.data).await?;
    let owner_id = match &args.owner {
        Some(owner) => Some(tokens::known_owner(&db, &args.service, owner).await?),
        None => None,
    };
    let now_us = db.clock().now_us();
    let wish = TokenWish {
        owner_id,
        name: args.name,
        scopes: args.scopes,
        expires_us: args.days.map(|days| now_us + i64::from(days) * DAY_US),
    };
    let (token, _) = tokens::add_api_token(&db, wish).await?;
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

async fn list_tokens(data: &DataArgs) -> anyhow::Result<()> {
    let db = open(data).await?;
    let page = Page::first(TOKENS_LISTED);
    let mut conn = db.read().await?;
    for token in list_api_tokens(&mut conn, None, page).await?.rows {
        let owner = match token.owner_id {
            Some(id) => {
                let owner = get_owner(&mut conn, id).await?;
                format!("{}/{}", owner.service, owner.username)
            }
            None => "instance".into(),
        };
        let ends = token.expires_us.map_or("never".into(), iso);
        print(&format!(
            "{}\t{owner}\t{}\t{}\t{ends}",
            token.id, token.name, token.scope
        ))?;
    }
    Ok(())
}

async fn revoke_token(args: TokenRevokeArgs) -> anyhow::Result<()> {
    let db = open(&args.data).await?;
    let (id, now_us) = (args.id, db.clock().now_us());
    let revoked = db
        .write(move |conn| Box::pin(async move { revoke_api_token(conn, id, None, now_us).await }));
    Ok(revoked.await?)
}

/// Stores who belongs where; a repository is one of the owner's.
async fn set_member(args: MemberSetArgs) -> anyhow::Result<()> {
    let (service, owner, user) = split_repo(&args.member)?;
    let (service, user) = (service.to_owned(), user.to_owned());
    let db = open(&args.data).await?;
    let owner_id = tokens::known_owner(&db, &service, &owner).await?;
    let user_id = tokens::known_owner(&db, &service, &user).await?;
    let mut readable = Vec::new();
    for name in &args.reads {
        let repo = find_repo_of_owner(&mut db.read().await?, owner_id, name).await?;
        let repo = repo.with_context(|| {
            format!(
                "repository {name:?} of {owner} is not known: add it with `hitline admin repo add`"
            )
        })?;
        readable.push(repo.id);
    }
    let standing = Standing {
        belongs: !args.outside,
        activated: args.activated,
        admin: args.admin,
    };
    let stored = db.write(move |conn| {
        Box::pin(async move {
            set_owner_names(conn, user_id, args.name.as_deref(), args.email.as_deref()).await?;
            set_standing(conn, owner_id, user_id, standing).await?;
            for repo in readable {
                add_reader(conn, user_id, repo).await?;
            }
            Ok(())
        })
    });
    Ok(stored.await?)
}
