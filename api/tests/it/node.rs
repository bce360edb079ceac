//! The real program, `hitline serve`, as a process of its own: it can be killed, and its memory is its own.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::backends::Backends;
use crate::network::Network;

/// A fact that is waited for is asked for again after so long.
const POLL: Duration = Duration::from_millis(10);
/// A server must answer so soon after its start.
const START: Duration = Duration::from_secs(30);
/// A server that was to be killed and lives so long will not be.
const UNKILLED: Duration = Duration::from_secs(3);
/// Any other fact must come so soon: a job whose worker was killed waits until its lease has ended.
const FACT: Duration = Duration::from_secs(240);

/// A running server on a folder of its own.
pub(crate) struct Node {
    /// Where clients reach it, the same after each start.
    pub(crate) url: String,
    home: Home,
    child: Child,
    api_token: String,
}

impl Node {
    /// Starts a server that knows nothing yet.
    pub(crate) async fn start() -> Node {
        Node::start_on(Backends::chosen().await).await
    }

    /// Starts one on its folder alone.
    pub(crate) async fn start_alone() -> Node {
        Node::start_on(None).await
    }

    /// Starts one on these backends; on its folder alone without.
    pub(crate) async fn start_on(backends: Option<Backends>) -> Node {
        Node::start_home(Home::new(backends), free_address()).await
    }

    async fn start_home(home: Home, listen: String) -> Node {
        let api_token = home.admin(&["token", "add", "--owner", "acme"]).await;
        let child = home.serve(&listen);
        let mut node = Node {
            url: format!("http://{listen}"),
            home,
            child,
            api_token,
        };
        node.ready().await;
        node
    }

    /// Starts one whose data are in this folder.
    pub(crate) async fn start_in(folder: &Path) -> Node {
        let folder = tempfile::tempdir_in(folder).unwrap();
        Node::start_home(
            Home {
                folder,
                ..Home::new(None)
            },
            free_address(),
        )
        .await
    }

    /// Starts one that does only this, in a network of its own.
    pub(crate) async fn start_behind(network: &Network, backends: Backends, role: &str) -> Node {
        let home = Home {
            role: role.to_owned(),
            prefix: network.prefix(),
            ..Home::new(Some(backends))
        };
        Node::start_home(home, network.free_address()).await
    }

    /// Starts one that does only this.
    pub(crate) async fn start_role(backends: Backends, role: &str) -> Node {
        let home = Home {
            role: role.to_owned(),
            ..Home::new(Some(backends))
        };
        Node::start_home(home, free_address()).await
    }

    /// Starts it anew, to be killed as one of its threads begins its nth call of these of the system, and waits until it
    /// is, or for a while. It is dead then.
    pub(crate) async fn crash_at(&mut self, calls: &str, nth: usize) -> bool {
        self.child.kill().await.unwrap();
        let inject = format!("inject={calls}:signal=SIGKILL:when={nth}");
        let trace = format!("trace={calls}");
        let tracer = [
            "strace",
            "-f",
            "-qqq",
            "-o",
            "/dev/null",
            "-e",
            &trace,
            "-e",
            &inject,
        ];
        let listen = self.url.trim_start_matches("http://");
        let mut child = self.home.serve_under(&tracer, listen);
        let is_killed = tokio::time::timeout(UNKILLED, child.wait()).await.is_ok();
        if !is_killed {
            // The tracer's death would set it free.
            let tracer = child.id().unwrap();
            let children = format!("/proc/{tracer}/task/{tracer}/children");
            let traced = std::fs::read_to_string(children).unwrap();
            let _ = Command::new("kill")
                .arg("-9")
                .args(traced.split_whitespace())
                .status()
                .await;
            child.wait().await.unwrap();
        }
        self.child = self.home.serve(listen);
        self.ready().await;
        is_killed
    }

    /// `kill -9`, then a new start on the same folder and address.
    pub(crate) async fn crash(&mut self) {
        self.child.kill().await.unwrap();
        self.child = self.home.serve(self.url.trim_start_matches("http://"));
        self.ready().await;
    }

    /// SIGTERM, an orderly end, and a new start.
    pub(crate) async fn restart(&mut self) {
        let pid = self.child.id().unwrap().to_string();
        let told = Command::new("kill").arg(pid).status().await.unwrap();
        assert!(told.success());
        let ended = tokio::time::timeout(START, self.child.wait()).await;
        assert!(ended.expect("it ends in time").unwrap().success());
        self.child = self.home.serve(self.url.trim_start_matches("http://"));
        self.ready().await;
    }

    /// Waits until the server says that it is ready. A server that has ended fails the test.
    pub(crate) async fn ready(&mut self) {
        let url = format!("{}/readyz", self.url);
        let log = self.home.folder.path().join("log");
        let child = &mut self.child;
        until("server is ready", START, async || {
            if let Some(status) = child.try_wait().unwrap() {
                panic!(
                    "server ended with {status}: {}",
                    std::fs::read_to_string(&log).unwrap()
                );
            }
            let answer = reqwest::get(&url).await.ok()?;
            (answer.status() == 200).then_some(())
        })
        .await;
    }

    /// Adds `github/acme/{name}`; returns its upload token.
    pub(crate) async fn add_repo(&self, name: &str) -> String {
        let repo = format!("github/acme/{name}");
        self.home.admin(&["repo", "add", &repo]).await
    }

    /// Announces an upload to `acme/widgets` as the current clients do.
    pub(crate) fn announce(&self, token: &str, sha: &str) -> RequestBuilder {
        announce(&self.url, token, sha)
    }

