//! A database that is killed, and one that its replica takes over from.

use crate::backends::Backends;
use crate::fleet::send;
use crate::node::{Node, pause};
use crate::proxy::{Proxy, Way};

use engine::testing::PostgresServer;

use super::{LASTS, UPLOADS, calm};

/// Backends of which the database is this one.
async fn on(database: &str) -> Backends {
    let mut backends = Backends::cluster().await;
    backends.database_url = format!("postgres://hitline@{database}/postgres");
    backends
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_database_is_killed() {
    let calm = calm(UPLOADS).await;
    let mut database = PostgresServer::start().await;
    let mut node = Node::start_on(Some(on(&database.address).await)).await;
    let disturbed = send(&mut node, UPLOADS, async |_, mut done| {
        for nth in 1..=2 {
            done.wait_for(|&done| done >= nth * 2 * UPLOADS / 3)
                .await
                .unwrap();
            database.kill();
            database.restart().await;
        }
    })
    .await;
    disturbed.assert_is_that_of(&calm, "kills of the database");
}

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_a_replica_takes_over() {
    let calm = calm(UPLOADS).await;
    let primary = PostgresServer::start().await;
    let proxy = Proxy::to(&primary.address).await;
    let mut node = Node::start_on(Some(on(&proxy.address).await)).await;
    let replica = primary.replica().await;
    primary.await_replicas().await;
    let disturbed = send(&mut node, UPLOADS, async |_, mut done| {
        done.wait_for(|&done| done >= UPLOADS).await.unwrap();
        primary.kill();
        proxy.set(Way::Down);
        pause(LASTS).await;
        replica.promote().await;
        proxy.lead_to(&replica.address);
    })
    .await;
    disturbed.assert_is_that_of(&calm, "a failover");
}
