//! The queue and the writer beneath it, on SQLite and on PostgreSQL. No test sleeps: time is moved by hand.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeSet;
use std::time::Duration;

use engine::clock::Clock;
use engine::db::{Db, Page, settings};
use engine::id::JobId;
use engine::queue::{self, Depth, Job, LEASE_US, NewJob, Retried};
use engine::{Error, testing};
use futures_util::future::join_all;

const START_US: i64 = 1_790_000_000_000_000;
const KINDS: &[&str] = &["parse"];
/// Longer than any event takes; only a failing test waits so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Tells the test on both engines.
macro_rules! on_both {
    ($($name:ident),* $(,)?) => {
        mod sqlite { $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
            let clock = super::Clock::manual(super::START_US);
            super::$name(&super::testing::temp_sqlite(clock).await.db).await;
        })* }
        mod postgres { $(#[tokio::test(flavor = "multi_thread")] async fn $name() {
            let clock = super::Clock::manual(super::START_US);
            super::$name(&super::testing::postgres(clock).await.db).await;
        })* }
    };
}

on_both! {
    jobs_are_claimed_once_among_eight_claimers,
    lost_lease_is_claimed_again_and_the_loser_cannot_finish,
    failing_job_backs_off_and_dies_with_its_reason,
    waiting_jobs_of_one_key_coalesce,
    lanes_are_claimed_in_turn,
    enqueue_wakes_a_sleeping_worker,
    undone_write_enqueues_nothing,
    two_hundred_writers_are_served_and_a_failing_one_hurts_no_other,
    panicking_write_hurts_no_other,
}

async fn enqueue(db: &Db, job: NewJob) {
    let now_us = db.clock().now_us();
    db.write(move |conn| Box::pin(async move { queue::enqueue(conn, &job, now_us).await }))
        .await
        .unwrap();
}

async fn claim(db: &Db, worker: &str) -> Vec<Job> {
    queue::claim(db, worker, KINDS, 10, LEASE_US).await.unwrap()
}

async fn finish(db: &Db, job: &Job) -> engine::Result<()> {
    let job = job.clone();
    db.write(move |conn| Box::pin(async move { queue::finish(conn, &job).await }))
        .await
}

async fn retry(db: &Db, job: &Job, reason: &'static str) -> Retried {
    let (job, now_us) = (job.clone(), db.clock().now_us());
    db.write(move |conn| Box::pin(async move { queue::retry(conn, &job, reason, now_us).await }))
        .await
        .unwrap()
}

async fn depth(db: &Db) -> Depth {
    queue::depth(&mut db.read().await.unwrap()).await.unwrap()
}

fn job(payload: i64) -> NewJob {
    NewJob::new("parse", &payload, START_US).unwrap()
}

async fn lanes_are_claimed_in_turn(db: &Db) {
    for number in 0..100 {
        enqueue(db, job(number).in_lane(1)).await;
    }
    for number in 100..103 {
        enqueue(db, job(number).in_lane(2)).await;
    }
    enqueue(db, job(200)).await;
    let first = claim(db, "worker").await;
    let mut payloads: Vec<i64> = first.iter().map(|job| job.payload().unwrap()).collect();
    payloads.sort_unstable();
    assert_eq!(payloads, [0, 1, 2, 3, 4, 5, 100, 101, 102, 200]);
    let next: Vec<i64> = claim(db, "worker")
        .await
        .iter()
        .map(|job| job.payload().unwrap())
        .collect();
    assert_eq!(next.len(), 10, "later turns are due, too");
}

async fn jobs_are_claimed_once_among_eight_claimers(db: &Db) {
    join_all((0..100).map(|number| enqueue(db, job(number)))).await;
    enqueue(db, NewJob::new("other", &0, START_US).unwrap()).await;
    let claimers = (0..8).map(|number| async move {
        let mut payloads = Vec::new();
        loop {
            let jobs = queue::claim(db, &format!("worker-{number}"), KINDS, 3, LEASE_US)
                .await
                .unwrap();
            if jobs.is_empty() {
                return payloads;
            }
            for job in jobs {
                payloads.push(job.payload::<i64>().unwrap());
                finish(db, &job).await.unwrap();
            }
        }
    });
    let payloads: Vec<i64> = join_all(claimers).await.concat();
    assert_eq!(
        (
            payloads.len(),
            payloads.into_iter().collect::<BTreeSet<_>>().len()
        ),
        (100, 100)
    );
    assert_eq!(
        depth(db).await,
        Depth {
            ready: 1,
            running: 0,
            dead: 0
        }
    );
}

async fn lost_lease_is_claimed_again_and_the_loser_cannot_finish(db: &Db) {
    enqueue(db, job(1)).await;
    let first = claim(db, "first").await.remove(0);
    db.clock().advance_us(LEASE_US - 1);
    assert!(claim(db, "second").await.is_empty());
    queue::renew(db, &first, LEASE_US).await.unwrap();
    db.clock().advance_us(LEASE_US - 1);
    assert!(claim(db, "second").await.is_empty());
    db.clock().advance_us(1);
    let second = claim(db, "second").await.remove(0);
    assert_eq!(
        (second.id, second.attempt, second.worker.as_deref()),
        (first.id, 2, Some("second"))
    );
    assert!(matches!(
        finish(db, &first).await,
        Err(Error::Conflict { .. })
    ));
    assert!(matches!(
        queue::renew(db, &first, LEASE_US).await,
        Err(Error::Conflict { .. })
    ));
    finish(db, &second).await.unwrap();
    assert_eq!(depth(db).await, Depth::default());
}

