//! `hitline upload`: finds coverage reports, learns from CI and git what they are for, and sends them.
//!
//! It speaks the protocol of the servers that CI already talks to, so it works with any of them; a server that says
//! so gets the body compressed with zstd. Memory is bounded whatever the reports' size: the body is written to a
//! temporary file and streamed from it. The token is never printed. What is done goes to standard error; standard
//! output carries the result's address alone (with `--dry-run` what would be announced).

mod ci;
mod find;
mod fixes;
pub(super) mod gather;
pub(super) mod git;
mod identity;
pub(super) mod payload;
mod send;

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::builder::PossibleValuesParser;
use serde_json::Value;

use ci::Env;
use gather::GatherArgs;
use identity::Identity;
use payload::{Body, Contents};
use send::{Encoding, Server};

use crate::auth::upload::SERVICES;

/// The longest that a verdict is waited for.
const WAIT_MAX_SECONDS: u64 = 3600;

/// Finds coverage reports and uploads them; what is not given is taken from the CI service, then from git.
#[derive(clap::Args)]
pub struct UploadArgs {
    /// Address of the server [env: HITLINE_URL, CODECOV_URL]
    #[arg(short = 'u', long)]
    url: Option<String>,

    /// Upload token of the repository or its owner [env: HITLINE_TOKEN, CODECOV_TOKEN]
    #[arg(short = 't', long)]
    token: Option<String>,

    #[command(flatten)]
    gather: GatherArgs,

    /// Flag that groups this upload with others; may be repeated
    #[arg(short = 'F', long = "flag", value_name = "FLAG")]
    flags: Vec<String>,

    /// Name of this upload [default: the CI job's name]
    #[arg(short = 'n', long)]
    name: Option<String>,

    /// Commit that the reports are for, its whole hash
    #[arg(short = 'C', long, visible_alias = "commit-sha", value_name = "HASH")]
    sha: Option<String>,

    /// Parent of the commit, its whole hash
    #[arg(long, value_name = "HASH")]
    parent_sha: Option<String>,

    /// Branch of the commit
    #[arg(short = 'B', long)]
    branch: Option<String>,

    /// Repository as owner/repository
    #[arg(short = 'r', long, value_name = "OWNER/REPOSITORY")]
    slug: Option<String>,

    /// Service that hosts the repository
    #[arg(long, value_name = "SERVICE", value_parser = PossibleValuesParser::new(SERVICES))]
    git_service: Option<String>,

    /// Number of the pull request
    #[arg(
        short = 'P',
        long,
        visible_alias = "pull-request-number",
        value_name = "NUMBER"
    )]
    pr: Option<u64>,

    /// Number of the CI build
    #[arg(short = 'b', long, visible_alias = "build-code")]
    build: Option<String>,

    /// Address of the CI build
    #[arg(long)]
    build_url: Option<String>,

    /// Code of the CI job
    #[arg(long)]
    job_code: Option<String>,

    /// How often this build has run, from 1: an upload of a newer attempt takes the place of an older one of the same build,
    /// job, name and flags [default: the CI's]
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    attempt: Option<u32>,

    /// How many uploads the commit will have in all: nobody is notified before
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u32).range(1..))]
    expect: Option<u32>,

    /// Environment variable to send with the upload; may be repeated
    #[arg(short = 'e', long = "env", value_name = "NAME")]
    env: Vec<String>,

    /// Wait until the upload is counted, so many seconds at most, and tell the result; an upload that yields no
    /// coverage is then a failure
    #[arg(
        long, value_name = "SECONDS", num_args = 0..=1, require_equals = true,
        default_missing_value = "120", value_parser = clap::value_parser!(u64).range(..=WAIT_MAX_SECONDS)
    )]
    wait: Option<u64>,

    /// Do everything but send; prints what would be announced
    #[arg(short = 'd', long)]
    dry_run: bool,

    /// Exit with status 1 if the upload fails, which is the default; =false reports the failure and exits with 0
    #[arg(
        short = 'Z', long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_value_t = true, default_missing_value = "true", action = clap::ArgAction::Set
    )]
    fail_on_error: bool,
}

