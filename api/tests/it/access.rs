//! Who may do what: members, readers, scopes of tokens, logins, the operator's super token.

use api::config::Config;
use engine::clock::Clock;
use engine::db::members::{Standing, add_reader, set_standing};
use engine::db::owners::{set_auto_activate, set_owner_names};
use engine::db::repos::find_repo;
use engine::db::sessions::insert_session;
use engine::db::tokens::revoke_upload_tokens_of_repo;
use engine::id::OwnerId;
use engine::secret::{Secret, hash_token};
use reqwest::header::{AUTHORIZATION, COOKIE, RETRY_AFTER};
use reqwest::{Client, Method, Response};
use serde_json::{Value, json};

use crate::api::{Answer, Api, HEAD, PARENT, WIDGETS};
use crate::app::TestApp;

const BELONGS: Standing = Standing {
    belongs: true,
    activated: false,
    admin: false,
};

impl Api {
    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Api {
        Api::start_on(TestApp::start_with(Clock::system(), change).await).await
    }

    async fn owner(&self, name: &str) -> OwnerId {
        api::auth::tokens::known_owner(self.app.db(), "github", name)
            .await
            .unwrap()
    }

    /// A user with that standing at `acme`; returns a token of its own that may read and write.
    async fn member(&self, name: &'static str, standing: Standing) -> String {
        let (acme, user) = (self.owner("acme").await, self.owner(name).await);
        let stored = self.app.db().write(move |conn| {
            Box::pin(async move {
                let email = format!("{name}@example.org");
                set_owner_names(conn, user, None, Some(&email)).await?;
                set_standing(conn, acme, user, standing).await
            })
        });
        stored.await.unwrap();
        self.app.api_token(name).await
    }

    /// Lets the user read `acme/widgets`.
    async fn let_read(&self, name: &str) {
        let user = self.owner(name).await;
        let mut conn = self.app.db().read().await.unwrap();
        let (_, repo) = find_repo(&mut conn, "github", "acme", "widgets")
            .await
            .unwrap()
            .unwrap();
        let stored = self
            .app
            .db()
            .write(move |conn| Box::pin(async move { add_reader(conn, user, repo.id).await }));
        stored.await.unwrap();
    }

    async fn by(&self, token: &str, path: &str) -> Answer {
        let bearer = format!("Bearer {token}");
        self.ask(path, &[(AUTHORIZATION.as_str(), &bearer)]).await
    }

    async fn send(&self, method: Method, token: &str, path: &str, body: Value) -> Response {
        let url = format!("{}/api/v2/{path}", self.app.url);
        let sent = Client::new().request(method, url).bearer_auth(token);
        sent.json(&body).send().await.unwrap()
    }
}

#[tokio::test]
async fn members_see_who_belongs_to_their_owner() {
    let api = Api::start().await;
    let ann = api.member("ann", BELONGS).await;
    let admin = Standing {
        activated: true,
        admin: true,
        ..BELONGS
    };
    api.member("bob", admin).await;
    insta::assert_json_snapshot!("users", api.by(&ann, "github/acme/users/").await.body);
    for (query, names) in [
        ("?activated=true", vec!["bob"]),
        ("?activated=False", vec!["ann"]),
        ("?activated=1", vec!["ann", "bob"]),
        ("?is_admin=true", vec!["bob"]),
        ("?search=EXAMPLE%20an", vec!["ann"]),
    ] {
        let body = api.by(&ann, &format!("gh/acme/users{query}")).await.body;
        let found = body["results"].as_array().unwrap().iter();
        let found: Vec<_> = found.map(|user| user["username"].clone()).collect();
        assert_eq!(found, names, "{query}");
    }
    let id = api.owner("bob").await;
    for key in ["BOB".to_owned(), id.to_string()] {
        let body = api.by(&ann, &format!("github/acme/users/{key}")).await.body;
        assert_eq!(body["username"], "bob");
    }
    let stranger = api.app.api_token("eve").await;
    for (token, path) in [
        (&stranger, "github/acme/users/"),
        (&ann, "github/acme/users/eve/"),
    ] {
        let answer = api.by(token, path).await;
        assert_eq!(answer.status, 404);
        let detail = "No Owner matches the given query.";
        assert_eq!(answer.body, json!({ "detail": detail }));
    }
    assert_eq!(api.ask("github/acme/users/", &[]).await.status, 401);
    let mine = api.by(&ann, "github/").await.body;
    let names = [
        &mine["results"][0]["username"],
        &mine["results"][1]["username"],
    ];
    assert_eq!(names, ["acme", "ann"]);
}

