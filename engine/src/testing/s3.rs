//! An S3 server for tests: one per test process, which ends with it; one bucket per test.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use super::server::{START_PAUSE, START_TIMEOUT, await_port, free_port, installed, run_guarded};
use crate::blob::S3Settings;
use crate::secret::Secret;

/// In the form that Garage wants.
const ACCESS_KEY: &str = "GK0123456789abcdef01234567";
const SECRET_KEY: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// Domain of hosts that are named after their bucket.
const DOMAIN: &str = "s3.test";

struct Server {
    port: u16,
    _process: Child,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static BUCKETS: AtomicU32 = AtomicU32::new(0);

/// A bucket that is not there yet, on a real S3 server: `s3s-fs`, or with `HITLINE_TEST_S3=garage` Garage.
pub async fn bucket() -> S3Settings {
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(start))
        .await
        .expect("start an S3 server");
    S3Settings {
        endpoint: format!("http://127.0.0.1:{}", server.port),
        public_endpoint: None,
        region: "us-east-1".into(),
        bucket: format!("test-{}", BUCKETS.fetch_add(1, Ordering::SeqCst)),
        creates_bucket: true,
        virtual_host: None,
        access_key: ACCESS_KEY.into(),
        secret_key: Secret::new(SECRET_KEY),
        session_token: None,
        ca_file: None,
    }
}

/// The endpoint at which the server finds the bucket in the host's name. No resolver knows the name: who asks must
/// take the server for its HTTP proxy.
pub fn virtual_host_endpoint() -> String {
    format!("http://{DOMAIN}")
}

fn start() -> Server {
    let folder = tempfile::Builder::new()
        .prefix("hitline-s3-")
        .tempdir()
        .expect("make a temporary folder")
        .keep();
    let data = folder.join("data");
    fs::create_dir(&data).expect("make the data folder");
    match std::env::var("HITLINE_TEST_S3").as_deref() {
        Ok("garage") => start_garage(&folder, &data),
        Ok("" | "s3s-fs") | Err(_) => start_s3s(&folder, &data),
        Ok(other) => panic!("HITLINE_TEST_S3 is {other:?}; it can be s3s-fs or garage"),
    }
}

fn start_s3s(folder: &Path, data: &Path) -> Server {
    let port = free_port();
    let mut words = vec![installed("tools/bin/s3s-fs").into()];
    words.extend(["--access-key", ACCESS_KEY, "--secret-key", SECRET_KEY].map(Into::into));
    words.extend(["--domain", DOMAIN, "--host", "127.0.0.1", "--port"].map(Into::into));
    words.extend([port.to_string().into(), data.into()]);
    let process = run_guarded(folder, &words);
    await_port(port, "s3s-fs", folder);
    Server {
        port,
        _process: process,
    }
}

/// Garage as one node that holds everything, and a key that may make buckets.
fn start_garage(folder: &Path, data: &Path) -> Server {
    let program = installed("tools/bin/garage");
    let (port, rpc_port) = (free_port(), free_port());
    let settings = folder.join("garage.toml");
    let (meta, data) = (folder.join("meta").display().to_string(), data.display());
    let text = format!(
        "metadata_dir = \"{meta}\"\ndata_dir = \"{data}\"\ndb_engine = \"sqlite\"\nreplication_factor = 1
rpc_bind_addr = \"127.0.0.1:{rpc_port}\"\nrpc_public_addr = \"127.0.0.1:{rpc_port}\"\nrpc_secret = \"{SECRET_KEY}\"
[s3_api]\ns3_region = \"us-east-1\"\napi_bind_addr = \"127.0.0.1:{port}\"\nroot_domain = \".{DOMAIN}\"\n"
    );
    fs::write(&settings, text).expect("write the settings of Garage");
    let words = [program.clone().into(), "-c".into(), settings.clone().into()];
    let process = run_guarded(folder, &[&words[..], &["server".into()]].concat());
    await_port(rpc_port, "garage", folder);
    let garage = Garage { program, settings };
    garage.await_answer();
    let node = garage.run("node id -q");
    let node = node.split('@').next().unwrap_or_default();
    garage.run(&format!("layout assign -z test -c 1G {node}"));
    garage.run("layout apply --version 1");
    garage.run(&format!(
        "key import --yes -n test {ACCESS_KEY} {SECRET_KEY}"
    ));
    garage.run(&format!("key allow --create-bucket {ACCESS_KEY}"));
    await_port(port, "garage", folder);
    Server {
        port,
        _process: process,
    }
}

/// Garage's commands.
struct Garage {
    program: PathBuf,
    settings: PathBuf,
}

impl Garage {
    /// Runs one; gives what it prints. Panics with what it says if it fails.
    fn run(&self, words: &str) -> String {
        self.try_run(words)
            .unwrap_or_else(|said| panic!("garage {words}: {said}"))
    }

    fn try_run(&self, words: &str) -> Result<String, String> {
        let mut command = Command::new(&self.program);
        command.arg("-c").arg(&self.settings);
        let ended = command.args(words.split(' ')).output().expect("run garage");
        let told = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match ended.status.success() {
            true => Ok(told(&ended.stdout)),
            false => Err(told(&ended.stderr)),
        }
    }

    fn await_answer(&self) {
        let begun = std::time::Instant::now();
        while let Err(said) = self.try_run("status") {
            assert!(begun.elapsed() < START_TIMEOUT, "garage: {said}");
            std::thread::sleep(START_PAUSE);
        }
    }
}
