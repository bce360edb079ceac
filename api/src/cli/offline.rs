//! What the commands `report`, `compare` and `check` share: reports of the working folder become evidence by the very
//! steps that a server takes with an upload, so that the numbers are the server's.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use engine::clock::Clock;
use engine::codecov_yml::{self, Defaults, Source, effective};
use engine::diff::Diff;
use engine::mmap::Mapped;
use engine::pack::{self, MAGIC, Pack, PackName};
use ingest::envelope::Kind;
use ingest::settings::Settings;
use ingest::{Outcome, process};
use serde_json::{Map, Value};

use super::upload::gather::{Folders, GatherArgs};
use super::upload::git;
use super::upload::payload::{self, Contents};

/// Where providers look for the settings, in this order.
const YAML_PLACES: [&str; 12] = [
    "codecov.yml",
    ".codecov.yml",
    "codecov.yaml",
    ".codecov.yaml",
    "dev/codecov.yml",
    "dev/.codecov.yml",
    "dev/codecov.yaml",
    "dev/.codecov.yaml",
    ".github/codecov.yml",
    ".github/.codecov.yml",
    ".github/codecov.yaml",
    ".github/.codecov.yaml",
];

/// The reports that a command is about.
#[derive(clap::Args)]
pub(super) struct HeadArgs {
    #[command(flatten)]
    pub(super) gather: GatherArgs,

    /// A codecov.yml [default: the checkout's]
    #[arg(long, value_name = "FILE")]
    yaml: Option<PathBuf>,

    /// Flag of the reports; may be repeated
    #[arg(short = 'F', long = "flag", value_name = "FLAG")]
    pub(super) flags: Vec<String>,
}

/// What they are compared with, and what changed between.
#[derive(clap::Args)]
pub(super) struct BaseArgs {
    /// What to compare with: a file that `hitline report --save` wrote, or report files
    #[arg(long, value_name = "FILE", num_args = 1..)]
    pub(super) base: Vec<PathBuf>,

    /// What changed, as `git diff` prints it
    #[arg(long, value_name = "FILE", conflicts_with = "git")]
    diff: Option<PathBuf>,

    /// What changed, asked from git: since HEAD left BASE, or HEAD itself if it is not given
    #[arg(long, value_name = "BASE[..HEAD]")]
    git: Option<String>,
}

/// The settings that hold.
pub(super) struct Yaml {
    /// Their values in their final form, over the defaults.
    pub(super) effective: Map<String, Value>,
    settings: Settings,
}

/// The reports of the working folder as a server would have them.
pub(super) struct Head {
    pub(super) outcome: Outcome,
    pub(super) pack: Pack,
    pub(super) yaml: Yaml,
    pub(super) root: PathBuf,
}

/// Names of the two commits, and what changed between them.
#[derive(Default)]
pub(super) struct Change {
    pub(super) diff: Diff,
    /// Whether there is a diff at all.
    pub(super) is_known: bool,
    pub(super) base_sha: Option<String>,
    pub(super) head_sha: Option<String>,
}

impl HeadArgs {
    /// Reads the settings and the reports. Errors: no report, none that holds coverage, a codecov.yml that says
    /// something wrong.
    pub(super) fn read(&self) -> anyhow::Result<Head> {
        let folders = self.gather.folders()?;
        let yaml = self.read_yaml(&folders)?;
        let contents = self.gather.gather(&folders)?;
        let outcome = read_upload(&contents, &yaml.settings, &self.flags)?;
        if let Some(error) = &outcome.error {
            bail!("the reports hold no coverage: {}", error.message);
        }
        let pack = pack::encode(&outcome.files, 1)?;
        Ok(Head {
            outcome,
            pack,
            yaml,
            root: folders.root,
        })
    }

    fn read_yaml(&self, folders: &Folders) -> anyhow::Result<Yaml> {
        let found = YAML_PLACES
            .iter()
            .map(|place| folders.root.join(place))
            .find(|path| path.is_file());
        let Some(path) = self.yaml.clone().or(found) else {
            return Ok(Yaml {
                effective: effective(Defaults::ProjectAndPatch, &[]).0,
                settings: Settings::default(),
            });
        };
        let shown = path.display();
        let text = fs::read_to_string(&path).with_context(|| format!("read {shown}"))?;
        let map =
            codecov_yml::parse(&text).with_context(|| format!("{shown} is no codecov.yml"))?;
        Ok(Yaml {
            effective: effective(Defaults::ProjectAndPatch, &[(Source::Commit, &map)]).0,
            settings: Settings::parse(&text),
        })
    }
}

/// The evidence of an upload with these contents: the body is written and read as if it had been sent.
fn read_upload(
    contents: &Contents,
    settings: &Settings,
    flags: &[String],
) -> anyhow::Result<Outcome> {
    let body = Mapped::sealed(payload::write(contents)?.reader()?)?;
    let now_us = Clock::system().now_us();
    Ok(process(&body, Kind::V1, settings, flags, now_us))
}

impl BaseArgs {
    /// The base report; `None` if none is given. Reports of base are read like those of head, but what holds no code
    /// in head's files is not taken from base's.
    pub(super) fn read(&self, head: &Head, flags: &[String]) -> anyhow::Result<Option<Pack>> {
        match &self.base[..] {
            [] => Ok(None),
            [file] if is_saved(file)? => open_saved(file).map(Some),
            files => {
                let contents = Contents {
                    network: git::list_files(&head.root).unwrap_or_default(),
                    fixed: Vec::new(),
                    reports: files.to_vec(),
                    root: head.root.clone(),
                };
                let outcome = read_upload(&contents, &head.yaml.settings, flags)?;
                if let Some(error) = &outcome.error {
                    bail!("the base reports hold no coverage: {}", error.message);
                }
                Ok(Some(pack::encode(&outcome.files, 1)?))
            }
        }
    }

    /// What changed between the two.
    pub(super) fn change(&self, root: &Path) -> anyhow::Result<Change> {
        if let Some(file) = &self.diff {
            let shown = file.display();
            let text = fs::read(file).with_context(|| format!("read {shown}"))?;
            let text = String::from_utf8_lossy(&text);
            return Ok(Change {
                diff: Diff::parse(&text).with_context(|| format!("{shown} is no diff"))?,
                is_known: true,
                ..Change::default()
            });
        }
        let Some(range) = &self.git else {
            return Ok(Change::default());
        };
        let (base, head) = range.split_once("..").unwrap_or((range, "HEAD"));
        let head = head.trim_start_matches('.');
        let asked = |result: Result<String, String>| result.map_err(anyhow::Error::msg);
        let (base, head) = (asked(git::sha(root, base))?, asked(git::sha(root, head))?);
        Ok(Change {
            diff: Diff::parse(&asked(git::diff(root, &base, &head))?)?,
            is_known: true,
            base_sha: Some(base),
            head_sha: Some(head),
        })
    }
}

fn is_saved(file: &Path) -> anyhow::Result<bool> {
    use std::io::Read as _;
    let mut first = [0; MAGIC.len()];
    let mut opened = fs::File::open(file).with_context(|| format!("open {}", file.display()))?;
    Ok(opened.read_exact(&mut first).is_ok() && first == MAGIC)
}

fn open_saved(file: &Path) -> anyhow::Result<Pack> {
    let bytes = fs::read(file).with_context(|| format!("read {}", file.display()))?;
    let opened = Pack::open(PackName::of(&bytes), bytes.into());
    opened.with_context(|| {
        format!(
            "{}: write it anew with hitline report --save",
            file.display()
        )
    })
}
