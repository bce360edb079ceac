//! Finds the settings file of a commit.

use crate::{Entry, Error, Provider, RepoName, Result};

/// What the file may be called.
const NAMES: [&str; 4] = [
    "codecov.yml",
    ".codecov.yml",
    "codecov.yaml",
    ".codecov.yaml",
];
/// Where else than at the top it may stand.
const FOLDERS: [&str; 2] = ["dev", ".github"];

/// The text of the settings file at a commit: the first at the top in the provider's order, else in one of two folders.
pub async fn find_codecov_yml(
    provider: &dyn Provider,
    repo: &RepoName,
    sha: &str,
) -> Result<Option<String>> {
    let top = provider.list(repo, "", sha).await?;
    let mut found = settings_file(&top);
    for folder in FOLDERS {
        if found.is_none()
            && top
                .iter()
                .any(|entry| entry.is_folder && entry.path == folder)
        {
            found = settings_file(&provider.list(repo, folder, sha).await?);
        }
    }
    let Some(path) = found else { return Ok(None) };
    match provider.file(repo, &path, sha).await {
        Err(Error::NotFound(_)) => Ok(None),
        text => text.map(Some),
    }
}

fn settings_file(entries: &[Entry]) -> Option<String> {
    let mut files = entries.iter().filter(|entry| !entry.is_folder);
    let file = files.find(|entry| {
        let name = entry.path.rsplit('/').next();
        name.is_some_and(|name| NAMES.contains(&name))
    });
    file.map(|entry| entry.path.clone())
}