#[tokio::test]
async fn users_activate_themselves_and_admins_anybody() {
    let api = Api::with(|config| config.admins = vec!["github/Root".into()]).await;
    let ann = api.member("ann", BELONGS).await;
    api.member("bob", BELONGS).await;
    api.member("root", BELONGS).await;
    let root = api.app.scoped_token(Some("root"), "admin").await;
    let path = |user: &str| format!("github/acme/users/{user}/");
    let set = async |token: &str, user: &str, body: Value| {
        let answer = api.send(Method::PATCH, token, &path(user), body).await;
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (status, body) = set(&ann, "ann", json!({"activated": true})).await;
    assert_eq!((status, &body["activated"]), (200, &json!(true)));
    assert_eq!(set(&ann, "bob", json!({"activated": true})).await.0, 403);
    assert_eq!(set(&root, "bob", json!({"activated": true})).await.0, 200);
    let seen = api.by(&ann, &path("bob")).await.body;
    assert_eq!(seen["activated"], true);
    let missing = json!({"activated": ["This field is required."]});
    assert_eq!(set(&ann, "ann", json!({})).await, (400, missing));
    let wrong = json!({"activated": ["Must be a valid boolean."]});
    let refused = set(&ann, "ann", json!({"activated": "maybe"})).await;
    assert_eq!(refused, (400, wrong));
}

#[tokio::test]
async fn a_private_repository_is_for_its_activated_readers() {
    let api = Api::start().await;
    let ann = api.member("ann", BELONGS).await;
    assert_eq!(api.by(&ann, WIDGETS).await.status, 404);
    let list = api.by(&ann, "github/acme/repos/").await.body;
    assert_eq!(list["count"], 0);

    let acme = api.owner("acme").await;
    let manual = api
        .app
        .db()
        .write(move |conn| Box::pin(async move { set_auto_activate(conn, acme, false).await }));
    manual.await.unwrap();
    api.let_read("ann").await;
    let list = api.by(&ann, "github/acme/repos/").await.body;
    assert_eq!(list["count"], 1);
    let mut answers = Vec::new();
    for path in ["", "/commits", "/report", "/pulls"] {
        let answer = api.by(&ann, &format!("{WIDGETS}{path}")).await;
        answers.push(json!([path, answer.status.as_u16(), answer.body]));
    }
    insta::assert_json_snapshot!("not_activated", answers);

    let automatic = api
        .app
        .db()
        .write(move |conn| Box::pin(async move { set_auto_activate(conn, acme, true).await }));
    automatic.await.unwrap();
    assert_eq!(api.by(&ann, &format!("{WIDGETS}/report")).await.status, 200);
    let seen = api.by(&ann, "github/acme/users/ann/").await.body;
    assert_eq!(seen["activated"], true, "the read has activated her");
}

#[tokio::test]
async fn a_token_does_what_its_scopes_allow() {
    let api = Api::start().await;
    let token = async |scopes: &str| api.app.scoped_token(Some("acme"), scopes).await;
    let (read, upload, admin) = (
        token("read").await,
        token("upload").await,
        token("admin,upload").await,
    );
    let refused = api.by(&upload, WIDGETS).await;
    let detail = "This token does not allow this: it lacks the scope \"read\".";
    assert_eq!(refused.status, 403);
    assert_eq!(refused.body["detail"], detail);
    let pairs = json!({"pairs": [{"base": PARENT, "head": HEAD}]});
    for (token, status) in [(&upload, 403), (&read, 200)] {
        let bulk = format!("{WIDGETS}/compare/bulk");
        let answer = api.send(Method::POST, token, &bulk, pairs.clone()).await;
        assert_eq!(answer.status(), status);
        let what_if = format!("{WIDGETS}/commits/{HEAD}/what-if");
        let wish = json!({"yaml": "ignore: [lib]"});
        let answer = api.send(Method::POST, token, &what_if, wish).await;
        assert_eq!(answer.status(), status);
    }
    for (token, status) in [(&read, 403), (&api.token, 200)] {
        let config = api.by(token, &format!("{WIDGETS}/config/")).await;
        assert_eq!(config.status, status);
    }
    for (token, status) in [(&read, 401), (&upload, 201)] {
        let url = format!("{}/upload/github/acme::::widgets/commits", api.app.url);
        let made = Client::new()
            .post(url)
            .header(AUTHORIZATION, format!("token {token}"))
            .json(&json!({"commitid": HEAD}));
        assert_eq!(made.send().await.unwrap().status(), status);
    }

    let wish = json!({"name": "ci", "scopes": "read,upload", "expires_in_days": 7});
    let answer = api.send(Method::POST, &read, "tokens", wish.clone()).await;
    assert_eq!(answer.status(), 403);
    let made = api.send(Method::POST, &admin, "tokens", wish).await;
    assert_eq!(made.status(), 201);
    let made: Value = made.json().await.unwrap();
    assert_eq!(made["scopes"], json!(["read", "upload"]));
    assert!(made["expires_at"].is_string());
    let new = made["token"].as_str().unwrap();
    assert_eq!(api.by(new, WIDGETS).await.status, 200);
    let listed = api.by(&admin, "tokens").await.body;
    assert_eq!(listed["results"][0]["id"], made["id"]);
    assert!(!listed.to_string().contains(new), "a token is seen once");
    let path = format!("tokens/{}", made["id"].as_str().unwrap());
    let ended = api.send(Method::DELETE, &admin, &path, Value::Null).await;
    assert_eq!(ended.status(), 204);
    assert_eq!(api.by(new, WIDGETS).await.status, 401);
    let again = api.send(Method::DELETE, &admin, &path, Value::Null).await;
    assert_eq!(again.status(), 404);
    let more = json!({"name": "x", "scopes": "admin", "owner": "github/acme"});
    let more = api.send(Method::POST, &admin, "tokens", more).await;
    assert_eq!(more.status(), 400);
}

#[tokio::test]
async fn the_token_that_config_shows_uploads_until_tokens_are_revoked() {
    let api = Api::start().await;
    let config = async || api.get(&format!("{WIDGETS}/config/")).await.body;
    let shown = config().await;
    assert_eq!(config().await, shown);
    assert_eq!(shown["graph_token"].as_str().unwrap().len(), 10);
    let upload = async |token: &Value| {
        let made = Client::new()
            .post(format!(
                "{}/upload/github/acme::::widgets/commits",
                api.app.url
            ))
            .header(AUTHORIZATION, format!("token {}", token.as_str().unwrap()))
            .json(&json!({"commitid": HEAD}));
        made.send().await.unwrap().status()
    };
    assert_eq!(upload(&shown["upload_token"]).await, 201);
    let revoked = api.app.db().write(move |conn| {
        Box::pin(async move {
            let found = find_repo(conn, "github", "acme", "widgets").await?;
            revoke_upload_tokens_of_repo(conn, found.unwrap().1.id, 1).await
        })
    });
    revoked.await.unwrap();
    assert_eq!(upload(&shown["upload_token"]).await, 401);
    let next = config().await;
    assert_ne!(next["upload_token"], shown["upload_token"]);
    assert_eq!(upload(&next["upload_token"]).await, 201);
    let stranger = api.app.api_token("eve").await;
    api.add_public("open").await;
    let refused = api.by(&stranger, "github/acme/repos/open/config/").await;
    assert_eq!(refused.status, 403);
    let unknown = api.ask("github/acme/repos/open/config/", &[]).await;
    assert_eq!(unknown.status, 401);
}

#[tokio::test]
async fn the_super_token_reads_reports_and_no_more() {
    let api = Api::with(|config| config.super_token = Some(Secret::new("boss"))).await;
    for (path, status) in [
        ("/report", 200),
        ("/report/tree", 200),
        ("/file_report/src/app/main.py", 200),
        ("/pulls", 200),
        ("/test-analytics", 200),
        ("", 401),
        ("/commits", 401),
    ] {
        let answer = api.by("boss", &format!("{WIDGETS}{path}")).await;
        assert_eq!(answer.status, status, "{path}");
    }
    let path = "github/acme/users/ann/";
    let answer = api.send(Method::PATCH, "boss", path, json!({})).await;
    assert_eq!(answer.status(), 403);
}

#[tokio::test]
async fn a_login_reads_as_its_owner_until_it_ends() {
    let api = Api::with(|config| config.admins = vec!["github/ann".into()]).await;
    api.member("ann", BELONGS).await;
    let (acme, ann) = (api.owner("acme").await, api.owner("ann").await);
    let now_us = api.app.app.clock.now_us();
    let stored = api.app.db().write(move |conn| {
        Box::pin(async move {
            let later_us = now_us + 3_600_000_000;
            insert_session(conn, &hash_token("acme"), acme, now_us, later_us).await?;
            insert_session(conn, &hash_token("ann"), ann, now_us, later_us).await?;
            insert_session(conn, &hash_token("ended"), acme, 0, now_us).await
        })
    });
    stored.await.unwrap();
    for (cookie, status) in [("acme", 200), ("ended", 404), ("none", 404)] {
        let cookie = format!("a=b; sessionid={cookie}");
        let answer = api.ask(WIDGETS, &[(COOKIE.as_str(), &cookie)]).await;
        assert_eq!(answer.status, status, "{cookie}");
    }
    let headers = [(COOKIE.as_str(), "sessionid=ann")];
    let sessions = api.ask("github/acme/user-sessions/", &headers).await;
    let user = &sessions.body["results"][0];
    assert_eq!(
        (&user["username"], &user["has_active_session"]),
        (&json!("ann"), &json!(true))
    );
    assert!(user["expiry_date"].is_string());
    let bob = api.member("bob", BELONGS).await;
    let refused = api.by(&bob, "github/acme/user-sessions/").await;
    assert_eq!(refused.status, 403);
    let unknown = api.ask("github/acme/user-sessions/", &[]).await;
    assert_eq!(unknown.status, 401);
}

#[tokio::test]
async fn without_guest_access_everything_needs_a_token() {
    let api = Api::with(|config| config.guest_access = false).await;
    api.add_public("open").await;
    for path in ["github/acme/", "github/acme/repos/open/report/"] {
        assert_eq!(api.ask(path, &[]).await.status, 401);
        assert_eq!(api.get(path).await.status, 200);
    }
}

#[tokio::test]
async fn a_peer_that_guesses_tokens_is_slowed_down() {
    let api = Api::with(|config| config.wrong_tokens_per_second = 1).await;
    let url = format!("{}/api/v2/{WIDGETS}", api.app.url);
    for _ in 0..1000 {
        let answer = Client::new().get(&url).bearer_auth("hl_wrong");
        let answer = answer.send().await.unwrap();
        if answer.status() == 429 {
            assert_eq!(answer.headers()[RETRY_AFTER], "1");
            assert_eq!(api.get(WIDGETS).await.status, 200);
            return;
        }
        assert_eq!(answer.status(), 401);
    }
    panic!("1000 wrong tokens were looked at");
}
