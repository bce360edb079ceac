//! A worker that is cut off from all others, and comes back.

use std::time::Duration;

use crate::backends::Backends;
use crate::fleet::send;
use crate::network::Network;
use crate::node::{Node, pause};
use crate::proxy::Proxy;

use super::{UPLOADS, calm};

/// How long the worker is cut off: longer than a lease.
const CUT: Duration = Duration::from_secs(18);

#[tokio::test]
#[ignore = "long: script/test --faults"]
async fn every_acknowledged_upload_is_merged_once_though_a_worker_is_cut_off() {
    let calm = calm(UPLOADS).await;
    let backends = Backends::cluster().await;
    let network = Network::new();
    // The servers listen on the loopback alone.
    let mut seen_from_there = backends.clone();
    let host = network.host();
    let (user, place) = backends.database_url.split_once('@').unwrap();
    let (target, name) = place.split_once('/').unwrap();
    let database = Proxy::at(&host, target).await;
    seen_from_there.database_url = format!("{user}@{}/{name}", database.address);
    let store = Proxy::at(&host, &backends.s3.endpoint.replace("http://", "")).await;
    seen_from_there.s3.endpoint = format!("http://{}", store.address);
    let redis = Proxy::at(&host, &backends.redis_url.replace("redis://", "")).await;
    seen_from_there.redis_url = format!("redis://{}", redis.address);

    let mut taking = Node::start_role(backends.clone(), "api").await;
    let _cut_off = Node::start_behind(&network, seen_from_there, "worker").await;
    let disturbed = send(&mut taking, UPLOADS, async |_, mut done| {
        done.wait_for(|&done| done >= UPLOADS / 2).await.unwrap();
        network.cut();
        let _other = Node::start_role(backends.clone(), "worker").await;
        pause(CUT).await;
        network.heal();
        pause(CUT).await;
    })
    .await;
    disturbed.assert_is_that_of(&calm, "a partition");
}
