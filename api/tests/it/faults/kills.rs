//! A server that is killed between two of its writes, whichever they are.

use crate::fleet::send;
use crate::node::Node;

use super::calm;

/// Calls by which bytes become durable, each group counted by itself.
const CALLS: [&str; 3] = [
    "fsync,fdatasync",
    "rename,renameat,renameat2,link,linkat",
    "pwrite64,write",
];
/// A point of the short form, and of the long one, in calls of one thread.
const SHORT: [usize; 3] = [3, 7, 12];
const LONG: [usize; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 17, 20, 25, 30];
/// Uploads for each point, so that work goes on while the server is killed.
const UPLOADS: usize = 12;

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_though_the_server_is_killed_between_writes() {
    check(&SHORT).await;
}

#[tokio::test]
#[ignore = "long: script/test --faults"]
async fn every_acknowledged_upload_is_merged_once_though_the_server_is_killed_between_any_writes() {
    check(&LONG).await;
}

async fn check(points: &[usize]) {
    let uploads = UPLOADS * points.len() * CALLS.len();
    let calm = calm(uploads).await;
    let mut node = Node::start_alone().await;
    let mut killed = 0;
    let disturbed = send(&mut node, uploads, async |node, mut done| {
        let places = points
            .iter()
            .flat_map(|point| CALLS.map(|calls| (calls, *point)));
        for (round, (calls, nth)) in places.enumerate() {
            done.wait_for(|&done| done >= 2 * UPLOADS * round)
                .await
                .unwrap();
            killed += usize::from(node.crash_at(calls, nth).await);
        }
    })
    .await;
    disturbed.assert_is_that_of(&calm, "kills between writes");
    let all = points.len() * CALLS.len();
    assert!(killed * 2 > all, "only {killed} of {all} kills met a write");
    eprintln!("killed {killed} times");
}
