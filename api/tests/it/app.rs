//! A whole appliance inside the test: real HTTP on a free port, real worker, a folder of its own.

use std::time::{Duration, Instant};

use api::app::App;
use api::auth::upload::SERVICES;
use api::config::Config;
use api::server;
use engine::clock::Clock;
use engine::db::owners::upsert_owner;
use engine::db::repos::{NewRepo, upsert_repo};
use engine::db::tokens::{NewApiToken, UploadToken, insert_api_token, insert_upload_token};
use engine::id::{OwnerId, RepoId, TokenId};
use engine::queue;
use engine::secret::{hash_token, new_api_token, new_upload_token};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

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
    _folder: tempfile::TempDir,
    _stop: DropGuard,
    _server: JoinHandle<()>,
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
        let folder = tempfile::tempdir().unwrap();
        let mut config = Config::embedded(folder.path());
        change(&mut config);
        let app = App::open(config, clock, "test").await.unwrap();
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
            _folder: folder,
            _stop: stop.drop_guard(),
            _server: server,
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
        let (service, owner, name) = (service.to_owned(), owner.replace('/', ":"), name.to_owned());
        let token = new_upload_token();
        let (hash, now_us) = (hash_token(token.expose()), self.app.clock.now_us());
        let added = self.app.db.write(move |conn| {
            Box::pin(async move {
                let owner =
                    upsert_owner(conn, OwnerId::generate(now_us), &service, &owner, now_us).await?;
                let new = NewRepo {
                    id: RepoId::generate(now_us),
                    owner_id: owner.id,
                    name,
                    private,
                };
                let repo = upsert_repo(conn, &new, now_us).await?;
                let row = UploadToken {
                    id: TokenId::generate(now_us),
                    repo_id: Some(repo.id),
                    owner_id: None,
                };
                insert_upload_token(conn, &row, &hash, now_us).await
            })
        });
        added.await.unwrap();
        token.expose().to_owned()
    }

    /// A new API token of an owner on GitHub.
    pub(crate) async fn api_token(&self, owner: &str) -> String {
        self.token_of_scope(owner, "read").await
    }

    /// A new API token of an owner on GitHub that may change settings.
    pub(crate) async fn admin_token(&self, owner: &str) -> String {
        self.token_of_scope(owner, "admin").await
    }

    async fn token_of_scope(&self, owner: &str, scope: &'static str) -> String {
        let token = new_api_token();
        let (owner, hash, now_us) = (
            owner.to_owned(),
            hash_token(token.expose()),
            self.app.clock.now_us(),
        );
        let added = self.app.db.write(move |conn| {
            Box::pin(async move {
                let owner =
                    upsert_owner(conn, OwnerId::generate(now_us), "github", &owner, now_us).await?;
                let id = TokenId::generate(now_us);
                let (owner_id, name, scope) = (Some(owner.id), "test".to_owned(), scope.to_owned());
                let new = NewApiToken {
                    id,
                    hash,
                    owner_id,
                    name,
                    scope,
                    expires_us: None,
                };
                insert_api_token(conn, &new, now_us).await
            })
        });
        added.await.unwrap();
        token.expose().to_owned()
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
