//! What an upload carries, gathered from the working folder: reports, the repository's file list, the lines that hold
//! no code. The offline commands gather the same, so that their numbers are those of an upload.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use super::find::{self, Search};
use super::git::{self, Checkout};
use super::payload::Contents;

/// Where reports are looked for, and what is told about the repository.
#[derive(clap::Args)]
pub(in crate::cli) struct GatherArgs {
    /// Report to read, beside those found; may be repeated
    #[arg(short = 'f', long = "file", value_name = "FILE")]
    pub(in crate::cli) files: Vec<PathBuf>,

    /// Read only the reports given with --file
    #[arg(long)]
    pub(in crate::cli) disable_search: bool,

    /// Folder to search for reports [default: the current folder]
    #[arg(short = 's', long, value_name = "FOLDER")]
    dir: Option<PathBuf>,

    /// Name or path of a folder not to search; may be repeated
    #[arg(long, value_name = "FOLDER")]
    exclude: Vec<PathBuf>,

    /// Folder that the repository's paths are relative to [default: the checkout's top]
    #[arg(long, visible_alias = "network-root-folder", value_name = "FOLDER")]
    root: Option<PathBuf>,

    /// Tell only the names of repository files that start with this
    #[arg(long, value_name = "PREFIX")]
    network_filter: Option<String>,

    /// Put this before the names of repository files that are told
    #[arg(long, value_name = "PREFIX")]
    network_prefix: Option<String>,

    /// Do not tell which lines hold no code
    #[arg(long)]
    disable_file_fixes: bool,
}

/// The folders that the arguments mean.
pub(in crate::cli) struct Folders {
    dir: PathBuf,
    /// The folder that paths are relative to.
    pub(in crate::cli) root: PathBuf,
    /// The checkout, or why there is none.
    pub(in crate::cli) checkout: Result<Checkout, String>,
}

impl GatherArgs {
    /// Finds the folders. Errors: one that does not exist.
    pub(in crate::cli) fn folders(&self) -> Result<Folders> {
        let current = std::env::current_dir().context("find the current folder")?;
        let dir = folder(self.dir.as_deref().unwrap_or(&current))?;
        let given_root = self.root.as_deref().map(folder).transpose()?;
        let checkout = Checkout::find(given_root.as_deref().unwrap_or(&dir))
            .or_else(|_| Checkout::find(&current));
        let of_checkout = checkout
            .as_ref()
            .ok()
            .map(|checkout| folder(&checkout.root))
            .transpose()?;
        Ok(Folders {
            dir,
            root: given_root.or(of_checkout).unwrap_or(current),
            checkout,
        })
    }

    /// Gathers what is in the folders. Errors: no report.
    pub(in crate::cli) fn gather(&self, folders: &Folders) -> Result<Contents> {
        let search = match self.disable_search {
            true => Search::Off,
            false => Search::On,
        };
        let reports = find::reports(&folders.dir, &self.files, search, &self.exclude)?;
        if reports.is_empty() {
            bail!(
                "no coverage report found below {}: run the tests with coverage first, or name the report with --file",
                folders.dir.display()
            );
        }
        let root = folders.root.clone();
        let tracked = match git::list_files(&root) {
            Ok(names) => names,
            Err(_) => find::files(&root)?,
        };
        let (filter, prefix) = (&self.network_filter, &self.network_prefix);
        Ok(Contents {
            network: network(&tracked, filter.as_deref(), prefix.as_deref()),
            fixed: match self.disable_file_fixes {
                true => Vec::new(),
                false => tracked,
            },
            reports,
            root,
        })
    }
}

fn folder(path: &Path) -> Result<PathBuf> {
    path.canonicalize()
        .with_context(|| format!("open folder {}", path.display()))
}

/// The names to send: those that start with `filter`, with `prefix` put before them.
fn network(names: &[String], filter: Option<&str>, prefix: Option<&str>) -> Vec<String> {
    let kept = names
        .iter()
        .filter(|name| filter.is_none_or(|filter| name.starts_with(filter)));
    kept.map(|name| format!("{}{name}", prefix.unwrap_or_default()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn network_is_filtered_then_prefixed() {
        let names = ["src/a.py", "doc/b.md"].map(str::to_owned);
        assert_eq!(network(&names, None, None), names);
        assert_eq!(
            network(&names, Some("src/"), Some("lib/")),
            ["lib/src/a.py"]
        );
    }
}
