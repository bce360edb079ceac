//! What the CI service says about the build, read from its environment variables.
//!
//! Pure but for `read_event`: the variables come in as an `Env`. The first service of `SERVICES` that
//! recognises its variables answers; a service tells only what it knows, git and the options fill the rest.

use std::collections::BTreeMap;
use std::io::Read;

use serde_json::Value;

use super::git::parse_remote;

/// The largest GitHub event file that is read; GitHub's own webhook limit is 25 MB.
const MAX_EVENT_BYTES: u64 = 25 * 1024 * 1024;

/// What one CI service knows about the running build. `service` is the name sent as `ci_service`.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Ci {
    pub(super) service: &'static str,
    pub(super) commit: Option<String>,
    pub(super) branch: Option<String>,
    pub(super) slug: Option<String>,
    pub(super) pull: Option<String>,
    pub(super) build: Option<String>,
    pub(super) build_url: Option<String>,
    pub(super) job: Option<String>,
    pub(super) job_name: Option<String>,
    /// How often the build has run, from 1.
    pub(super) attempt: Option<String>,
    /// The git service, as far as the CI service implies one; the remote's host is asked first.
    pub(super) git_service: Option<&'static str>,
    /// `owner:branch` when the build is for a fork's pull request: the branch name of an upload without token.
    pub(super) fork_branch: Option<String>,
}

/// The environment variables of a build. An empty variable counts as absent.
pub(super) struct Env(BTreeMap<String, String>);

impl Env {
    /// The variables of this process; those that are not Unicode are left out.
    pub(super) fn of_process() -> Env {
        let unicode = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Env(std::env::vars_os().filter_map(unicode).collect())
    }

