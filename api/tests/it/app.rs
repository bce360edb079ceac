//! A whole appliance inside the test: real HTTP on a free port, real worker, a folder of its own.

use std::path::Path;
use std::time::{Duration, Instant};

use api::app::App;
use api::auth::tokens::{self, OtherTokens, RepoPlace, TokenWish};
use api::auth::upload::SERVICES;
use api::config::Config;
use api::server;
use engine::clock::Clock;
use engine::db::Db;
use engine::queue;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::backends::Backends;

/// A fact that is waited for is looked at again after so long.
const POLL: Duration = Duration::from_millis(5);
/// Work that was begun must end so soon.
const SETTLE: Duration = Duration::from_secs(60);

/// A running appliance; it stops when dropped.
pub(crate) struct TestApp {
    /// Where clients reach it.
    pub(crate) url: String,
    /// Its parts.
    pub(crate) app: App,
    folder: tempfile::TempDir,
    stop: DropGuard,
    server: JoinHandle<()>,
}

impl TestApp {
    /// Starts an appliance that knows nothing yet.
    pub(crate) async fn start() -> TestApp {
        TestApp::start_at(Clock::system()).await
    }

    /// The same, with that clock.
    pub(crate) async fn start_at(clock: Clock) -> TestApp {
        TestApp::start_with(clock, |_| {}).await
    }

    /// The same, with other settings.
    pub(crate) async fn start_with(clock: Clock, change: impl FnOnce(&mut Config)) -> TestApp {
        let backends = Backends::chosen().await;
        TestApp::start_on(backends.as_ref(), clock, change).await
    }

    /// Starts a node on these backends; on its folder alone without.
    pub(crate) async fn start_on(
        backends: Option<&Backends>,
        clock: Clock,
        change: impl FnOnce(&mut Config),
    ) -> TestApp {
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(folder.path());
        if let Some(backends) = backends {
            backends.configure(&mut config);
        }
        change(&mut config);
        let app = App::open(config, clock).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let ended = stop.clone().cancelled_owned();
        let serving = app.clone();
        let server =
            tokio::spawn(async move { server::serve(serving, listener, ended).await.unwrap() });
        TestApp {
            url,
            app,
            folder,
            stop: stop.drop_guard(),
            server,
        }
    }

    /// A new upload token of a private repository, written `service/owner/name`.
    pub(crate) async fn upload_token(&self, repo: &str) -> String {
        self.add_repo(repo, true).await
    }

    /// A new upload token of a public repository.
    pub(crate) async fn public_repo(&self, repo: &str) -> String {
        self.add_repo(repo, false).await
    }

    async fn add_repo(&self, repo: &str, private: bool) -> String {
        let (service, rest) = repo.split_once('/').unwrap();
        assert!(SERVICES.contains(&service));
        let (owner, name) = rest.rsplit_once('/').unwrap();
        let place = RepoPlace {
            service: service.to_owned(),
            owner: owner.replace('/', ":"),
            name: name.to_owned(),
            private,
        };
        let token = tokens::add_repo(&self.app.db, place, OtherTokens::Keep).await;
        token.unwrap().expose().to_owned()
    }

    /// A new API token of an owner on GitHub that may read and write.
    pub(crate) async fn api_token(&self, owner: &str) -> String {
        self.scoped_token(Some(owner), "read,write").await
    }

    /// A new API token of an owner on GitHub, or of the instance.
    pub(crate) async fn scoped_token(&self, owner: Option<&str>, scopes: &str) -> String {
        let owner_id = match owner {
            Some(owner) => Some(
                tokens::known_owner(&self.app.db, "github", owner)
                    .await
                    .unwrap(),
            ),
            None => None,
        };
        let wish = TokenWish {
            owner_id,
            name: "test".to_owned(),
            scopes: scopes.parse().unwrap(),
            expires_us: None,
        };
        let (token, _) = tokens::add_api_token(&self.app.db, wish).await.unwrap();
        token.expose().to_owned()
    }

    /// A new API token of an owner on GitHub that may change settings.
    pub(crate) async fn admin_token(&self, owner: &str) -> String {
        self.scoped_token(Some(owner), "admin").await
    }

    /// Its database.
    pub(crate) fn db(&self) -> &Db {
        &self.app.db
    }

    /// The folder that holds everything.
    pub(crate) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// Tells it to stop; it must end soon.
    pub(crate) async fn stopped(self) {
        drop(self.stop);
        let ended = tokio::time::timeout(SETTLE, self.server).await;
        ended.expect("it ends").expect("it does not panic");
    }

    /// Waits until no job is due or running.
    pub(crate) async fn settled(&self) {
        let begun = Instant::now();
        loop {
            let mut conn = self.app.db.read().await.unwrap();
            let unfinished = queue::unfinished(&mut conn, self.app.clock.now_us())
                .await
                .unwrap();
            if unfinished == 0 {
                return;
            }
            assert!(begun.elapsed() < SETTLE, "{unfinished} jobs are left");
            tokio::time::sleep(POLL).await;
        }
    }
}
