//! Wake-ups: who waits for a topic is told after the commit that concerns it, on every node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::Result;

/// The one PostgreSQL channel; a notice's payload is the topic.
pub(crate) const CHANNEL: &str = "hitline";
/// Pause before the listener tries a lost server again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);
/// Topics that are kept whether or not somebody is subscribed to them.
const TOPICS_MIN: usize = 64;

/// The topics that someone in this process has subscribed to.
#[derive(Clone, Default)]
pub(crate) struct Topics(Arc<Mutex<Subscribed>>);

#[derive(Default)]
struct Subscribed {
    senders: HashMap<String, watch::Sender<u64>>,
    /// Topics that still had subscribers when the others were last forgotten.
    kept: usize,
}

impl Topics {
    pub(crate) fn subscribe(&self, topic: &str) -> watch::Receiver<u64> {
        let mut subscribed = self.lock();
        subscribed.forget_deserted();
        let senders = &mut subscribed.senders;
        senders.entry(topic.to_owned()).or_default().subscribe()
    }

    pub(crate) fn wake(&self, topic: &str) {
        if let Some(sender) = self.lock().senders.get(topic) {
            bump(sender);
        }
    }

    fn wake_all(&self) {
        self.lock().senders.values().for_each(bump);
    }

    fn lock(&self) -> MutexGuard<'_, Subscribed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribed {
    /// Forgets topics without subscribers, once they may be as many as the others: there is one for each commit that
    /// somebody has waited for. Costs, on average, a constant time for each subscription.
    fn forget_deserted(&mut self) {
        if self.senders.len() > 2 * self.kept.max(TOPICS_MIN) {
            self.senders.retain(|_, sender| sender.receiver_count() > 0);
            self.kept = self.senders.len();
        }
    }
}

fn bump(sender: &watch::Sender<u64>) {
    sender.send_modify(|count| *count = count.wrapping_add(1));
}

/// The task that passes PostgreSQL's notices on; it ends when this is dropped.
pub(crate) struct Listener(AbortHandle);

impl Listener {
    /// Takes one connection of the pool for good.
    pub(crate) async fn start(pool: &sqlx::PgPool, topics: Topics) -> Result<Listener> {
        let mut listener = PgListener::connect_with(pool).await?;
        listener.ignore_pool_close_event(false);
        listener.listen(CHANNEL).await?;
        Ok(Listener(
            tokio::spawn(listen(listener, topics)).abort_handle(),
        ))
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Notices sent while the connection was away are lost, so a reconnection wakes everyone.
async fn listen(mut listener: PgListener, topics: Topics) {
    loop {
        match listener.try_recv().await {
            Ok(Some(notice)) => topics.wake(notice.payload()),
            Ok(None) => topics.wake_all(),
            Err(sqlx::Error::PoolClosed) => return,
            Err(error) => {
                tracing::warn!(%error, "listening for wake-ups failed, trying again");
                tokio::time::sleep(RECONNECT_PAUSE).await;
                topics.wake_all();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_that_nobody_waits_for_are_forgotten_and_the_others_wake() {
        let topics = Topics::default();
        let mut waiting = topics.subscribe("waiting");
        for passed in 0..10_000 {
            topics.subscribe(&format!("passed {passed}"));
        }
        assert!(topics.lock().senders.len() <= 2 * TOPICS_MIN + 1);
        waiting.borrow_and_update();
        topics.wake("waiting");
        assert!(waiting.has_changed().expect("its sender is kept"));
    }
}
