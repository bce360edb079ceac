//! PostgreSQL for tests: one server per test process, which ends with it in any way it ends; one database per test.

use std::ffi::OsString;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sqlx::{Connection as _, PgConnection};

use super::TestDb;
use super::server::{START_PAUSE, START_TIMEOUT, free_port, log_file, run_guarded};
use crate::clock::Clock;

/// Where Debian puts the server, newest first.
const DEBIAN_FOLDERS: [&str; 4] = [
    "/usr/lib/postgresql/18/bin",
    "/usr/lib/postgresql/17/bin",
    "/usr/lib/postgresql/16/bin",
    "/usr/lib/postgresql/15/bin",
];

struct Server {
    url: String,
    _process: Child,
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
        .expect("make a temporary folder")
        .keep();
    let data = folder.join("data");
    std::fs::create_dir(&data).expect("make the data folder");
    let user = server_user(&folder);
    if let Some((uid, gid)) = user {
        chown(&folder, Some(uid), Some(gid)).expect("give the folder to PostgreSQL's user");
        chown(&data, Some(uid), Some(gid)).expect("give the data folder to PostgreSQL's user");
    }
    let log = folder.join("log");
    let initdb = as_user(user, &programs.join("initdb"));
    let made = Command::new(&initdb[0])
        .args(&initdb[1..])
        .args([
            "--auth=trust",
            "--username=hitline",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
            "-D",
        ])
        .arg(&data)
        .stdin(Stdio::null())
        .stdout(log_file(&log))
        .stderr(log_file(&log))
        .current_dir("/")
        .status()
        .expect("run initdb");
    assert!(
        made.success(),
        "initdb failed: {}",
        std::fs::read_to_string(&log).unwrap_or_default()
    );
    let port = free_port();
    let mut words = as_user(user, &programs.join("postgres"));
    words.extend([
        "-D".into(),
        data.into(),
        "-p".into(),
        port.to_string().into(),
    ]);
    let options = [
        "-h",
        "127.0.0.1",
        "-c",
        "fsync=off",
        "-c",
        "full_page_writes=off",
        "-c",
        "max_connections=200",
        "-c",
        "unix_socket_directories=",
    ];
    words.extend(options.map(OsString::from));
    Server {
        url: format!("postgres://hitline@127.0.0.1:{port}"),
        _process: run_guarded(&folder, &words),
    }
}

/// The words that run a program under PostgreSQL's user, as it refuses root.
fn as_user(user: Option<(u32, u32)>, program: &Path) -> Vec<OsString> {
    let mut words = Vec::new();
    if let Some((uid, gid)) = user {
        words.extend(["setpriv".into(), format!("--reuid={uid}").into()]);
        words.extend([format!("--regid={gid}").into(), "--clear-groups".into()]);
    }
    words.push(program.into());
    words
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
