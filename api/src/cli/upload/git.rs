//! What the checkout says: commit, branch, remote and the list of files, asked from the `git` program.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::auth::upload::SERVICES;

/// A checkout: the folder that git answers for.
pub(in crate::cli) struct Checkout {
    pub(in crate::cli) root: PathBuf,
}

/// Where a remote URL points: its host without user and port, and `owner/repository`.
#[derive(Debug, PartialEq)]
pub(in crate::cli) struct Remote {
    pub(in crate::cli) host: String,
    pub(in crate::cli) slug: String,
}

impl Checkout {
    /// The checkout that holds `folder`. Errors: why git knows none, as git says it.
    pub(in crate::cli) fn find(folder: &Path) -> Result<Checkout, String> {
        let top = text(folder, &["rev-parse", "--show-toplevel"])?;
        Ok(Checkout {
            root: PathBuf::from(top),
        })
    }

    /// The commit that was pushed: of a merge its second parent (the merged branch's head), else HEAD itself.
    pub(in crate::cli) fn commit(&self) -> Result<String, String> {
        let parents = text(&self.root, &["rev-parse", "HEAD^@"]).unwrap_or_default();
        match parents.lines().collect::<Vec<_>>()[..] {
            [_, merged] => Ok(merged.to_owned()),
            _ => text(&self.root, &["rev-parse", "--verify", "HEAD"]),
        }
    }

    /// The branch that is checked out; `None` on a detached HEAD.
    pub(in crate::cli) fn branch(&self) -> Option<String> {
        text(&self.root, &["symbolic-ref", "--short", "-q", "HEAD"])
            .ok()
            .filter(|branch| !branch.is_empty())
    }

    /// The remote `origin`, or the first one if there is no `origin`.
    pub(in crate::cli) fn remote(&self) -> Option<Remote> {
        let names = text(&self.root, &["remote"]).ok()?;
        let name = names
            .lines()
            .find(|name| *name == "origin")
            .or(names.lines().next())?;
        parse_remote(&text(&self.root, &["ls-remote", "--get-url", name]).ok()?)
    }
}

/// What head changes since it left base, as a unified diff: what the providers show of a pull request. Errors: git's
/// words, as for a commit that it does not know.
pub(in crate::cli) fn diff(root: &Path, base: &str, head: &str) -> Result<String, String> {
    let range = format!("{base}...{head}");
    let options = ["diff", "--no-color", "--no-ext-diff", "--no-textconv", "-M"];
    let arguments = [&options[..], &["--end-of-options", &range]].concat();
    Ok(String::from_utf8_lossy(&output(root, &arguments)?).into_owned())
}

/// The whole hash of the commit of this name.
pub(in crate::cli) fn sha(root: &Path, name: &str) -> Result<String, String> {
    let commit = format!("{name}^{{commit}}");
    text(
        root,
        &["rev-parse", "--verify", "--end-of-options", &commit],
    )
}

/// The tracked files under `root`, relative to it, in git's order. Names that are not UTF-8 are made so.
pub(in crate::cli) fn list_files(root: &Path) -> Result<Vec<String>, String> {
    let listed = output(root, &["ls-files", "-z"])?;
    let names = listed
        .split(|byte| *byte == 0)
        .filter(|name| !name.is_empty());
    Ok(names
        .map(|name| String::from_utf8_lossy(name).into_owned())
        .collect())
}

/// Reads a git URL: `https://host/a/b.git`, `ssh://git@host:22/a/b`, `git@host:a/b`. `None` for a local path.
/// Source: git-fetch(1), GIT URLS.
pub(in crate::cli) fn parse_remote(url: &str) -> Option<Remote> {
    let (authority, path) = match url.trim().split_once("://") {
        Some((_, rest)) => rest.split_once('/')?,
        None => url
            .trim()
            .split_once(':')
            .filter(|(host, _)| host.len() > 1 && !host.contains('/'))?,
    };
    let authority = authority
        .rsplit_once('@')
        .map_or(authority, |(_, host)| host);
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    // `ssh://git@host:owner/repo` is common though git refuses it: what stands for the port is the owner.
    let is_port = port.chars().all(|c| c.is_ascii_digit());
    let owner = if is_port {
        String::new()
    } else {
        format!("{port}/")
    };
    let path = path.trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    // Bitbucket Server serves `https://host/scm/project/repository.git`.
    let path = path
        .strip_prefix("scm/")
        .filter(|rest| rest.contains('/'))
        .unwrap_or(path);
    let slug = format!("{owner}{path}");
    is_slug(&slug).then(|| Remote {
        host: host.to_ascii_lowercase(),
        slug,
    })
}

/// Names the git service of a host: the three public ones, or a host whose first label is a service's name.
pub(in crate::cli) fn service_of_host(host: &str) -> Option<&'static str> {
    let label = host.split('.').next()?;
    SERVICES.into_iter().find(|service| *service == label)
}

/// Whether `slug` is `owner/repository`, or `group/subgroup/repository`, in characters that a URL's path takes.
pub(in crate::cli) fn is_slug(slug: &str) -> bool {
    let is_plain = |c: char| c.is_alphanumeric() || "-_.~".contains(c);
    slug.contains('/')
        && slug
            .split('/')
            .all(|part| !part.is_empty() && part != ".." && part.chars().all(is_plain))
}

/// Writes a slug as the upload paths want it: `a/b` as `a::::b`, `a/b/c` as `a:::b::::c`.
pub(in crate::cli) fn encode_slug(slug: &str) -> String {
    match slug.rsplit_once('/') {
        Some((owner, repo)) => format!("{}::::{repo}", owner.replace('/', ":::")),
        None => slug.to_owned(),
    }
}

