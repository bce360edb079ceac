//! Several nodes on one PostgreSQL and one bucket.

use api::roles::Roles;
use engine::blob::{Blobs as _, S3Blobs};
use engine::clock::Clock;
use engine::db::commits::find_commit;
use engine::db::repos::find_repo;
use engine::db::uploads::list_packs;
use engine::fold::PackSet;
use engine::secret::Secret;
use engine::testing::{Certificate, Nginx, PostgresServer, virtual_host_endpoint};
use futures_util::{StreamExt as _, stream};
use reqwest::Client;
use serde_json::Value;

use crate::app::TestApp;
use crate::backends::Backends;
use crate::fleet::{self, SHA};
use crate::node::{Node, announce, until};
use crate::rest;

const LCOV: &str = "SF:src/a.py\nDA:1,1\nDA:2,0\nend_of_record\n<<<<<< EOF\n";
const SOON: std::time::Duration = std::time::Duration::from_secs(60);

async fn node(backends: &Backends, roles: &str) -> TestApp {
    let roles: Roles = roles.parse().unwrap();
    TestApp::start_on(Some(backends), Clock::system(), |config| {
        config.roles = roles;
    })
    .await
}

#[tokio::test]
async fn an_upload_to_one_node_is_processed_by_another_and_read_from_a_third() {
    let backends = Backends::cluster().await;
    let taking = node(&backends, "api").await;
    let _worker = node(&backends, "worker").await;
    let reading = node(&backends, "api,web").await;

    let token = taking.upload_token("github/acme/widgets").await;
    let answer = announce(&taking.url, &token, SHA).send().await.unwrap();
    let created: Value = answer.json().await.unwrap();
    let place = created["raw_upload_location"].as_str().unwrap();
    assert!(place.starts_with(&taking.url), "{place}");
    let through = place.replace(&taking.url, &reading.url);
    let sent = Client::new().put(through).body(LCOV).send().await.unwrap();
    assert_eq!(sent.status(), 200, "nodes honour each other's signatures");

    assert_eq!(totals(&reading).await["coverage"], 50.0);
    let badge = format!(
        "{}/github/acme/widgets/graph/badge.svg?token={token}",
        reading.url
    );
    assert_eq!(reqwest::get(badge).await.unwrap().status(), 200);
}

#[tokio::test]
async fn a_node_answers_what_its_roles_say_and_how_it_is() {
    let backends = Backends::cluster().await;
    let worker = node(&backends, "worker").await;
    let status = async |path: &str| {
        let answer = reqwest::get(format!("{}{path}", worker.url)).await;
        answer.unwrap().status().as_u16()
    };
    assert_eq!(status("/readyz").await, 200);
    assert_eq!(status("/metrics").await, 200);
    assert_eq!(status("/api/v2/github/acme/repos/").await, 404);
    assert_eq!(status("/github/acme/widgets/graph/badge.svg").await, 404);
}

#[tokio::test]
async fn bytes_that_go_straight_to_the_store_are_found_there() {
    let mut backends = Backends::cluster().await;
    backends.s3.public_endpoint = Some(backends.s3.endpoint.clone());
    let test = node(&backends, "all").await;
    let token = test.upload_token("github/acme/widgets").await;
    let answer = announce(&test.url, &token, SHA).send().await.unwrap();
    let created: Value = answer.json().await.unwrap();
    let place = created["raw_upload_location"].as_str().unwrap();
    assert!(place.starts_with(&backends.s3.endpoint), "{place}");
    let sent = Client::new().put(place).body(LCOV).send().await.unwrap();
    assert_eq!(sent.status(), 200);
    assert_eq!(totals(&test).await["coverage"], 50.0);
}

#[tokio::test]
async fn a_report_of_a_repository_that_is_read_is_fetched_before_it_is_asked_for() {
    let backends = Backends::cluster().await;
    let worker = Node::start_role(backends.clone(), "api,worker").await;
    let reading = Node::start_role(backends, "api").await;
    let token = worker.add_repo("widgets").await;
    assert!(reading.list("commits/").await.is_empty());
    fleet::send_one(&worker.url, &token, 0).await;
    worker.settled(SHA).await;
    let metrics = async || {
        let answer = reqwest::get(format!("{}/metrics", reading.url)).await;
        answer.unwrap().text().await.unwrap()
    };
    let fetched = async || {
        let metrics = metrics().await;
        let is_fetched = metrics.contains("\nhitline_prefetched_reports_total ");
        is_fetched.then_some(metrics)
    };
    let before = until("the report is fetched", SOON, fetched).await;
    let in_memory = "hitline_reports_total{found=\"memory\"} ";
    assert!(before.contains(&format!("{in_memory}0")), "{before}");
    assert_eq!(
        reading.get(&format!("report/?sha={SHA}")).await["totals"]["sessions"],
        1
    );
    let after = metrics().await;
    assert!(!after.contains(&format!("{in_memory}0")), "{after}");
}

#[tokio::test]
async fn a_store_may_have_the_bucket_in_its_host_s_name() {
    let mut backends = Backends::cluster().await;
    let (path_style, scratch) = (backends.s3.clone(), tempfile::tempdir().unwrap());
    backends.http_proxy = Some(path_style.endpoint.clone());
    backends.s3.endpoint = virtual_host_endpoint();
    backends.s3.virtual_host = Some(true);
    store_and_read(backends).await;
    let blobs = S3Blobs::open(&path_style, scratch.path(), Clock::system()).await;
    let kept = blobs.unwrap().list("", 9).await.unwrap();
    assert!(!kept.is_empty(), "the same bucket by its path");
}

