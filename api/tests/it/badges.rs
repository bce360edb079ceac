//! Badges as a README asks for them: without a session, by whoever reads the page.

use engine::secret::graph_token;
use ingest::yamls::{Scope, store_yaml};
use reqwest::header::{CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use reqwest::{Client, Response};
use serde_json::json;

use crate::api::{Api, HEAD};

const THREE_OF_EIGHT: &str = "SF:a.c
DA:1,1
DA:2,1
DA:3,1
DA:4,0
DA:5,0
DA:6,0
DA:7,0
DA:8,0
end_of_record
";
/// Files of several sizes in nested directories.
const NESTED: &str = "SF:src/a/one.c
DA:1,1
DA:2,1
DA:3,1
DA:4,0
end_of_record
SF:src/a/two.c
DA:1,0
DA:2,0
end_of_record
SF:lib/deep/er/three.c
DA:1,1
DA:2,1
DA:3,0
end_of_record
SF:<main>.c
DA:1,1
end_of_record
";
const ALL: &str = "SF:b.c\nDA:1,1\nend_of_record\n";

/// Answers `GET /{path}`.
async fn get(api: &Api, path: &str) -> Response {
    let url = format!("{}/{path}", api.app.url);
    Client::new().get(url).send().await.unwrap()
}

/// The text of an answer that must be 200.
async fn shown(api: &Api, path: &str) -> String {
    let answer = get(api, path).await;
    assert_eq!(answer.status(), 200, "{path}");
    answer.text().await.unwrap()
}

/// Adds the public repository `acme/{name}`: flag `unit` has 3 hits of 8 lines on branch `feat/x`, and
/// flag `e2e` 1 of 1.
async fn add_flagged(api: &Api, name: &str) {
    let token = api.app.public_repo(&format!("github/acme/{name}")).await;
    for (flag, report) in [("unit", THREE_OF_EIGHT), ("e2e", ALL)] {
        let facts = json!({"commitid": HEAD, "branch": "feat/x", "flags": [flag]});
        api.upload(&token, name, facts, "lcov.info", report).await;
    }
}

async fn token_of(api: &Api, name: &str) -> String {
    let mut conn = api.app.app.db.read().await.unwrap();
    let found = engine::db::repos::find_repo(&mut conn, "github", "acme", name).await;
    let (_, repo) = found.unwrap().unwrap();
    graph_token(&api.app.app.key, repo.id).expose().to_owned()
}

/// Gives `acme/{name}` a codecov.yml.
async fn set_yaml(api: &Api, name: &'static str, yaml: &'static str) {
    let app = api.app.app.clone();
    let (yamls, now_us) = (app.yamls.clone(), app.clock.now_us());
    let written = app.db.write(move |conn| {
        Box::pin(async move {
            let found = engine::db::repos::find_repo(conn, "github", "acme", name).await?;
            let scope = Scope::Repo(found.unwrap().1.id);
            store_yaml(conn, &yamls, scope, yaml, now_us).await
        })
    });
    written.await.unwrap().unwrap();
}

#[tokio::test]
async fn badge_of_a_component_is_found_by_id_or_name() {
    let api = Api::start().await;
    add_flagged(&api, "gadgets").await;
    let yaml = "component_management:
  individual_components:
    - {component_id: a, name: First, paths: [a.c]}
    - {component_id: b, flag_regexes: [e2e]}
";
    set_yaml(&api, "gadgets", yaml).await;
    let path = "gh/acme/gadgets/branch/feat/x/graph/badge.txt?component=";
    for (component, figure) in [("a", "38"), ("First", "38"), ("b", "100"), ("c", "unknown")] {
        assert_eq!(
            shown(&api, &format!("{path}{component}")).await,
            figure,
            "{component}"
        );
    }
}

#[tokio::test]
async fn badge_shows_the_branch_the_flag_and_the_decimals_that_are_asked_for() {
    let api = Api::start().await;
    add_flagged(&api, "gadgets").await;
    for (path, figure) in [
        ("gh/acme/gadgets/branch/feat/x/graph/badge.txt", "44"),
        ("github/ACME/Gadgets/branch/feat%2Fx/graphs/badge.txt", "44"),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?precision=1",
            "44.4",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?precision=2",
            "44.44",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?flag=unit",
            "38",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?flag=unit&precision=1",
            "37.5",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?flag=e2e&component=x",
            "100",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?flag=none",
            "unknown",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/badge.txt?component=none",
            "unknown",
        ),
        ("gh/acme/gadgets/graph/badge.txt", "unknown"),
        (
            &format!("gh/acme/gadgets/commit/{HEAD}/graph/badge.txt"),
            "44",
        ),
        (
            "gh/acme/gadgets/branch/feat/x/graph/bundle/app/badge.txt",
            "unknown",
        ),
        ("gh/acme/gadgets/graph/bundle/app/badge.txt", "unknown"),
        ("gh/acme/nothing/graph/badge.txt", "unknown"),
        ("gh/nobody/nothing/graph/badge.txt", "unknown"),
        ("sourcehut/acme/gadgets/graph/badge.txt", "unknown"),
    ] {
        assert_eq!(shown(&api, path).await, figure, "{path}");
    }
}