    /// The value of `name`, unless absent or empty.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0
            .get(name)
            .map(String::as_str)
            .filter(|value| !value.is_empty())
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name).map(str::to_owned)
    }

    fn first(&self, names: &[&str]) -> Option<String> {
        names.iter().find_map(|name| self.text(name))
    }

    fn has(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    fn joined(&self, names: &[&str]) -> Option<String> {
        let parts: Option<Vec<&str>> = names.iter().map(|name| self.get(name)).collect();
        Some(parts?.join("/"))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Env {
    fn from(pairs: [(&str, &str); N]) -> Env {
        Env(pairs
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into())
    }
}

struct Service {
    detect: fn(&Env) -> bool,
    read: fn(&Env) -> Ci,
}

/// In the order in which they are asked: services that set another's variables too stand before it.
const SERVICES: &[Service] = &[
    Service {
        detect: |env| env.has("CI") && env.has("CIRCLECI"),
        read: circleci,
    },
    Service {
        detect: |env| env.has("GITHUB_ACTIONS"),
        read: github_actions,
    },
    Service {
        detect: |env| env.has("GITLAB_CI"),
        read: gitlab,
    },
    Service {
        detect: |env| env.has("CI") && env.has("BITBUCKET_BUILD_NUMBER"),
        read: bitbucket,
    },
    Service {
        detect: |env| env.has("CI") && env.has("BITRISE_IO"),
        read: bitrise,
    },
    Service {
        detect: |env| env.has("CI") && env.has("APPVEYOR"),
        read: appveyor,
    },
    Service {
        detect: |env| env.get("CI") == Some("woodpecker"),
        read: woodpecker,
    },
    Service {
        detect: |env| env.has("HARNESS_BUILD_ID"),
        read: harness,
    },
    Service {
        detect: |env| env.has("CI") && env.has("HEROKU_TEST_RUN_BRANCH"),
        read: heroku,
    },
    Service {
        detect: |env| env.has("DRONE"),
        read: drone,
    },
    Service {
        detect: |env| env.has("BUILDKITE"),
        read: buildkite,
    },
    Service {
        detect: |env| env.has("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI"),
        read: azure_pipelines,
    },
    Service {
        detect: |env| env.has("JENKINS_URL"),
        read: jenkins,
    },
    Service {
        detect: |env| env.has("CIRRUS_CI"),
        read: cirrus,
    },
    Service {
        detect: |env| env.has("TEAMCITY_VERSION"),
        read: teamcity,
    },
    Service {
        detect: |env| env.has("CI") && env.has("TRAVIS") && !env.has("SHIPPABLE"),
        read: travis,
    },
    Service {
        detect: |env| env.has("CODEBUILD_CI"),
        read: codebuild,
    },
    Service {
        detect: is_cloud_build,
        read: cloud_build,
    },
];

/// Names the CI service that runs this process and what it says; `local` when none is recognised.
pub(super) fn detect(env: &Env) -> Ci {
    let service = SERVICES.iter().find(|service| (service.detect)(env));
    service.map_or_else(|| local(env), |service| (service.read)(env))
}

/// Adds what GitHub's event file knows of a pull request: its number, its head commit (the checked-out commit
/// is a merge that GitHub made) and whether it comes from a fork. Other events change nothing.
pub(super) fn add_github_event(ci: &mut Ci, event: &Value) {
    let Some(pull) = event.get("pull_request") else {
        return;
    };
    let text = |pointer: &str| {
        pull.pointer(pointer)
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    ci.commit = text("/head/sha").or(ci.commit.take());
    ci.pull = pull
        .get("number")
        .and_then(Value::as_u64)
        .map(|number| number.to_string())
        .or(ci.pull.take());
    if text("/head/repo/full_name") != text("/base/repo/full_name") {
        ci.fork_branch = text("/head/label");
    }
}

/// The event that started a GitHub Actions run; `None` elsewhere, or if its file is absent or not JSON.
pub(super) fn read_event(env: &Env) -> Option<Value> {
    let file = std::fs::File::open(env.get("GITHUB_EVENT_PATH")?).ok()?;
    let mut bytes = Vec::new();
    file.take(MAX_EVENT_BYTES).read_to_end(&mut bytes).ok()?;
    serde_json::from_slice(&bytes).ok()
}

// Source: https://circleci.com/docs/variables/
fn circleci(env: &Env) -> Ci {
    let remote = || parse_remote(env.get("CIRCLE_REPOSITORY_URL")?).map(|remote| remote.slug);
    Ci {
        service: "circleci",
        commit: env.text("CIRCLE_SHA1"),
        branch: env.text("CIRCLE_BRANCH"),
        slug: env
            .joined(&["CIRCLE_PROJECT_USERNAME", "CIRCLE_PROJECT_REPONAME"])
            .or_else(remote),
        pull: env.text("CIRCLE_PR_NUMBER"),
        build: env.text("CIRCLE_BUILD_NUM"),
        build_url: env.text("CIRCLE_BUILD_URL"),
        job: env.text("CIRCLE_NODE_INDEX"),
        ..Ci::default()
    }
}

// Source: https://docs.github.com/en/actions/reference/variables-reference
fn github_actions(env: &Env) -> Ci {
    let slug = env.text("GITHUB_REPOSITORY");
    let run_url = env
        .joined(&["GITHUB_SERVER_URL", "GITHUB_REPOSITORY"])
        .zip(env.get("GITHUB_RUN_ID"));
    let git_ref = env.get("GITHUB_REF").unwrap_or_default();
    let is_pull = env.has("GITHUB_HEAD_REF");
    let pull = git_ref
        .strip_prefix("refs/pull/")
        .and_then(|rest| rest.strip_suffix("/merge"));
    let pushed = git_ref.strip_prefix("refs/heads/");
    let is_own_host = env
        .get("GITHUB_SERVER_URL")
        .is_none_or(|url| url.trim_end_matches('/') == "https://github.com");
    Ci {
        service: "github-actions",
        // In a pull request GITHUB_SHA is a merge commit that nobody pushed; the event or git knows the head.
        commit: env.text("GITHUB_SHA").filter(|_| !is_pull),
        branch: env.get("GITHUB_HEAD_REF").or(pushed).map(queue_target),
        build_url: run_url.map(|(repo_url, run)| format!("{repo_url}/actions/runs/{run}")),
        slug,
        pull: pull.filter(|_| is_pull).map(str::to_owned),
        build: env.text("GITHUB_RUN_ID"),
        job: env.text("GITHUB_WORKFLOW"),
        attempt: env.text("GITHUB_RUN_ATTEMPT"),
        job_name: match (env.text("GITHUB_WORKFLOW"), env.text("GITHUB_JOB")) {
            (Some(workflow), Some(job)) => Some(format!("{workflow} - {job}")),
            (workflow, job) => workflow.or(job),
        },
        git_service: Some(if is_own_host {
            "github"
        } else {
            "github_enterprise"
        }),
        ..Ci::default()
    }
}

/// The branch that a merge queue's temporary branch `gh-readonly-queue/<branch>/pr-<n>-<sha>` is made for.
fn queue_target(branch: &str) -> String {
    let queued = branch
        .strip_prefix("gh-readonly-queue/")
        .and_then(|rest| rest.rsplit_once('/'));
    queued.map_or(branch, |(target, _)| target).to_owned()
}

// Source: https://docs.gitlab.com/ci/variables/predefined_variables/
fn gitlab(env: &Env) -> Ci {
    let remote = || {
        let url = env.get("CI_BUILD_REPO").or(env.get("CI_REPOSITORY_URL"))?;
        parse_remote(url).map(|remote| remote.slug)
    };
    let is_own_host = env
        .get("CI_SERVER_HOST")
        .is_none_or(|host| host == "gitlab.com");
    Ci {
        service: "gitlab",
        commit: env.first(&[
            "CI_MERGE_REQUEST_SOURCE_BRANCH_SHA",
            "CI_BUILD_REF",
            "CI_COMMIT_SHA",
        ]),
        branch: env.first(&["CI_BUILD_REF_NAME", "CI_COMMIT_REF_NAME"]),
        slug: env
            .text("CI_PROJECT_PATH")
            .or_else(|| env.joined(&["CI_PROJECT_NAMESPACE", "CI_PROJECT_NAME"]))
            .or_else(remote),
        pull: env.text("CI_MERGE_REQUEST_IID"),
        build: env.first(&["CI_BUILD_ID", "CI_JOB_ID"]),
        build_url: env.text("CI_JOB_URL"),
        job: env.text("CI_JOB_ID"),
        git_service: Some(if is_own_host {
            "gitlab"
        } else {
            "gitlab_enterprise"
        }),
        ..Ci::default()
    }
}

// Source: https://support.atlassian.com/bitbucket-cloud/docs/variables-and-secrets/
fn bitbucket(env: &Env) -> Ci {
    const SHORT_COMMIT_DIGITS: usize = 12;
    Ci {
        service: "bitbucket",
        commit: env
            .text("BITBUCKET_COMMIT")
            .filter(|commit| commit.len() != SHORT_COMMIT_DIGITS),
        branch: env.text("BITBUCKET_BRANCH"),
        slug: env.text("BITBUCKET_REPO_FULL_NAME"),
        pull: env.text("BITBUCKET_PR_ID"),
        build: env.text("BITBUCKET_BUILD_NUMBER"),
        job: env.text("BITBUCKET_BUILD_NUMBER"),
        attempt: env.text("BITBUCKET_STEP_RUN_NUMBER"),
        git_service: Some("bitbucket"),
        ..Ci::default()
    }
}

// Source: https://devcenter.bitrise.io/en/references/available-environment-variables.html
fn bitrise(env: &Env) -> Ci {
    Ci {
        service: "bitrise",
        commit: env.text("GIT_CLONE_COMMIT_HASH"),
        branch: env.text("BITRISE_GIT_BRANCH"),
        pull: env.text("BITRISE_PULL_REQUEST"),
        build: env.text("BITRISE_BUILD_NUMBER"),
        build_url: env.text("BITRISE_BUILD_URL"),
        ..Ci::default()
    }
}

// Source: https://www.appveyor.com/docs/environment-variables/
fn appveyor(env: &Env) -> Ci {
    let build_url = || {
        let (url, repo) = (env.get("APPVEYOR_URL")?, env.get("APPVEYOR_REPO_NAME")?);
        let (build, job) = (env.get("APPVEYOR_BUILD_ID")?, env.get("APPVEYOR_JOB_ID")?);
        Some(format!("{url}/project/{repo}/builds/{build}/job/{job}"))
    };
    Ci {
        service: "appveyor",
        commit: env.first(&["APPVEYOR_PULL_REQUEST_HEAD_COMMIT", "APPVEYOR_REPO_COMMIT"]),
        branch: env.text("APPVEYOR_REPO_BRANCH"),
        slug: env.text("APPVEYOR_REPO_NAME"),
        pull: env.text("APPVEYOR_PULL_REQUEST_NUMBER"),
        build: env.text("APPVEYOR_JOB_ID"),
        build_url: build_url(),
        job: env.joined(&[
            "APPVEYOR_ACCOUNT_NAME",
            "APPVEYOR_PROJECT_SLUG",
            "APPVEYOR_BUILD_VERSION",
        ]),
        ..Ci::default()
    }
}

// Source: https://woodpecker-ci.org/docs/usage/environment
fn woodpecker(env: &Env) -> Ci {
    Ci {
        service: "woodpecker",
        commit: env.text("CI_COMMIT_SHA"),
        branch: env.first(&["CI_COMMIT_SOURCE_BRANCH", "CI_COMMIT_BRANCH"]),
        slug: env.text("CI_REPO"),
        pull: env.text("CI_COMMIT_PULL_REQUEST"),
        build: env.first(&["CI_PIPELINE_NUMBER", "CI_BUILD_NUMBER"]),
        build_url: env.first(&["CI_PIPELINE_URL", "CI_BUILD_LINK"]),
        job: env.first(&["CI_WORKFLOW_NUMBER", "CI_JOB_NUMBER"]),
        ..Ci::default()
    }
}

// Source: https://developer.harness.io/docs/continuous-integration/troubleshoot-ci/ci-env-var/
fn harness(env: &Env) -> Ci {
    let remote = || {
        let names = [
            "CI_REPO_REMOTE",
            "CI_REMOTE_URL",
            "CI_REPO_LINK",
            "DRONE_GIT_HTTP_URL",
            "DRONE_REMOTE_URL",
        ];
        names
            .iter()
            .find_map(|name| parse_remote(env.get(name)?))
            .map(|remote| remote.slug)
    };
    Ci {
        service: "harness",
        commit: env.text("DRONE_COMMIT_SHA"),
        branch: env.text("DRONE_COMMIT_BRANCH"),
        slug: env
            .text("CI_REPO")
            .filter(|slug| slug.contains('/'))
            .or_else(remote),
        pull: env.text("DRONE_PULL_REQUEST"),
        build: env.text("CI_BUILD_NUMBER"),
        build_url: env.text("CI_BUILD_LINK"),
        ..Ci::default()
    }
}

// Source: https://devcenter.heroku.com/articles/heroku-ci#immutable-environment-variables
fn heroku(env: &Env) -> Ci {
    Ci {
        service: "heroku",
        commit: env.text("HEROKU_TEST_RUN_COMMIT_VERSION"),
        branch: env.text("HEROKU_TEST_RUN_BRANCH"),
        build: env.text("HEROKU_TEST_RUN_ID"),
        ..Ci::default()
    }
}

// Source: https://docs.drone.io/pipeline/environment/reference/
fn drone(env: &Env) -> Ci {
    Ci {
        service: "droneci",
        commit: env.text("DRONE_COMMIT_SHA"),
        branch: env.first(&["DRONE_SOURCE_BRANCH", "DRONE_BRANCH"]),
        slug: env.text("DRONE_REPO"),
        pull: env.text("DRONE_PULL_REQUEST"),
        build: env.text("DRONE_BUILD_NUMBER"),
        build_url: env.text("DRONE_BUILD_LINK"),
        ..Ci::default()
    }
}

// Source: https://buildkite.com/docs/pipelines/configure/environment-variables
fn buildkite(env: &Env) -> Ci {
    let remote = || parse_remote(env.get("BUILDKITE_REPO")?).map(|remote| remote.slug);
    Ci {
        service: "buildkite",
        commit: env
            .text("BUILDKITE_COMMIT")
            .filter(|commit| commit != "HEAD"),
        branch: env.text("BUILDKITE_BRANCH"),
        slug: remote()
            .or_else(|| env.joined(&["BUILDKITE_ORGANIZATION_SLUG", "BUILDKITE_PIPELINE_SLUG"])),
        pull: env.text("BUILDKITE_PULL_REQUEST"),
        build: env.text("BUILDKITE_BUILD_NUMBER"),
        build_url: env.text("BUILDKITE_BUILD_URL"),
        job: env.text("BUILDKITE_JOB_ID"),
        ..Ci::default()
    }
}

// Source: https://learn.microsoft.com/en-us/azure/devops/pipelines/build/variables
fn azure_pipelines(env: &Env) -> Ci {
    let build_url = || {
        let collection = env.get("SYSTEM_TEAMFOUNDATIONCOLLECTIONURI")?;
        let (project, build) = (env.get("SYSTEM_TEAMPROJECT")?, env.get("BUILD_BUILDID")?);
        Some(format!(
            "{collection}{project}/_build/results?buildId={build}"
        ))
    };
    let branch = env
        .get("SYSTEM_PULLREQUEST_SOURCEBRANCH")
        .or(env.get("BUILD_SOURCEBRANCH"));
    Ci {
        service: "azure_pipelines",
        commit: env.first(&["SYSTEM_PULLREQUEST_SOURCECOMMITID", "BUILD_SOURCEVERSION"]),
        branch: branch.map(without_heads),
        slug: env.text("BUILD_REPOSITORY_NAME"),
        pull: env.first(&[
            "SYSTEM_PULLREQUEST_PULLREQUESTNUMBER",
            "SYSTEM_PULLREQUEST_PULLREQUESTID",
        ]),
        build: env.text("BUILD_BUILDNUMBER"),
        build_url: build_url(),
        job: env.text("BUILD_BUILDID"),
        attempt: env.text("SYSTEM_JOBATTEMPT"),
        ..Ci::default()
    }
}

fn without_heads(branch: &str) -> String {
    branch
        .strip_prefix("refs/heads/")
        .unwrap_or(branch)
        .to_owned()
}

// Source: https://www.jenkins.io/doc/book/pipeline/jenkinsfile/#using-environment-variables
fn jenkins(env: &Env) -> Ci {
    Ci {
        service: "jenkins",
        branch: env.first(&["CHANGE_BRANCH", "BRANCH_NAME"]),
        pull: env.text("CHANGE_ID"),
        build: env.text("BUILD_NUMBER"),
        build_url: env.text("BUILD_URL"),
        ..Ci::default()
    }
}

// Source: https://cirrus-ci.org/guide/writing-tasks/#environment-variables
fn cirrus(env: &Env) -> Ci {
    Ci {
        service: "cirrus",
        commit: env.text("CIRRUS_CHANGE_IN_REPO"),
        branch: env.text("CIRRUS_BRANCH"),
        slug: env.text("CIRRUS_REPO_FULL_NAME"),
        pull: env.text("CIRRUS_PR"),
        build: env.text("CIRRUS_BUILD_ID"),
        job: env.text("CIRRUS_TASK_ID"),
        ..Ci::default()
    }
}

// Source: https://www.jetbrains.com/help/teamcity/predefined-build-parameters.html
fn teamcity(env: &Env) -> Ci {
    Ci {
        service: "teamcity",
        commit: env.text("BUILD_VCS_NUMBER"),
        branch: env.text("BRANCH_NAME"),
        build: env.text("BUILD_NUMBER"),
        ..Ci::default()
    }
}

// Source: https://docs.travis-ci.com/user/environment-variables/#default-environment-variables
fn travis(env: &Env) -> Ci {
    let is_tag = env.has("TRAVIS_TAG") && env.get("TRAVIS_TAG") == env.get("TRAVIS_BRANCH");
    Ci {
        service: "travis",
        commit: env.first(&["TRAVIS_PULL_REQUEST_SHA", "TRAVIS_COMMIT"]),
        branch: env
            .first(&["TRAVIS_PULL_REQUEST_BRANCH", "TRAVIS_BRANCH"])
            .filter(|_| !is_tag),
        slug: env.text("TRAVIS_REPO_SLUG"),
        pull: env.text("TRAVIS_PULL_REQUEST"),
        build: env.text("TRAVIS_JOB_NUMBER"),
        build_url: env.text("TRAVIS_BUILD_WEB_URL"),
        job: env.text("TRAVIS_JOB_ID"),
        ..Ci::default()
    }
}

// Source: https://docs.aws.amazon.com/codebuild/latest/userguide/build-env-ref-env-vars.html
fn codebuild(env: &Env) -> Ci {
    let remote = || parse_remote(env.get("CODEBUILD_SOURCE_REPO_URL")?).map(|remote| remote.slug);
    Ci {
        service: "AWS CodeBuild",
        commit: env.text("CODEBUILD_RESOLVED_SOURCE_VERSION"),
        branch: env.get("CODEBUILD_WEBHOOK_HEAD_REF").map(without_heads),
        slug: remote(),
        pull: env
            .get("CODEBUILD_SOURCE_VERSION")
            .and_then(|version| version.strip_prefix("pr/"))
            .map(str::to_owned),
        build: env.text("CODEBUILD_BUILD_ID"),
        job: env.text("CODEBUILD_BUILD_ID"),
        ..Ci::default()
    }
}

fn is_cloud_build(env: &Env) -> bool {
    ["LOCATION", "PROJECT_NUMBER", "PROJECT_ID", "BUILD_ID"]
        .iter()
        .all(|name| env.has(name))
}

// Source: https://cloud.google.com/build/docs/configuring-builds/substitute-variable-values; the build step maps
// the substitutions to variables of the same names.
fn cloud_build(env: &Env) -> Ci {
    let build_url = || {
        let (place, build, project) = (
            env.get("LOCATION")?,
            env.get("BUILD_ID")?,
            env.get("PROJECT_ID")?,
        );
        Some(format!(
            "https://console.cloud.google.com/cloud-build/builds;region={place}/{build}?project={project}"
        ))
    };
    Ci {
        service: "google_cloud_build",
        commit: env.text("COMMIT_SHA"),
        branch: env.text("BRANCH_NAME"),
        slug: env.text("REPO_FULL_NAME"),
        pull: env.text("_PR_NUMBER"),
        build: env.text("BUILD_ID"),
        build_url: build_url(),
        job: env.text("TRIGGER_NAME"),
        ..Ci::default()
    }
}

fn local(env: &Env) -> Ci {
    Ci {
        service: "local",
        commit: env.text("GIT_COMMIT"),
        branch: env.first(&["GIT_BRANCH", "BRANCH_NAME"]),
        ..Ci::default()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.to_owned())
    }

    #[test]
    fn every_service_is_named_by_its_own_variables() {
        let cases: [(Env, &str); 19] = [
            (
                Env::from([("CI", "true"), ("APPVEYOR", "True")]),
                "appveyor",
            ),
            (
                Env::from([(
                    "SYSTEM_TEAMFOUNDATIONCOLLECTIONURI",
                    "https://dev.azure.com/a/",
                )]),
                "azure_pipelines",
            ),
            (
                Env::from([("CI", "true"), ("BITBUCKET_BUILD_NUMBER", "3")]),
                "bitbucket",
            ),
            (
                Env::from([("CI", "true"), ("BITRISE_IO", "true")]),
                "bitrise",
            ),
            (
                Env::from([("CI", "true"), ("BUILDKITE", "true")]),
                "buildkite",
            ),
            (
                Env::from([("CI", "true"), ("CIRCLECI", "true")]),
                "circleci",
            ),
            (Env::from([("CI", "true"), ("CIRRUS_CI", "true")]), "cirrus"),
            (
                Env::from([
                    ("LOCATION", "eu"),
                    ("PROJECT_NUMBER", "1"),
                    ("PROJECT_ID", "p"),
                    ("BUILD_ID", "b"),
                ]),
                "google_cloud_build",
            ),
            (Env::from([("CODEBUILD_CI", "true")]), "AWS CodeBuild"),
            (Env::from([("CI", "true"), ("DRONE", "true")]), "droneci"),
            (
                Env::from([("CI", "true"), ("GITHUB_ACTIONS", "true")]),
                "github-actions",
            ),
            (Env::from([("CI", "true"), ("GITLAB_CI", "true")]), "gitlab"),
            (
                Env::from([("DRONE", "true"), ("HARNESS_BUILD_ID", "9")]),
                "harness",
            ),
            (
                Env::from([("CI", "true"), ("HEROKU_TEST_RUN_BRANCH", "main")]),
                "heroku",
            ),
            (Env::from([("JENKINS_URL", "http://ci/")]), "jenkins"),
            (Env::from([("CI", "true"), ("JENKINS_URL", "")]), "local"),
            (Env::from([("TEAMCITY_VERSION", "2026.1")]), "teamcity"),
            (Env::from([("CI", "true"), ("TRAVIS", "true")]), "travis"),
            (Env::from([("CI", "woodpecker")]), "woodpecker"),
        ];
        for (env, service) in cases {
            assert_eq!(detect(&env).service, service);
        }
    }

    #[test]
    fn github_push_tells_commit_branch_run_and_job() {
        let ci = detect(&Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", "2860f81aa39cc1cb303961df7496b50053b835c3"),
            ("GITHUB_REF", "refs/heads/feat/x"),
            ("GITHUB_HEAD_REF", ""),
            ("GITHUB_REPOSITORY", "acme/widgets"),
            ("GITHUB_SERVER_URL", "https://github.com"),
            ("GITHUB_RUN_ID", "999"),
            ("GITHUB_WORKFLOW", "CI"),
            ("GITHUB_JOB", "test"),
            ("GITHUB_RUN_ATTEMPT", "2"),
        ]));
        let expected = Ci {
            service: "github-actions",
            commit: some("2860f81aa39cc1cb303961df7496b50053b835c3"),
            branch: some("feat/x"),
            slug: some("acme/widgets"),
            pull: None,
            build: some("999"),
            build_url: some("https://github.com/acme/widgets/actions/runs/999"),
            job: some("CI"),
            job_name: some("CI - test"),
            attempt: some("2"),
            git_service: Some("github"),
            fork_branch: None,
        };
        assert_eq!(ci, expected);
    }

    #[test]
    fn github_pull_request_leaves_the_merge_commit_to_event_and_git() {
        let mut ci = detect(&Env::from([
            ("GITHUB_ACTIONS", "true"),
            ("GITHUB_SHA", "1111111111111111111111111111111111111111"),
            ("GITHUB_REF", "refs/pull/12/merge"),
            ("GITHUB_HEAD_REF", "feat"),
            ("GITHUB_SERVER_URL", "https://github.acme.example"),
        ]));
        assert_eq!(
            (ci.commit.clone(), ci.pull.clone(), ci.branch.clone()),
            (None, some("12"), some("feat"))
        );
        assert_eq!(ci.git_service, Some("github_enterprise"));

        let event = json!({"pull_request": {"number": 12, "head": {"sha": "a".repeat(40), "label": "forker:feat",
            "repo": {"full_name": "forker/widgets"}}, "base": {"repo": {"full_name": "acme/widgets"}}}});
        add_github_event(&mut ci, &event);
        assert_eq!(ci.commit, Some("a".repeat(40)));
        assert_eq!(ci.fork_branch, some("forker:feat"));
    }

    #[test]
    fn merge_queue_branch_means_its_target() {
        assert_eq!(queue_target("gh-readonly-queue/main/pr-7-abc"), "main");
        assert_eq!(
            queue_target("gh-readonly-queue/release/v1/pr-7-abc"),
            "release/v1"
        );
        assert_eq!(queue_target("feat/x"), "feat/x");
    }

    #[test]
    fn gitlab_takes_the_head_of_the_merge_request() {
        let ci = detect(&Env::from([
            ("GITLAB_CI", "true"),
            ("CI_COMMIT_SHA", "merged"),
            ("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", "head"),
            ("CI_COMMIT_REF_NAME", "feat"),
            ("CI_PROJECT_PATH", "grp/sub/proj"),
            ("CI_MERGE_REQUEST_IID", "4"),
            ("CI_JOB_ID", "77"),
            ("CI_SERVER_HOST", "git.acme.example"),
        ]));
        assert_eq!(
            (ci.commit, ci.slug, ci.pull),
            (some("head"), some("grp/sub/proj"), some("4"))
        );
        assert_eq!(
            (ci.build, ci.git_service),
            (some("77"), Some("gitlab_enterprise"))
        );
    }

    #[test]
    fn bitbucket_short_commit_is_not_a_commit() {
        let env = |commit| {
            Env::from([
                ("CI", "true"),
                ("BITBUCKET_BUILD_NUMBER", "3"),
                ("BITBUCKET_COMMIT", commit),
            ])
        };
        assert_eq!(detect(&env("0123456789ab")).commit, None);
        assert_eq!(
            detect(&env("0123456789abcdef")).commit,
            some("0123456789abcdef")
        );
    }

    #[test]
    fn services_that_only_know_a_url_give_its_slug() {
        let codebuild = Env::from([
            ("CODEBUILD_CI", "true"),
            (
                "CODEBUILD_SOURCE_REPO_URL",
                "https://github.com/acme/widgets.git",
            ),
            ("CODEBUILD_SOURCE_VERSION", "pr/5"),
        ]);
        let ci = detect(&codebuild);
        assert_eq!((ci.slug, ci.pull), (some("acme/widgets"), some("5")));

        let buildkite = Env::from([
            ("BUILDKITE", "true"),
            ("BUILDKITE_REPO", "git@github.com:acme/widgets.git"),
        ]);
        assert_eq!(detect(&buildkite).slug, some("acme/widgets"));

        let circleci = Env::from([
            ("CI", "1"),
            ("CIRCLECI", "1"),
            ("CIRCLE_REPOSITORY_URL", "git@gitlab.com:grp/sub/proj.git"),
        ]);
        assert_eq!(detect(&circleci).slug, some("grp/sub/proj"));
    }

    #[test]
    fn travis_tag_build_has_no_branch() {
        let env = Env::from([
            ("CI", "1"),
            ("TRAVIS", "1"),
            ("TRAVIS_TAG", "v1"),
            ("TRAVIS_BRANCH", "v1"),
        ]);
        assert_eq!(detect(&env).branch, None);
    }
}
