//! PostgreSQL for tests: one server per test process, which ends with it in any way it ends; one database per test.

use std::ffi::OsString;
use std::fs::Permissions;
use std::io::Write as _;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Instant;

use sqlx::{Connection as _, PgConnection};

use super::server::{START_PAUSE, START_TIMEOUT, free_port, log_file, run_guarded};
use super::{Certificate, TestDb};
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
    let files = Files::new();
    files.initdb();
    let (url, process) = files.serve();
    Server {
        url,
        _process: process,
    }
}

/// The files of a server, and who owns them.
struct Files {
    programs: PathBuf,
    folder: PathBuf,
    user: Option<(u32, u32)>,
    port: u16,
}

impl Files {
    fn new() -> Files {
        let folder = tempfile::Builder::new()
            .prefix("hitline-postgres-")
            .tempdir()
            .expect("make a temporary folder")
            .keep();
        let files = Files {
            programs: find_programs(),
            user: server_user(&folder),
            folder,
            port: free_port(),
        };
        let mode = Permissions::from_mode(0o700); // as PostgreSQL insists
        std::fs::create_dir(files.data()).expect("make the data folder");
        std::fs::set_permissions(files.data(), mode).expect("keep the data folder to its owner");
        if let Some((uid, gid)) = files.user {
            chown(&files.folder, Some(uid), Some(gid))
                .expect("give the folder to PostgreSQL's user");
            chown(files.data(), Some(uid), Some(gid))
                .expect("give the data folder to PostgreSQL's user");
        }
        files
    }

    fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn initdb(&self) {
        let options = [
            "--auth=trust",
            "--username=hitline",
            "--encoding=UTF8",
            "--locale=C",
            "--no-sync",
        ];
        self.make_data("initdb", &options);
    }

    /// Has a program fill the data folder.
    fn make_data(&self, program: &str, options: &[&str]) {
        let words = as_user(self.user, &self.programs.join(program));
        let log = self.folder.join("log");
        let made = Command::new(&words[0])
            .args(&words[1..])
            .args(options)
            .arg("-D")
            .arg(self.data())
            .stdin(Stdio::null())
            .stdout(log_file(&log))
            .stderr(log_file(&log))
            .current_dir("/")
            .status();
        assert!(
            made.expect("run a program of PostgreSQL").success(),
            "{program} failed: {}",
            std::fs::read_to_string(&log).unwrap_or_default()
        );
    }

    /// Writes a file of the data folder, which only its owner reads.
    fn write(&self, name: &str, text: &str) {
        let path = self.data().join(name);
        std::fs::write(&path, text).expect("write a file of the server");
        let mode = Permissions::from_mode(0o600);
        std::fs::set_permissions(&path, mode).expect("keep the file to its owner");
        if let Some((uid, gid)) = self.user {
            chown(&path, Some(uid), Some(gid)).expect("give the file to PostgreSQL's user");
        }
    }

    /// Runs the server; its URL without a database.
    fn serve(&self) -> (String, Child) {
        let mut words = as_user(self.user, &self.programs.join("postgres"));
        let port = self.port.to_string();
        words.extend(["-D".into(), self.data().into(), "-p".into(), port.into()]);
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
        let url = format!("postgres://hitline@127.0.0.1:{}", self.port);
        (url, run_guarded(&self.folder, &words))
    }
}

/// A server of one test's own, which may be killed and replaced by another; it ends with the test process.
pub struct PostgresServer {
    /// Its address, `127.0.0.1:port`.
    pub address: String,
    files: Files,
    url: String,
    process: Child,
}

impl PostgresServer {
    /// Starts one with an empty database `postgres`.
    pub async fn start() -> PostgresServer {
        PostgresServer::start_with(None).await
    }

    /// Starts one that is reached over TLS, too.
    pub async fn start_tls(certificate: &Certificate) -> PostgresServer {
        let read = |path| std::fs::read_to_string(path).expect("read the certificate");
        let pem = (read(certificate.file()), read(certificate.key_file()));
        PostgresServer::start_with(Some(pem)).await
    }

    /// `pem` is a certificate and its key.
    async fn start_with(pem: Option<(String, String)>) -> PostgresServer {
        let started = tokio::task::spawn_blocking(move || {
            let files = Files::new();
            files.initdb();
            if let Some((certificate, key)) = pem {
                files.write("server.crt", &certificate);
                files.write("server.key", &key);
                files.write("postgresql.auto.conf", "ssl = on\n");
            }
            PostgresServer::run(files)
        });
        let server = started.await.expect("start PostgreSQL");
        server.execute("select 1").await;
        server
    }

    fn run(files: Files) -> PostgresServer {
        let (url, process) = files.serve();
        PostgresServer {
            address: format!("127.0.0.1:{}", files.port),
            files,
            url,
            process,
        }
    }

    /// Starts a server that follows this one.
    pub async fn replica(&self) -> PostgresServer {
        let source = self.url.clone();
        let started = tokio::task::spawn_blocking(move || {
            let files = Files::new();
            let from = format!("--dbname={source}/postgres");
            let options = [
                &*from,
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
            ];
            files.make_data("pg_basebackup", &options);
            PostgresServer::run(files)
        });
        let replica = started.await.expect("start a replica");
        replica.execute("select 1").await;
        replica
    }

    /// From now on, what is committed here is durable on a replica, too.
    pub async fn await_replicas(&self) {
        self.execute("alter system set synchronous_standby_names = '*'")
            .await;
        self.execute("select pg_reload_conf()").await;
    }

    /// Has a replica take what is committed, and not show it.
    pub async fn pause_replay(&self) {
        self.execute("select pg_wal_replay_pause()").await;
    }

    /// Makes a replica a server that takes writes.
    pub async fn promote(&self) {
        self.execute("select pg_promote()").await;
    }

    /// Kills it at once, with all its processes, and waits until they are gone.
    pub fn kill(&self) {
        let pid = std::fs::read_to_string(self.files.data().join("postmaster.pid"));
        let pid = pid.expect("read the server's id");
        let pid = pid.lines().next().expect("the first line is the id");
        let children = std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children"));
        let children = children.expect("read the ids of its processes");
        let pids = || std::iter::once(pid).chain(children.split_whitespace());
        // Some may have ended by themselves.
        let _ = Command::new("kill").arg("-9").args(pids()).status();
        while pids().any(lives) {
            std::thread::sleep(START_PAUSE);
        }
    }

    /// Starts it again after it was killed.
    pub async fn restart(&mut self) {
        let mut guard = self.process.stdin.take().expect("the server was started");
        guard.write_all(b"keep\n").expect("tell the guard");
        drop(guard);
        self.process.wait().expect("wait for the guard");
        let (_, process) = self.files.serve();
        self.process = process;
        self.execute("select 1").await;
    }

    async fn execute(&self, sql: &str) {
        let mut conn = connect(&format!("{}/postgres", self.url)).await;
        sqlx::query(sql).execute(&mut conn).await.expect(sql);
        conn.close().await.expect("disconnect");
    }
}

/// Whether a process still holds what it had.
fn lives(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
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