fn text(folder: &Path, args: &[&str]) -> Result<String, String> {
    let bytes = output(folder, args)?;
    Ok(String::from_utf8_lossy(&bytes).trim().to_owned())
}

fn output(folder: &Path, args: &[&str]) -> Result<Vec<u8>, String> {
    let run = Command::new("git")
        .arg("-C")
        .arg(folder)
        .args(args)
        .output();
    let done = run.map_err(|error| format!("git cannot be run: {error}"))?;
    if done.status.success() {
        return Ok(done.stdout);
    }
    let complaint = String::from_utf8_lossy(&done.stderr);
    let complaint = complaint.lines().next().unwrap_or("it gave no reason");
    Err(format!(
        "git {} in {} failed: {complaint}",
        args[0],
        folder.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn git(folder: &Path, args: &[&str]) -> String {
        let fixed = [
            "-c",
            "user.name=t",
            "-c",
            "user.email=t@t",
            "-c",
            "init.defaultBranch=main",
        ];
        text(folder, &[&fixed, args].concat()).unwrap()
    }

    #[test]
    fn remote_urls_of_every_shape_give_host_and_slug() {
        let cases = [
            (
                "https://github.com/acme/widgets.git",
                "github.com",
                "acme/widgets",
            ),
            (
                "https://github.com/acme/widgets/",
                "github.com",
                "acme/widgets",
            ),
            (
                "https://user:pass@bitbucket.org/team/repo.git",
                "bitbucket.org",
                "team/repo",
            ),
            (
                "git@github.com:acme/widgets.git",
                "github.com",
                "acme/widgets",
            ),
            (
                "ssh://git@github.com/acme/widgets",
                "github.com",
                "acme/widgets",
            ),
            (
                "ssh://git@github.com:acme/widgets",
                "github.com",
                "acme/widgets",
            ),
            (
                "ssh://git@git.acme.example:2222/acme/widgets.git",
                "git.acme.example",
                "acme/widgets",
            ),
            (
                "git@gitlab.com:grp/sub1/sub2/proj.git",
                "gitlab.com",
                "grp/sub1/sub2/proj",
            ),
            (
                "https://bitbucket_server.acme.example/scm/proj/repo.git",
                "bitbucket_server.acme.example",
                "proj/repo",
            ),
            (
                "git@GitHub.com:/acme/widgets.js\n",
                "github.com",
                "acme/widgets.js",
            ),
        ];
        for (url, host, slug) in cases {
            assert_eq!(
                parse_remote(url),
                Some(Remote {
                    host: host.to_owned(),
                    slug: slug.to_owned()
                }),
                "{url}"
            );
        }
    }

    #[test]
    fn what_is_no_remote_repository_gives_none() {
        for url in [
            "",
            "/srv/git/widgets.git",
            "../widgets",
            "https://github.com/acme",
            "https://github.com",
            "C:/x/y",
        ] {
            assert_eq!(parse_remote(url), None, "{url}");
        }
    }

    #[test]
    fn host_names_its_service_or_none() {
        assert_eq!(service_of_host("github.com"), Some("github"));
        assert_eq!(service_of_host("bitbucket.org"), Some("bitbucket"));
        assert_eq!(
            service_of_host("gitlab_enterprise.acme.example"),
            Some("gitlab_enterprise")
        );
        assert_eq!(service_of_host("git.acme.example"), None);
    }

    #[test]
    fn slug_is_encoded_with_three_and_four_colons() {
        assert_eq!(encode_slug("acme/widgets"), "acme::::widgets");
        assert_eq!(
            encode_slug("grp/sub1/sub2/proj"),
            "grp:::sub1:::sub2::::proj"
        );
    }

    #[test]
    fn slug_needs_an_owner_and_plain_characters() {
        assert!(is_slug("acme/widgets") && is_slug("a/b/c.d~e-f_g"));
        for slug in [
            "",
            "widgets",
            "/widgets",
            "acme/",
            "acme//widgets",
            "acme/wid gets",
            "a/b?c",
            "../b",
        ] {
            assert!(!is_slug(slug), "{slug}");
        }
    }

    #[test]
    fn merge_commit_means_its_second_parent() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        git(root, &["init", "-q"]);
        git(
            root,
            &[
                "remote",
                "add",
                "upstream",
                "https://gitlab.com/other/widgets",
            ],
        );
        git(
            root,
            &["remote", "add", "origin", "git@github.com:acme/widgets.git"],
        );
        std::fs::write(root.join("dir é.py"), "x = 1\n").unwrap();
        git(root, &["add", "."]);
        git(root, &["commit", "-qm", "one"]);
        let first = git(root, &["rev-parse", "HEAD"]);

        let checkout = Checkout::find(root).unwrap();
        assert_eq!(checkout.commit(), Ok(first));
        assert_eq!(checkout.branch().as_deref(), Some("main"));
        assert_eq!(checkout.remote().unwrap().slug, "acme/widgets");
        assert_eq!(list_files(root).unwrap(), ["dir é.py"]);

        git(root, &["checkout", "-qb", "feat"]);
        git(root, &["commit", "-qm", "two", "--allow-empty"]);
        let feat = git(root, &["rev-parse", "HEAD"]);
        git(root, &["checkout", "-q", "main"]);
        git(root, &["merge", "-q", "--no-ff", "-m", "merge", "feat"]);
        assert_eq!(checkout.commit(), Ok(feat));

        git(root, &["checkout", "-q", "--detach"]);
        assert_eq!(checkout.branch(), None);
    }

    #[test]
    fn folder_outside_of_a_checkout_says_what_git_said() {
        let folder = tempfile::tempdir().unwrap();
        let error = Checkout::find(folder.path()).err().unwrap();
        assert!(error.contains("not a git repository"), "{error}");
    }
}
