//! What an upload is for: repository, commit, branch, pull request, build. An option says it, else the CI service,
//! else the checkout; what nobody knows and an upload needs is an error that names the option to give.

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value, json};

use super::UploadArgs;
use super::ci::{Ci, Env};
use super::git::{Checkout, encode_slug, is_slug, service_of_host};

/// The longest upload name that servers take, in characters; a name made from CI variables is cut to it.
const MAX_NAME_CHARS: usize = 100;

/// The answers, as they are sent.
pub(super) struct Identity {
    pub(super) git_service: String,
    /// `owner/repository`.
    pub(super) slug: String,
    pub(super) commit: String,
    pub(super) branch: Option<String>,
    pub(super) pull: Option<u64>,
    pub(super) parent: Option<String>,
    pub(super) ci_service: &'static str,
    pub(super) build: Option<String>,
    pub(super) build_url: Option<String>,
    pub(super) job: Option<String>,
    pub(super) attempt: Option<u32>,
    /// How many uploads the commit will have.
    pub(super) expected_uploads: Option<u32>,
    pub(super) name: Option<String>,
    pub(super) flags: Vec<String>,
    /// The variables that `--env` names; null if unset.
    pub(super) env: Map<String, Value>,
    /// The text of the commit's `codecov.yml`.
    pub(super) yaml: Option<String>,
}

impl Identity {
    /// Puts the answers together. `checkout` is the reason if there is none. An upload without token for a fork's
    /// pull request is for `owner:branch`, by which servers know it.
    pub(super) fn resolve(
        args: &UploadArgs,
        env: &Env,
        ci: &Ci,
        checkout: &Result<Checkout, String>,
        has_token: bool,
    ) -> Result<Identity> {
        let remote = checkout.as_ref().ok().and_then(Checkout::remote);
        let slug = args
            .slug
            .clone()
            .or(ci.slug.clone())
            .or(remote.as_ref().map(|remote| remote.slug.clone()));
        let slug =
            slug.context("the repository is not known: give it with --slug owner/repository")?;
        if !is_slug(&slug) {
            bail!("slug {slug:?} is not owner/repository: give it with --slug");
        }
        let of_remote = remote
            .as_ref()
            .and_then(|remote| service_of_host(&remote.host));
        let git_service = args.git_service.as_deref().or(of_remote).or(ci.git_service);
        let git_service = git_service.with_context(|| match &remote {
            Some(remote) => format!(
                "host {} names no git service: give it with --git-service",
                remote.host
            ),
            None => "the git service is not known: give it with --git-service".to_owned(),
        })?;
        let fork_branch = if has_token {
            None
        } else {
            env.get("TOKENLESS").or(ci.fork_branch.as_deref())
        };
        let of_checkout = || checkout.as_ref().ok().and_then(Checkout::branch);
        let job_name = ci.job_name.as_ref().or(ci.build.as_ref());
        let variable = |name: &String| (name.clone(), json!(env.get(name)));
        Ok(Identity {
            git_service: git_service.to_owned(),
            slug,
            commit: commit(args, ci, checkout)?,
            branch: args
                .branch
                .clone()
                .or(fork_branch.map(str::to_owned))
                .or(ci.branch.clone())
                .or_else(of_checkout),
            pull: args
                .pr
                .or(ci.pull.as_deref().and_then(|pull| pull.parse().ok())),
            parent: args.parent_sha.as_deref().map(hash).transpose()?,
            ci_service: ci.service,
            build: args.build.clone().or(ci.build.clone()),
            build_url: args.build_url.clone().or(ci.build_url.clone()),
            job: args.job_code.clone().or(ci.job.clone()),
            attempt: args
                .attempt
                .or(ci.attempt.as_ref().and_then(|attempt| attempt.parse().ok())),
            expected_uploads: args.expect,
            name: args
                .name
                .clone()
                .or(job_name.map(|name| name.chars().take(MAX_NAME_CHARS).collect())),
            flags: args.flags.clone(),
            env: args.env.iter().map(variable).collect(),
            yaml: None,
        })
    }

    /// The path that the upload is announced at, below the server's address.
    pub(super) fn path(&self) -> String {
        format!(
            "/upload/{}/{}/upload-coverage",
            self.git_service,
            encode_slug(&self.slug)
        )
    }

