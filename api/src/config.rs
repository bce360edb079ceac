//! What an operator can set. Defaults start a whole appliance in one folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use engine::blob::S3Settings;
use engine::secret::Secret;
use ingest::yamls::Site;

use crate::roles::Roles;

/// Longest body of an API call, in bytes; reports travel by PUT.
pub const CALL_MAX_BYTES: usize = 25 << 20;
/// How long a signed upload URL is valid: enough for a client's retries, and for slow networks.
pub const UPLOAD_URL_US: i64 = 15 * 60 * 1_000_000;
/// How long the answer to a read may take to begin.
pub const READ_DEADLINE: Duration = Duration::from_secs(3);
/// Jobs that may wait before no new uploads are taken, unless the configuration says otherwise.
const QUEUE_MAX: i64 = 1_000_000;
/// How long what has begun may go on after the signal to stop; supervisors kill a little later.
const DRAIN: Duration = Duration::from_secs(20);
/// Wrong API tokens that one peer may send, a second.
const WRONG_TOKENS_PER_SECOND: u32 = 100;
/// How long a signed download URL is valid.
pub const DOWNLOAD_URL_US: i64 = 30 * 1_000_000;

/// Where a node keeps things and how it is reached. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Config {
    /// What this node does.
    pub roles: Roles,
    /// The folder that holds everything in embedded mode.
    pub data: PathBuf,
    /// The metadata database; SQLite in the data folder unless said otherwise.
    pub database_url: Secret,
    /// A replica of the database, for reads of reports.
    pub replica_url: Option<Secret>,
    /// The bucket of raw uploads and packs; a folder of the data folder when absent.
    pub s3: Option<S3Settings>,
    /// Where nodes share counts and answers; each has its own when absent.
    pub redis_url: Option<Secret>,
    /// Who vouches for it over TLS, in PEM, in place of the usual authorities.
    pub redis_ca_file: Option<PathBuf>,
    /// The URL that clients reach, without a trailing slash; the request's `Host` when absent.
    pub public_url: Option<String>,
    /// Upload calls that one peer may make, a second.
    pub uploads_per_second: u32,
    /// Jobs that may wait before no new uploads are taken.
    pub queue_max: i64,
    /// Jobs that run at once.
    pub jobs: usize,
    /// How git providers are reached, by the stored word for each.
    pub forges: BTreeMap<String, forge::Settings>,
    /// What holds for every repository unless its owner or its `codecov.yml` says otherwise.
    pub site: Site,
    /// The operator's token that reads any report.
    pub super_token: Option<Secret>,
    /// Whether callers that are not known may read what is public.
    pub guest_access: bool,
    /// Admins of the instance, as `service/username`.
    pub admins: Vec<String>,
    /// Web origins whose pages may send a login's cookie, beside the public URL's.
    pub cors_origins: Vec<String>,
    /// Wrong API tokens that one peer may send, a second.
    pub wrong_tokens_per_second: u32,
    /// How long the answer to a read may take to begin.
    pub read_deadline: Duration,
    /// How long what has begun may go on after the signal to stop.
    pub drain: Duration,
}

impl Config {
    /// The embedded default under `data`.
    pub fn embedded(data: &Path) -> Config {
        Config {
            roles: Roles::ALL,
            data: data.to_path_buf(),
            database_url: Secret::new(format!("sqlite://{}", data.join("hitline.db").display())),
            replica_url: None,
            s3: None,
            redis_url: None,
            redis_ca_file: None,
            public_url: None,
            uploads_per_second: 1000,
            queue_max: QUEUE_MAX,
            jobs: std::thread::available_parallelism().map_or(2, usize::from) * 2,
            forges: BTreeMap::new(),
            site: Site::default(),
            super_token: None,
            guest_access: true,
            admins: Vec::new(),
            cors_origins: Vec::new(),
            wrong_tokens_per_second: WRONG_TOKENS_PER_SECOND,
            read_deadline: READ_DEADLINE,
            drain: DRAIN,
        }
    }

    /// Whether this user administers the instance.
    pub fn is_admin(&self, service: &str, username: &str) -> bool {
        let name = format!("{service}/{username}");
        self.admins
            .iter()
            .any(|admin| admin.eq_ignore_ascii_case(&name))
    }
}