/// Branch and pull request of the running build, as far as the CI service tells.
pub(super) fn branch_and_pull() -> (Option<String>, Option<String>) {
    let ci = ci::detect(&Env::of_process());
    (ci.branch, ci.pull)
}

/// Runs `hitline upload`. Errors: what failed and what to do about it; none if `--fail-on-error=false`.
pub async fn run(args: UploadArgs) -> Result<()> {
    let is_strict = args.fail_on_error;
    match upload(args).await {
        Err(error) if !is_strict => {
            eprintln!("hitline: upload failed, but --fail-on-error=false: {error:#}");
            Ok(())
        }
        result => result,
    }
}

async fn upload(args: UploadArgs) -> Result<()> {
    let env = Env::of_process();
    let token = args
        .token
        .as_deref()
        .or(env.get("HITLINE_TOKEN"))
        .or(env.get("CODECOV_TOKEN"));
    let token = token
        .map(str::trim)
        .filter(|token| !token.is_empty())
        .map(str::to_owned);
    let url = args
        .url
        .as_deref()
        .or(env.get("HITLINE_URL"))
        .or(env.get("CODECOV_URL"))
        .map(str::to_owned);
    let (has_token, is_dry_run) = (token.is_some(), args.dry_run);
    let wait = args.wait.map(Duration::from_secs);
    // Before the reports are read: a wrong address should fail at once.
    let server = match url {
        Some(url) => Some(Server::new(&url, token)?),
        None if is_dry_run => None,
        None => bail!(
            "the server's address is not known: give it with --url, HITLINE_URL or CODECOV_URL"
        ),
    };

    let prepare = move || prepare(&args, &env, has_token);
    let (identity, body) = tokio::task::spawn_blocking(prepare)
        .await
        .context("prepare the upload")??;
    let announcement = identity.announcement(body.size_bytes);
    match server {
        Some(server) if !is_dry_run => send(&server, &identity, &announcement, body, wait).await,
        _ => print(&serde_json::to_string_pretty(&announcement)?),
    }
}

/// Gathers all that is sent, without asking the server.
fn prepare(args: &UploadArgs, env: &Env, has_token: bool) -> Result<(Identity, Body)> {
    let folders = args.gather.folders()?;
    let mut ci = ci::detect(env);
    if let Some(event) = ci::read_event(env) {
        ci::add_github_event(&mut ci, &event);
    }
    let mut identity = Identity::resolve(args, env, &ci, &folders.checkout, has_token)?;
    identity.yaml = find::settings(&folders.root);
    let contents = args.gather.gather(&folders)?;
    describe(&identity, &contents);
    Ok((identity, payload::write(&contents)?))
}

async fn send(
    server: &Server,
    identity: &Identity,
    announcement: &serde_json::Value,
    body: Body,
    wait: Option<Duration>,
) -> Result<()> {
    let announced = server.announce(&identity.path(), announcement).await?;
    let (body, encoding) = if announced.takes_zstd {
        let compress = move || payload::compress(&body);
        (
            tokio::task::spawn_blocking(compress)
                .await
                .context("compress the upload")??,
            Encoding::Zstd,
        )
    } else {
        (body, Encoding::Identity)
    };
    server.put(&announced.location, &body, encoding).await?;
    eprintln!(
        "hitline: {} bytes stored; the result is being made",
        body.size_bytes
    );
    if let Some(result_url) = &announced.result_url {
        print(result_url)?;
    }
    match (wait, announced.upload) {
        (None, _) => Ok(()),
        (Some(_), None) => {
            eprintln!("hitline: this server does not tell what becomes of an upload");
            Ok(())
        }
        (Some(wait), Some(upload)) => {
            let verdict = server
                .verdict(&identity.verdict_path(&upload), wait)
                .await?;
            tell(&verdict, wait)
        }
    }
}