    /// The path that tells what became of the upload of this id.
    pub(super) fn verdict_path(&self, upload: &str) -> String {
        let slug = encode_slug(&self.slug);
        format!(
            "/upload/{}/{slug}/commits/{}/uploads/{upload}",
            self.git_service, self.commit
        )
    }

    /// The body that announces the upload. Lists and objects are never null: some servers refuse that. The build's
    /// number has no field of its own and travels in `cli_args`.
    pub(super) fn announcement(&self, payload_bytes: u64) -> Value {
        let version = env!("CARGO_PKG_VERSION");
        let mut announcement = json!({
            "branch": self.branch,
            "ci_service": self.ci_service,
            "ci_url": self.build_url,
            "cli_args": {
                "build_code": self.build,
                "build_url": self.build_url,
                "command": "upload",
                "version": format!("hitline-{version}"),
            },
            "code": "default",
            "commitid": self.commit,
            "env": self.env,
            "file_not_found": false,
            "flags": self.flags,
            "job_code": self.job,
            "name": self.name,
            "parent_commit_id": self.parent,
            "pullid": self.pull,
            "report_payload_bytes": payload_bytes,
            "version": format!("hitline-{version}"),
        });
        // Fields that other servers do not know are left out where they say nothing.
        let own = [
            ("yaml", self.yaml.as_ref().map(|yaml| json!(yaml))),
            ("attempt", self.attempt.map(|attempt| json!(attempt))),
            (
                "expected_uploads",
                self.expected_uploads.map(|expected| json!(expected)),
            ),
        ];
        for (name, value) in own {
            if let Some(value) = value {
                announcement[name] = value;
            }
        }
        announcement
    }
}

fn commit(args: &UploadArgs, ci: &Ci, checkout: &Result<Checkout, String>) -> Result<String> {
    if let Some(commit) = args.sha.as_ref().or(ci.commit.as_ref()) {
        return hash(commit);
    }
    let asked = checkout
        .as_ref()
        .map_err(Clone::clone)
        .and_then(Checkout::commit);
    match asked {
        Ok(commit) => hash(&commit),
        Err(reason) => bail!("the commit is not known ({reason}): give it with --sha"),
    }
}