#[tokio::test]
async fn a_store_may_speak_tls_with_a_certificate_of_a_private_authority() {
    let mut backends = Backends::cluster().await;
    let certificate = Certificate::make();
    let nginx = Nginx::before(&backends.s3.endpoint, &certificate);
    backends.s3.endpoint = nginx.url.clone();
    backends.s3.ca_file = Some(certificate.file());
    store_and_read(backends).await;
}

/// Sends an upload to a program that keeps it there, and reads what became of it.
async fn store_and_read(backends: Backends) {
    let node = Node::start_on(Some(backends)).await;
    let token = node.add_repo("widgets").await;
    fleet::send_one(&node.url, &token, 0).await;
    let uploads = node.settled(SHA).await;
    assert_eq!(uploads[0]["state"], "merged");
    assert_eq!(node.totals_of(SHA, 1).await["files"], 2);
}

#[tokio::test]
async fn uploads_in_any_order_over_many_workers_make_one_report() {
    check_order(240).await;
}

#[tokio::test]
#[ignore = "long: script/test --faults"]
async fn a_thousand_uploads_in_any_order_over_many_workers_make_one_report() {
    check_order(1_000).await;
}

/// Sends so many uploads in two orders.
async fn check_order(count: usize) {
    let mut reports = Vec::new();
    for order in 0..2 {
        let backends = Backends::cluster().await;
        let taking = node(&backends, "api").await;
        let mut workers = Vec::new();
        for _ in 0..4 {
            workers.push(node(&backends, "worker").await);
        }
        let token = taking.upload_token("github/acme/widgets").await;
        let upload = async |nth: usize| drop(fleet::send_one(&taking.url, &token, nth).await);
        // 101 has no factor in common with their number: another order, of the same uploads.
        let uploads = (0..count).map(|nth| if order == 0 { nth } else { nth * 101 % count });
        stream::iter(uploads).for_each_concurrent(8, upload).await;
        taking.settled().await;
        let path = format!("github/acme/repos/widgets/commits/{SHA}/");
        let commit = rest::get(&taking, &path).await;
        assert_eq!(commit["totals"]["sessions"], count);
        let export = format!("{}/api/v2/{path}export/lcov", taking.url);
        let bearer = taking.api_token("acme").await;
        let export = Client::new()
            .get(export)
            .bearer_auth(bearer)
            .send()
            .await
            .unwrap();
        reports.push((commit["totals"].clone(), export.text().await.unwrap()));
    }
    assert!(reports[0].1.contains("SF:src/m0.c"));
    assert!(reports[0] == reports[1], "the order makes a difference");
}

#[tokio::test]
async fn a_fold_of_one_node_is_taken_by_another() {
    let backends = Backends::cluster().await;
    let (worker, reading) = (node(&backends, "all").await, node(&backends, "api").await);
    let token = worker.upload_token("github/acme/widgets").await;
    for nth in 0..3 {
        fleet::send_one(&worker.url, &token, nth).await;
        worker.settled().await;
    }
    let mut conn = worker.db().read().await.unwrap();
    let repo = find_repo(&mut conn, "github", "acme", "widgets").await;
    let (_, repo) = repo.unwrap().unwrap();
    let commit = find_commit(&mut conn, repo.id, SHA).await.unwrap().unwrap();
    let packs = list_packs(&mut conn, commit.id).await.unwrap();
    let packs = PackSet::of_uploads(&packs).unwrap();
    let name = format!("fold:{}", packs.key_hex());
    let left = async || worker.app.shared.get(&name).await;
    until("the fold is left for others", SOON, left).await;

    assert_eq!(totals(&reading).await["sessions"], 3);
    let report = reading.app.folds.report(&packs).await.unwrap();
    let file = reading.app.folds.file(&packs, &report.files[0].path).await;
    assert!(!file.unwrap().unwrap().is_empty());
    let counts = reading.app.folds.counts();
    assert!(
        counts.contains(&("others", 1)) && counts.contains(&("joined", 0)),
        "{counts:?}"
    );
}

#[tokio::test]
async fn reports_are_read_from_a_replica_that_has_all_of_it_and_else_from_the_primary() {
    let primary = PostgresServer::start().await;
    let replica = primary.replica().await;
    let mut backends = Backends::cluster().await;
    let url = |address: &str| format!("postgres://hitline@{address}/postgres");
    backends.database_url = url(&primary.address);
    let test = TestApp::start_on(Some(&backends), Clock::system(), |config| {
        config.replica_url = Some(Secret::new(url(&replica.address)));
    })
    .await;
    let token = test.upload_token("github/acme/widgets").await;
    let send = async |nth: usize| {
        fleet::send_one(&test.url, &token, nth).await;
        test.settled().await;
    };
    send(0).await;
    until("the replica is read from", SOON, async || {
        assert_eq!(totals(&test).await["sessions"], 1);
        test.db().replica_reads().filter(|reads| *reads > 0)
    })
    .await;
    // A replica that stands still would tell less than was written.
    replica.pause_replay().await;
    send(1).await;
    let before = test.db().replica_reads();
    assert_eq!(totals(&test).await["sessions"], 2);
    assert_eq!(test.db().replica_reads(), before);
    replica.kill();
    assert_eq!(totals(&test).await["sessions"], 2);
}

/// The totals of the commit, once it has a report.
async fn totals(test: &TestApp) -> Value {
    let path = format!("github/acme/repos/widgets/commits/{SHA}/");
    until("the commit has totals", SOON, async || {
        let commit = rest::get(test, &path).await;
        (!commit["totals"].is_null()).then(|| commit["totals"].clone())
    })
    .await
}