async fn failing_job_backs_off_and_dies_with_its_reason(db: &Db) {
    enqueue(
        db,
        NewJob {
            max_attempts: 3,
            ..job(1)
        },
    )
    .await;
    let mut pauses = Vec::new();
    for _ in 0..2 {
        let claimed = claim(db, "w").await.remove(0);
        let Retried::At(due_us) = retry(db, &claimed, "disk full").await else {
            panic!("attempts are left")
        };
        pauses.push(due_us - db.clock().now_us());
        assert!(claim(db, "w").await.is_empty());
        assert_eq!(
            queue::next_due_us(&mut db.read().await.unwrap(), KINDS)
                .await
                .unwrap(),
            Some(due_us)
        );
        db.clock().advance_us(due_us - db.clock().now_us());
    }
    assert!(pauses[0] >= queue::BACKOFF_FIRST_US && pauses[0] <= queue::BACKOFF_FIRST_US * 5 / 4);
    assert!(
        pauses[1] >= queue::BACKOFF_FIRST_US * 2 && pauses[1] <= queue::BACKOFF_FIRST_US * 5 / 2
    );
    let last = claim(db, "w").await.remove(0);
    assert_eq!(retry(db, &last, "disk still full").await, Retried::Dead);
    let conn = &mut db.read().await.unwrap();
    let dead = queue::list_dead(conn, Page::first(9)).await.unwrap();
    assert_eq!(
        (dead.len(), dead[0].reason.as_deref()),
        (1, Some("disk still full"))
    );
    assert_eq!(queue::next_due_us(conn, KINDS).await.unwrap(), None);

    let (id, now_us) = (dead[0].id, db.clock().now_us());
    db.write(move |conn| Box::pin(async move { queue::revive(conn, id, now_us).await }))
        .await
        .unwrap();
    let missing = db
        .write(move |conn| Box::pin(async move { queue::revive(conn, JobId(1), now_us).await }))
        .await;
    assert!(missing.unwrap_err().is_not_found());
    let mut revived = claim(db, "w").await.remove(0);
    while revived.attempt < revived.max_attempts {
        db.clock().advance_us(LEASE_US);
        revived = claim(db, "w").await.remove(0);
    }
    db.clock().advance_us(LEASE_US);
    assert!(
        claim(db, "w").await.is_empty(),
        "a job that kills its workers ends"
    );
    assert_eq!(
        depth(db).await,
        Depth {
            ready: 0,
            running: 0,
            dead: 1
        }
    );
}

async fn waiting_jobs_of_one_key_coalesce(db: &Db) {
    let later = NewJob::new("parse", &1, START_US + 50)
        .unwrap()
        .with_key("commit-1");
    enqueue(db, later.clone()).await;
    enqueue(
        db,
        NewJob {
            run_after_us: START_US - 7,
            ..later.clone()
        },
    )
    .await;
    enqueue(db, later.clone()).await;
    assert_eq!(
        queue::oldest_age_us(&mut db.read().await.unwrap(), START_US + 7)
            .await
            .unwrap(),
        7,
        "what is due at once waits since it was made"
    );
    let running = claim(db, "w").await;
    assert_eq!(running.len(), 1);
    enqueue(db, later).await;
    assert_eq!(
        depth(db).await,
        Depth {
            ready: 1,
            running: 1,
            dead: 0
        }
    );
    assert_eq!(retry(db, &running[0], "late").await, Retried::Coalesced);
    assert_eq!(
        depth(db).await,
        Depth {
            ready: 1,
            running: 0,
            dead: 0
        }
    );
}

async fn enqueue_wakes_a_sleeping_worker(db: &Db) {
    let mut wakeups = db.subscribe(queue::TOPIC);
    let worker = async {
        loop {
            let jobs = claim(db, "w").await;
            if !jobs.is_empty() {
                return jobs;
            }
            queue::wait(db, KINDS, &mut wakeups).await.unwrap();
        }
    };
    let (jobs, ()) = tokio::time::timeout(PATIENCE, async {
        tokio::join!(worker, enqueue(db, job(1)))
    })
    .await
    .unwrap();
    assert_eq!(jobs.len(), 1);
}

async fn undone_write_enqueues_nothing(db: &Db) {
    let wakeups = db.subscribe(queue::TOPIC);
    let result: engine::Result<()> = db
        .write(|conn| {
            Box::pin(async move {
                queue::enqueue(conn, &job(1), START_US).await?;
                Err(Error::not_found("the rest"))
            })
        })
        .await;
    assert!(result.unwrap_err().is_not_found());
    assert_eq!(depth(db).await, Depth::default());
    assert!(!wakeups.has_changed().unwrap());
}

async fn two_hundred_writers_are_served_and_a_failing_one_hurts_no_other(db: &Db) {
    let writes = (0..200).map(|number| {
        let name = format!("name-{number:03}");
        db.write(move |conn| {
            Box::pin(async move {
                settings::get_or_insert_setting(conn, &name, "value").await?;
                match number {
                    77 => Err(Error::invalid("number", "it is 77")),
                    _ => Ok(number),
                }
            })
        })
    });
    let results = join_all(writes).await;
    for (number, result) in results.into_iter().enumerate() {
        assert_eq!(result.is_ok(), number != 77);
        let name = format!("name-{number:03}");
        let stored = settings::find_setting(&mut db.read().await.unwrap(), &name)
            .await
            .unwrap();
        assert_eq!(stored.is_some(), number != 77);
    }
}

async fn panicking_write_hurts_no_other(db: &Db) {
    let panicking = tokio::spawn({
        let db = db.clone();
        async move {
            db.write::<(), _>(|_| Box::pin(async { panic!("on purpose") }))
                .await
        }
    });
    assert!(!matches!(panicking.await, Ok(Ok(()))));
    db.write(|conn| Box::pin(settings::get_or_insert_setting(conn, "after", "value")))
        .await
        .unwrap();
    db.close().await;
}