    /// Sends an upload that must be taken; returns its id.
    pub(crate) async fn upload(
        &self,
        token: &str,
        sha: &str,
        body: impl Into<reqwest::Body>,
    ) -> String {
        let answer = self.announce(token, sha).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        let created: Value = answer.json().await.unwrap();
        let put = Client::new().put(created["raw_upload_location"].as_str().unwrap());
        assert_eq!(put.body(body).send().await.unwrap().status(), 200);
        created["external_id"].as_str().unwrap().to_owned()
    }

    /// Answers `GET /api/v2/github/acme/repos/widgets/{path}`, which must be 200 and JSON.
    pub(crate) async fn get(&self, path: &str) -> Value {
        get(
            &format!("{}/api/v2/github/acme/repos/widgets/{path}", self.url),
            &self.api_token,
        )
        .await
    }

    /// All items of a list.
    pub(crate) async fn list(&self, path: &str) -> Vec<Value> {
        let mut page = self.get(&format!("{path}?page_size=1000")).await;
        let mut items = Vec::new();
        loop {
            items.append(page["results"].as_array_mut().unwrap());
            match page["next"].as_str() {
                Some(next) => page = get(next, &self.api_token).await,
                None => return items,
            }
        }
    }

    /// The uploads of a commit, once none of those that have arrived waits for its result.
    pub(crate) async fn settled(&self, sha: &str) -> Vec<Value> {
        let path = format!("commits/{sha}/uploads/");
        until("all uploads have a result", FACT, async || {
            let uploads = self.list(&path).await;
            uploads
                .iter()
                .all(|upload| upload["state"] != "uploaded")
                .then_some(uploads)
        })
        .await
    }

    /// The journal of a commit.
    pub(crate) async fn journal(&self, sha: &str) -> Vec<Value> {
        self.list(&format!("commits/{sha}/journal/")).await
    }

    /// The totals of a commit, once its report is that of so many uploads.
    pub(crate) async fn totals_of(&self, sha: &str, uploads: usize) -> Value {
        let path = format!("totals/?sha={sha}");
        until("the report holds all uploads", FACT, async || {
            let totals = self.get(&path).await["totals"].clone();
            (totals["sessions"] == uploads).then_some(totals)
        })
        .await
    }

    /// The most memory that the server has had at once, in bytes, mapped files included.
    pub(crate) fn peak_memory_bytes(&self) -> u64 {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id().unwrap())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.trim()
            .strip_suffix(" kB")
            .unwrap()
            .parse::<u64>()
            .unwrap()
            * 1024
    }
}

/// Announces an upload to `acme/widgets` on the server at `url`.
pub(crate) fn announce(url: &str, token: &str, sha: &str) -> RequestBuilder {
    Client::new()
        .post(format!(
            "{url}/upload/github/acme::::widgets/upload-coverage"
        ))
        .header("Authorization", format!("token {token}"))
        .json(&json!({"commitid": sha, "branch": "main"}))
}

/// Asks again and again until there is an answer; fails after `limit`.
pub(crate) async fn until<T>(
    fact: &str,
    limit: Duration,
    mut ask: impl AsyncFnMut() -> Option<T>,
) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask().await {
            return answer;
        }
        assert!(begun.elapsed() < limit, "not true after {limit:?}: {fact}");
        pause(POLL).await;
    }
}

/// Lets time pass.
pub(crate) fn pause(time: Duration) -> impl Future<Output = ()> {
    tokio::time::sleep(time)
}

async fn get(url: &str, token: &str) -> Value {
    let answer = Client::new()
        .get(url)
        .bearer_auth(token)
        .send()
        .await
        .unwrap();
    let status = answer.status();
    let body = answer.text().await.unwrap();
    assert_eq!(status, 200, "GET {url} answered {body}");
    serde_json::from_str(&body).unwrap()
}

/// Where a server keeps things.
struct Home {
    folder: tempfile::TempDir,
    backends: Option<Backends>,
    role: String,
    /// What the server is run by.
    prefix: Vec<String>,
}

impl Home {
    fn new(backends: Option<Backends>) -> Home {
        Home {
            folder: tempfile::tempdir().unwrap(),
            backends,
            role: "all".into(),
            prefix: Vec::new(),
        }
    }

    fn serve(&self, listen: &str) -> Child {
        let prefix: Vec<&str> = self.prefix.iter().map(String::as_str).collect();
        self.serve_under(&prefix, listen)
    }

    fn serve_under(&self, prefix: &[&str], listen: &str) -> Child {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.folder.path().join("log"))
            .unwrap();
        self.command(prefix)
            .args(["serve", "--listen", listen, "--role", &self.role])
            .env("HITLINE_LOG", "warn")
            .stderr(Stdio::from(log))
            .spawn()
            .unwrap()
    }

    async fn admin(&self, words: &[&str]) -> String {
        let done = self
            .command(&[])
            .arg("admin")
            .args(words)
            .output()
            .await
            .unwrap();
        assert!(
            done.status.success(),
            "hitline admin {words:?}: {}",
            String::from_utf8_lossy(&done.stderr)
        );
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    }

    fn command(&self, prefix: &[&str]) -> Command {
        let words = [prefix, &[env!("CARGO_BIN_EXE_hitline")]].concat();
        let mut command = Command::new(words[0]);
        command
            .args(&words[1..])
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HITLINE_DATA", self.folder.path().join("data"))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        if let Some(backends) = &self.backends {
            command.envs(backends.variables());
        }
        command
    }
}

/// An address of this machine that nobody listens on.
fn free_address() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}