#[tokio::test]
async fn badge_of_a_private_repository_needs_its_graph_token() {
    let api = Api::start().await;
    let token = token_of(&api, "widgets").await;
    add_flagged(&api, "gadgets").await;
    let other = token_of(&api, "gadgets").await;
    let path = "gh/acme/widgets/graph/badge.txt";
    assert_eq!(shown(&api, path).await, "unknown");
    assert_eq!(
        shown(&api, &format!("{path}?token={other}")).await,
        "unknown"
    );
    assert_eq!(shown(&api, &format!("{path}?token={token}")).await, "67");
}

#[tokio::test]
async fn badges_are_drawn_like_this() {
    let api = Api::start().await;
    add_flagged(&api, "gadgets").await;
    let branch = "gh/acme/gadgets/branch/feat/x/graph";
    for (name, path) in [
        ("small", format!("{branch}/badge.svg")),
        ("full", format!("{branch}/badge.svg?flag=e2e")),
        ("large", format!("{branch}/badge.svg?precision=2")),
        ("unknown", "gh/acme/nothing/graph/badge.svg".into()),
        (
            "labelled",
            format!("{branch}/badge.svg?label=unit%20<b>&style=flat-square"),
        ),
        ("high", format!("{branch}/badge.svg?style=for-the-badge")),
        ("bundle", format!("{branch}/bundle/app/badge.svg")),
    ] {
        insta::assert_snapshot!(name, shown(&api, &path).await);
    }
}

#[tokio::test]
async fn badge_of_a_bundle_shows_the_size_that_the_head_has() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/gadgets").await;
    for (size, stats) in [
        (1, r#"{"bundleName": "app""#.to_owned()),
        (2, stats(2)),
        (3, stats(1_234_567)),
    ] {
        let facts = json!({
            "commit": HEAD, "branch": "main", "slug": "acme::::gadgets", "git_service": "github",
            "service": "local",
        });
        let announced = Client::new()
            .post(format!("{}/upload/bundle_analysis/v1", api.app.url))
            .header("Authorization", format!("token {token}"))
            .json(&facts)
            .send()
            .await
            .unwrap();
        assert_eq!(announced.status(), 201, "{size}");
        let announced: serde_json::Value = announced.json().await.unwrap();
        let put = Client::new().put(announced["url"].as_str().unwrap());
        assert_eq!(put.body(stats).send().await.unwrap().status(), 200);
        api.app.settled().await;
    }
    for (path, size) in [
        ("graph/bundle/app/badge.txt", "1.23MB"),
        ("graphs/bundle/app/badge.txt?precision=0", "1MB"),
        ("branch/main/graph/bundle/app/badge.txt", "1.23MB"),
        ("graph/bundle/other/badge.txt", "unknown"),
        ("branch/other/graph/bundle/app/badge.txt", "unknown"),
    ] {
        let path = format!("gh/acme/gadgets/{path}");
        assert_eq!(shown(&api, &path).await, size, "{path}");
    }
    let picture = shown(&api, "gh/acme/gadgets/graph/bundle/app/badge.svg").await;
    insta::assert_snapshot!("bundle of a size", picture);
    let private = api.app.upload_token("github/acme/hidden").await;
    assert!(!private.is_empty());
    let hidden = "gh/acme/hidden/graph/bundle/app/badge.txt";
    assert_eq!(shown(&api, hidden).await, "unknown");
}

/// Statistics of the bundle `app`, of so many bytes.
fn stats(size: u64) -> String {
    let assets = json!([{"name": "a.js", "size": size}]);
    json!({"version": "3", "bundleName": "app", "assets": assets}).to_string()
}

#[tokio::test]
async fn colours_follow_the_range_of_the_repository() {
    let api = Api::start().await;
    add_flagged(&api, "gadgets").await;
    let path = "gh/acme/gadgets/branch/feat/x/graph/badge.svg?flag=unit&precision=1";
    assert!(shown(&api, path).await.contains("fill=\"#e05d44\""));
    set_yaml(&api, "gadgets", "coverage: {range: '0...75'}").await;
    // 37.5 is half of the way.
    assert!(shown(&api, path).await.contains("fill=\"#c0b01b\""));
}

