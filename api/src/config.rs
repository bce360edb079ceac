//! What an operator can set. Defaults start a whole appliance in one folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use engine::secret::Secret;
use ingest::yamls::Site;

/// Longest body of an upload, in bytes.
pub const UPLOAD_MAX_BYTES: u64 = 2 << 30;
/// Longest body of an API call, in bytes; reports travel by PUT.
pub const CALL_MAX_BYTES: usize = 25 << 20;
/// How long a signed upload URL is valid: enough for a client's retries, and for slow networks.
pub const UPLOAD_URL_US: i64 = 15 * 60 * 1_000_000;
/// How long a signed download URL is valid.
pub const DOWNLOAD_URL_US: i64 = 30 * 1_000_000;

/// Where a node keeps things and how it is reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder that holds everything in embedded mode.
    pub data: PathBuf,
    /// The metadata database; SQLite in the data folder unless said otherwise.
    pub database_url: Secret,
    /// The URL that clients reach, without a trailing slash; the request's `Host` when absent.
    pub public_url: Option<String>,
    /// Upload calls that one peer may make, a second.
    pub uploads_per_second: u32,
    /// Jobs that run at once.
    pub jobs: usize,
    /// How git providers are reached, by the stored word for each.
    pub forges: BTreeMap<String, forge::Settings>,
    /// What holds for every repository unless its owner or its `codecov.yml` says otherwise.
    pub site: Site,
}

impl Config {
    /// The embedded default under `data`.
    pub fn embedded(data: &Path) -> Config {
        Config {
            data: data.to_path_buf(),
            database_url: Secret::new(format!("sqlite://{}", data.join("hitline.db").display())),
            public_url: None,
            uploads_per_second: 1000,
            jobs: std::thread::available_parallelism().map_or(2, usize::from) * 2,
            forges: BTreeMap::new(),
            site: Site::default(),
        }
    }
}