/// Checks that `text` is a whole commit hash, SHA-1 or SHA-256, and writes it in lower case.
fn hash(text: &str) -> Result<String> {
    if !matches!(text.len(), 40 | 64) || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        bail!(
            "commit {text:?} is not a whole hash of 40 or 64 hexadecimal digits: give that with --sha or --parent-sha"
        );
    }
    Ok(text.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::super::ci;
    use super::*;

    const COMMIT: &str = "2860f81aa39cc1cb303961df7496b50053b835c3";

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        args: UploadArgs,
    }

    fn resolve(options: &[&str], env: &Env, has_token: bool) -> Result<Identity> {
        let args = Command::parse_from([&["upload"], options].concat()).args;
        Identity::resolve(
            &args,
            env,
            &ci::detect(env),
            &Err("not a checkout".to_owned()),
            has_token,
        )
    }

    fn message(options: &[&str], env: &Env) -> String {
        resolve(options, env, true).err().unwrap().to_string()
    }

    fn github() -> Env {
        Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_REF", "refs/heads/feat"),
            ("GITHUB_REPOSITORY", "acme/widgets"),
            ("GITHUB_RUN_ID", "999"),
            ("HOME", "/home/ci"),
        ])
    }

    #[test]
    fn ci_variables_are_enough() {
        let identity = resolve(&[], &github(), true).unwrap();
        assert_eq!(
            identity.path(),
            "/upload/github/acme::::widgets/upload-coverage"
        );
        let body = identity.announcement(1025);
        assert_eq!(body["commitid"], COMMIT);
        assert_eq!(body["branch"], "feat");
        assert_eq!(body["ci_service"], "github-actions");
        assert_eq!(body["name"], "999");
        assert_eq!(body["cli_args"]["build_code"], "999");
        assert_eq!(
            (&body["flags"], &body["env"], &body["pullid"]),
            (&json!([]), &json!({}), &Value::Null)
        );
        assert_eq!(body["report_payload_bytes"], 1025);
        assert_eq!(
            (body.get("attempt"), body.get("expected_uploads")),
            (None, None)
        );
    }

    #[test]
    fn attempt_of_the_build_is_told() {
        let env = Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", COMMIT),
            ("GITHUB_REPOSITORY", "acme/widgets"),
            ("GITHUB_RUN_ATTEMPT", "3"),
        ]);
        let attempt = |options: &[&str]| {
            let announced = resolve(options, &env, true).unwrap().announcement(0);
            (
                announced["attempt"].clone(),
                announced["expected_uploads"].clone(),
            )
        };
        assert_eq!(attempt(&[]), (json!(3), Value::Null));
        assert_eq!(
            attempt(&["--attempt", "4", "--expect", "12"]),
            (json!(4), json!(12))
        );
    }

    #[test]
    fn options_win_over_ci_variables() {
        let parent = "b".repeat(40);
        let options = [
            "-C",
            &"A".repeat(40),
            "-B",
            "main",
            "-r",
            "grp/sub/proj",
            "--git-service",
            "gitlab",
            "-P",
            "5",
            "--parent-sha",
            &parent,
            "-b",
            "77",
            "--build-url",
            "http://ci/77",
            "--job-code",
            "j1",
            "-n",
            "nm",
            "-F",
            "unit",
            "-F",
            "py3",
            "-e",
            "HOME",
            "-e",
            "NOT_SET",
        ];
        let identity = resolve(&options, &github(), true).unwrap();
        assert_eq!(
            identity.path(),
            "/upload/gitlab/grp:::sub::::proj/upload-coverage"
        );
        let body = identity.announcement(0);
        assert_eq!(body["commitid"], "a".repeat(40));
        assert_eq!(
            (&body["branch"], &body["pullid"]),
            (&json!("main"), &json!(5))
        );
        assert_eq!(body["parent_commit_id"], parent);
        assert_eq!(
            (&body["job_code"], &body["name"]),
            (&json!("j1"), &json!("nm"))
        );
        assert_eq!(
            (&body["ci_url"], &body["cli_args"]["build_code"]),
            (&json!("http://ci/77"), &json!("77"))
        );
        assert_eq!(body["flags"], json!(["unit", "py3"]));
        assert_eq!(body["env"], json!({"HOME": "/home/ci", "NOT_SET": null}));
    }

    #[test]
    fn fork_without_token_uploads_to_its_own_branch_name() {
        let env = Env::from([("TOKENLESS", "forker:patch-1"), ("BRANCH_NAME", "patch-1")]);
        let options = [
            "-C",
            COMMIT,
            "-r",
            "acme/widgets",
            "--git-service",
            "github",
        ];
        let branch = |has_token| resolve(&options, &env, has_token).unwrap().branch;
        assert_eq!(branch(false).as_deref(), Some("forker:patch-1"));
        assert_eq!(branch(true).as_deref(), Some("patch-1"));
    }

    #[test]
    fn what_is_not_known_is_named_with_its_option() {
        let none = Env::from([]);
        assert_eq!(
            message(&[], &none),
            "the repository is not known: give it with --slug owner/repository"
        );
        assert!(
            message(&["-r", "widgets"], &none)
                .starts_with("slug \"widgets\" is not owner/repository")
        );
        assert!(message(&["-r", "a/b"], &none).ends_with("give it with --git-service"));
        let known = ["-r", "a/b", "--git-service", "github"];
        let expected = "the commit is not known (not a checkout): give it with --sha";
        assert_eq!(message(&known, &none), expected);
        let short = message(&[&known[..], &["-C", "2860f81"]].concat(), &none);
        assert!(
            short.starts_with("commit \"2860f81\" is not a whole hash"),
            "{short}"
        );
    }

    #[test]
    fn name_made_from_ci_variables_is_cut_to_what_servers_take() {
        let long = "é".repeat(150);
        let env = Env::from([
            ("GITHUB_ACTIONS", "1"),
            ("GITHUB_JOB", &long),
            ("GITHUB_REPOSITORY", "a/b"),
        ]);
        let name = resolve(&["-C", COMMIT], &env, true).unwrap().name.unwrap();
        assert_eq!(name.chars().count(), MAX_NAME_CHARS);
    }
}