#[tokio::test]
async fn wrong_extensions_and_decimals_are_refused_before_anything_is_looked_up() {
    let api = Api::start().await;
    for (path, detail) in [
        (
            "gh/a/b/graph/badge.png",
            "File extension should be one of [ svg || txt ]",
        ),
        (
            "gh/a/b/branch/c/d/graph/bundle/e/badge.png",
            "File extension should be one of [ svg || txt ]",
        ),
        (
            "gh/a/b/graph/badge.svg?precision=3",
            "Coverage precision should be one of [ 0 || 1 || 2 ]",
        ),
        (
            "gh/a/b/graph/bundle/c/badge.svg?precision=x",
            "Coverage precision should be one of [ 0 || 1 || 2 ]",
        ),
    ] {
        let answer = get(&api, path).await;
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body, json!({ "detail": detail }), "{path}");
    }
    assert_eq!(get(&api, "gh/a/b/graph/other").await.status(), 404);
    assert_eq!(get(&api, "gh/a/b/branch/other").await.status(), 404);
}

#[tokio::test]
async fn badge_is_asked_for_each_time_and_sent_only_when_it_differs() {
    let api = Api::start().await;
    let path = "gh/acme/nothing/graph/badge.svg";
    let answer = get(&api, path).await;
    let header = |name| answer.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header(CONTENT_TYPE), "image/svg+xml");
    assert_eq!(
        header(CONTENT_DISPOSITION),
        "inline; filename=\"badge.svg\""
    );
    let kept = "no-cache, no-store, must-revalidate, max-age=0";
    assert_eq!(header(CACHE_CONTROL), kept);
    let again = Client::new()
        .get(format!("{}/{path}", api.app.url))
        .header(IF_NONE_MATCH, header(ETAG));
    let again = again.send().await.unwrap();
    assert_eq!(again.status(), 304);
    assert_eq!(again.headers()[CACHE_CONTROL], kept);
    let text = get(&api, "gh/acme/nothing/graph/badge.txt").await;
    assert_eq!(text.headers()[CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(text.headers()[CACHE_CONTROL], kept);
}

#[tokio::test]
async fn graphs_are_drawn_like_this() {
    let api = Api::start().await;
    let token = api.app.public_repo("github/acme/nested").await;
    let facts = json!({"commitid": HEAD, "branch": "main", "pullid": 7});
    api.upload(&token, "nested", facts, "lcov.info", NESTED)
        .await;
    let graphs = "gh/acme/nested/graphs";
    for (name, path) in [
        ("tree", format!("{graphs}/tree.svg")),
        (
            "icicle",
            format!("{graphs}/icicle.svg?width=400&height=100"),
        ),
        ("sunburst", format!("{graphs}/sunburst.svg")),
        ("commits", format!("{graphs}/commits.svg")),
    ] {
        insta::assert_snapshot!(name, shown(&api, &path).await);
    }
    let tree = shown(&api, &format!("{graphs}/tree.svg")).await;
    for path in [
        "gh/acme/nested/branch/main/graph/tree.svg?src=pr&width=x",
        &format!("gh/acme/nested/commit/{HEAD}/graphs/tree.svg"),
        "gh/acme/nested/pull/7/graphs/tree.svg?src=pr",
    ] {
        assert_eq!(shown(&api, path).await, tree, "{path}");
    }
}

#[tokio::test]
async fn graph_that_is_not_there_or_not_to_be_seen_is_not_found() {
    let api = Api::start().await;
    let token = token_of(&api, "widgets").await;
    let missing = "Not found. Note: private repositories require ?token arguments";
    for (path, detail) in [
        ("gh/acme/widgets/graphs/tree.svg", missing),
        ("gh/acme/widgets/graphs/commits.svg", missing),
        ("gh/acme/widgets/graphs/tree.svg?token=wrong", missing),
        ("gh/acme/nothing/graphs/sunburst.svg", missing),
        (
            &format!("gh/acme/widgets/branch/none/graphs/tree.svg?token={token}"),
            missing,
        ),
        (
            &format!("gh/acme/widgets/pull/9/graphs/tree.svg?token={token}"),
            missing,
        ),
        (
            "gh/acme/widgets/graphs/tree.png",
            "File extension should be one of [ svg ]",
        ),
    ] {
        let answer = get(&api, path).await;
        assert_eq!(answer.status(), 404, "{path}");
        let body: serde_json::Value = answer.json().await.unwrap();
        assert_eq!(body, json!({ "detail": detail }), "{path}");
    }
    assert_eq!(
        get(&api, "gh/acme/widgets/pull/x/graphs/tree.svg")
            .await
            .status(),
        404
    );
    let answer = get(
        &api,
        &format!("gh/acme/widgets/graphs/tree.svg?token={token}"),
    )
    .await;
    assert_eq!(answer.status(), 200);
    assert_eq!(
        answer.headers()[CONTENT_DISPOSITION],
        "inline; filename=\"graph.svg\""
    );
}