/// Tells a verdict. Errors: an upload that yields no coverage, or whose result is still to come.
fn tell(verdict: &Value, wait: Duration) -> Result<()> {
    let list = |name: &str| verdict[name].as_array().cloned().unwrap_or_default();
    let message = |trouble: &Value| trouble["message"].as_str().unwrap_or_default().to_owned();
    for warning in list("warnings") {
        eprintln!("hitline: warning: {}", message(&warning));
    }
    for fix in list("fixes") {
        eprintln!("hitline: paths would match with this line of `fixes`: {fix}");
    }
    if let Some(error) = list("errors").first() {
        bail!("the upload yields no coverage: {}", message(error));
    }
    if verdict["done"] != true {
        bail!("the result was not there after {} s", wait.as_secs());
    }
    let totals = &verdict["totals"];
    eprintln!(
        "hitline: coverage {} % ({} of {} lines, {} uploads)",
        totals["coverage"], totals["hits"], totals["lines"], totals["sessions"]
    );
    if let Some(patch) = verdict["patch"].as_object() {
        eprintln!(
            "hitline: patch {} % ({} of {} lines)",
            patch["coverage"], patch["hits"], patch["lines"]
        );
    }
    Ok(())
}

fn describe(identity: &Identity, contents: &Contents) {
    let Identity {
        git_service,
        slug,
        commit,
        ci_service,
        ..
    } = identity;
    let branch = identity.branch.as_deref().unwrap_or("unknown");
    eprintln!("hitline: {git_service} {slug}, commit {commit}, branch {branch}, ci {ci_service}");
    for report in &contents.reports {
        eprintln!(
            "hitline: report {}",
            payload::sent_name(&contents.root, report)
        );
    }
}

fn print(line: &str) -> Result<()> {
    writeln!(std::io::stdout(), "{line}").context("write to standard output")
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: UploadArgs,
    }

    fn parse(options: &[&str]) -> UploadArgs {
        Command::parse_from([&["upload"], options].concat()).args
    }

    #[test]
    fn options_are_consistent_and_failing_is_the_default() {
        Command::command().debug_assert();
        assert!(parse(&[]).fail_on_error && parse(&["-Z"]).fail_on_error);
        assert!(!parse(&["--fail-on-error=false"]).fail_on_error);
        assert!(Command::try_parse_from(["upload", "--git-service", "sourcehut"]).is_err());
    }

    #[test]
    fn prepared_upload_of_a_plain_folder_lists_its_files() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(folder.path().join("node_modules")).unwrap();
        for (name, text) in [
            ("lcov.info", "SF:a.go\nDA:1,1\n"),
            ("a.go", "x\n}\n"),
            ("node_modules/b.go", "\n"),
        ] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let dir = folder.path().to_str().unwrap();
        let sha = "a".repeat(40);
        let args = parse(&[
            "--dir",
            dir,
            "--root",
            dir,
            "-C",
            &sha,
            "-r",
            "acme/widgets",
            "--git-service",
            "github",
        ]);

        let (identity, body) = prepare(&args, &Env::from([]), true).unwrap();

        assert_eq!((identity.commit, identity.ci_service), (sha, "local"));
        let sent: serde_json::Value = serde_json::from_reader(body.reader().unwrap()).unwrap();
        assert_eq!(
            sent["network_files"],
            serde_json::json!(["a.go", "lcov.info"])
        );
        assert_eq!(
            sent["report_fixes"]["value"],
            serde_json::json!({"a.go": {"eof": null, "lines": [2]}})
        );
        assert_eq!(sent["coverage_files"][0]["filename"], "lcov.info");
    }

    #[test]
    fn folder_without_reports_is_an_error_with_a_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().to_str().unwrap();
        let sha = "a".repeat(40);
        let args = parse(&[
            "--dir",
            dir,
            "-C",
            &sha,
            "-r",
            "acme/widgets",
            "--git-service",
            "github",
        ]);
        let error = prepare(&args, &Env::from([]), true)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.starts_with("no coverage report found below") && error.ends_with("--file"),
            "{error}"
        );
    }
}
