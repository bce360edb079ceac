//! A server that is killed again and again loses nothing that it has acknowledged, and counts nothing twice.

use std::time::Duration;

use crate::fleet::send;
use crate::node::{Node, pause};

const UPLOADS: usize = 200;
const KILLS: usize = 6;
/// A kill comes so long after a step of a client at most, so that it meets the server anywhere between two.
const SCATTER_US: u64 = 20_000;
const SEED: u64 = 0x0068_6974_6c69_6e65;

#[tokio::test]
async fn every_acknowledged_upload_is_merged_once_however_often_the_server_is_killed() {
    let mut node = Node::start().await;
    let calm = send(&mut node, UPLOADS, async |_, _| {}).await;
    let mut seed = SEED;
    let kills: Vec<Kill> = (1..=KILLS)
        .map(|nth| Kill::random(&mut seed, nth))
        .collect();
    let mut node = Node::start().await;
    let killed = send(&mut node, UPLOADS, async |node, mut done| {
        for kill in &kills {
            done.wait_for(|&steps| steps >= kill.steps).await.unwrap();
            pause(kill.after).await;
            node.crash().await;
        }
    })
    .await;
    killed.assert_is_that_of(&calm, &format!("kills at {kills:?}"));
}

/// When the server is killed: after so many steps of all clients together, and a moment more.
#[derive(Debug)]
struct Kill {
    steps: usize,
    after: Duration,
}

impl Kill {
    fn random(seed: &mut u64, nth: usize) -> Kill {
        let between = 2 * UPLOADS / (KILLS + 1);
        let early = next(seed) as usize % (between / 2);
        Kill {
            steps: nth * between - early,
            after: Duration::from_micros(next(seed) % SCATTER_US),
        }
    }
}

/// The next number of a fixed sequence (SplitMix64).
fn next(seed: &mut u64) -> u64 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
