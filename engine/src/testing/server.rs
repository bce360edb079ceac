//! Servers that a test process starts, and that end with it in any way it ends.

use std::ffi::OsString;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How long a server may take to start.
pub(super) const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at a starting server.
pub(super) const START_PAUSE: Duration = Duration::from_millis(20);
/// Runs the server until its own input ends, which it does when the test process is gone, then removes the folder unless
/// it was told to keep it.
const GUARD: &str = r#""$@" & server=$!; read -r word; kill -INT "$server"; wait "$server"
[ "$word" = keep ] || rm -rf "$0""#;

/// Runs a server whose files, and whose log, are in a folder.
pub(super) fn run_guarded(folder: &Path, words: &[OsString]) -> Child {
    let log = folder.join("log");
    Command::new("sh")
        .args(["-c", GUARD])
        .arg(folder)
        .args(words)
        .stdin(Stdio::piped())
        .stdout(log_file(&log))
        .stderr(log_file(&log))
        .current_dir("/")
        .process_group(0)
        .spawn()
        .expect("run a shell")
}

/// Waits until a server of a folder listens. Panics with its log if it does not.
pub(super) fn await_port(port: u16, program: &str, folder: &Path) {
    let begun = Instant::now();
    while TcpStream::connect(("127.0.0.1", port)).is_err() {
        assert!(
            begun.elapsed() < START_TIMEOUT,
            "{program} does not start: {}",
            std::fs::read_to_string(folder.join("log")).unwrap_or_default()
        );
        std::thread::sleep(START_PAUSE);
    }
}

pub(super) fn log_file(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("open the log")
}

pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a free port");
    listener.local_addr().expect("read the port").port()
}

/// A program that `script/bootstrap` installs. Panics with the line that does if it is missing.
pub fn installed(program: impl AsRef<Path>) -> PathBuf {
    let cache = std::env::var_os("HITLINE_CACHE")
        .map(PathBuf::from)
        .or_else(|| std::env::home_dir().map(|home| home.join(".cache/hitline")))
        .expect("there is a home directory or HITLINE_CACHE is set");
    let path = cache.join(program);
    assert!(
        path.exists(),
        "{} is missing: run script/bootstrap",
        path.display()
    );
    path
}
