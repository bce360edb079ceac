//! PostgreSQL for tests: one server per test process, which the kernel stops with it; one database per test.

use std::fs::File;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use sqlx::{Connection as _, PgConnection};
use tempfile::TempDir;

use super::TestDb;
use crate::clock::Clock;

/// Where Debian puts the server, newest first.
const DEBIAN_FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];
/// How long the server may take to start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// Pause between two looks at the starting server.
const START_PAUSE: Duration = Duration::from_millis(20);

struct Server {
    url: String,
    _process: Child,
    _folder: TempDir,
}

static SERVER: OnceLock<Server> = OnceLock::new();
static DATABASES: AtomicU32 = AtomicU32::new(0);

/// A fresh PostgreSQL database with all its tables. Panics with the line that installs PostgreSQL if it is missing.
pub async fn postgres(clock: Clock) -> TestDb {
    let server = tokio::task::spawn_blocking(|| SERVER.get_or_init(start))
        .await
        .expect("start PostgreSQL");
    let name = format!("test_{}", DATABASES.fetch_add(1, Ordering::SeqCst));
    let mut admin = connect(&format!("{}/postgres", server.url)).await;
    let sql = format!("create database {name}");
    sqlx::query(&sql)
        .execute(&mut admin)
        .await
        .expect("create a database");
    admin.close().await.expect("disconnect");
    super::open(format!("{}/{name}", server.url), clock).await
}

/// The server accepts TCP a moment before it accepts sessions.
async fn connect(url: &str) -> PgConnection {
    let deadline = Instant::now() + START_TIMEOUT;
    loop {
        match PgConnection::connect(url).await {
            Ok(conn) => return conn,
            Err(error) if Instant::now() > deadline => panic!("connect to {url}: {error}"),
            Err(_) => tokio::time::sleep(START_PAUSE).await,
        }
    }
}

fn start() -> Server {
    let programs = find_programs();
    let folder = tempfile::Builder::new()
        .prefix("hitline-postgres-")
        .tempdir()
        .expect("make a temporary folder");
    let data = folder.path().join("data");
    std::fs::create_dir(&data).expect("make the data folder");
    let user = server_user(folder.path());
    if let Some((uid, gid)) = user {
        chown(folder.path(), Some(uid), Some(gid)).expect("give the folder to PostgreSQL's user");
        chown(&data, Some(uid), Some(gid)).expect("give the data folder to PostgreSQL's user");
    }
    let log = folder.path().join("log");
    let made = as_user(user, &programs.join("initdb"))
        .args([
            "--auth=trust",
            "--username=hitline",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .stdout(log_file(&log))
        .stderr(log_file(&log))
        .status()
        .expect("run initdb");
    assert!(
        made.success(),
        "initdb failed: {}",
        std::fs::read_to_string(&log).unwrap_or_default()
    );
    let port = free_port();
    let process = as_user(user, &programs.join("postgres"))
        .arg("-D")
        .arg(&data)
        .args(["-p", &port.to_string(), "-h", "127.0.0.1"])
        .args([
            "-c",
            "fsync=off",
            "-c",
            "full_page_writes=off",
            "-c",
            "max_connections=200",
        ])
        .args(["-c", "unix_socket_directories="])
        .stdout(log_file(&log))
        .stderr(log_file(&log))
        .spawn()
        .expect("run postgres");
    Server {
        url: format!("postgres://hitline@127.0.0.1:{port}"),
        _process: process,
        _folder: folder,
    }
}

/// A command under PostgreSQL's user (it refuses root) that the kernel ends with this process: SIGINT is its fast shutdown.
fn as_user(user: Option<(u32, u32)>, program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    if let Some((uid, gid)) = user {
        command
            .arg(format!("--reuid={uid}"))
            .arg(format!("--regid={gid}"))
            .arg("--clear-groups");
    }
    command
        .args(["--pdeathsig", "INT", "--"])
        .arg(program)
        .stdin(Stdio::null())
        .current_dir("/");
    command
}

/// PostgreSQL's own user and group if this process is root's, else nobody in particular.
fn server_user(made_by_us: &Path) -> Option<(u32, u32)> {
    let our_uid = std::fs::metadata(made_by_us)
        .expect("look at the temporary folder")
        .uid();
    if our_uid != 0 {
        return None;
    }
    let users = std::fs::read_to_string("/etc/passwd").expect("read /etc/passwd");
    let line = users
        .lines()
        .find(|line| line.starts_with("postgres:"))
        .unwrap_or_else(|| missing());
    let mut fields = line
        .split(':')
        .skip(2)
        .map(|field| field.parse::<u32>().expect("a number in /etc/passwd"));
    Some((fields.next()?, fields.next()?))
}

fn find_programs() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let known = DEBIAN_FOLDERS.iter().map(PathBuf::from);
    known
        .chain(std::env::split_paths(&path))
        .find(|folder| folder.join("initdb").exists())
        .unwrap_or_else(|| missing())
}

fn missing() -> ! {
    panic!("PostgreSQL's server is not installed: apt-get install --yes postgresql")
}

fn log_file(path: &Path) -> File {
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .expect("open the log")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("bind a free port");
    listener.local_addr().expect("read the port").port()
}
