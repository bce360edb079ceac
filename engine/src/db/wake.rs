//! Wake-ups: who waits for a topic is told after the commit that concerns it, on every node.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::PgListener;
use tokio::sync::watch;
use tokio::task::AbortHandle;

use crate::error::Result;

/// The one PostgreSQL channel; a notice's payload is the topic.
pub(crate) const CHANNEL: &str = "hitline";
/// Pause before the listener tries a lost server again.
const RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// The topics that someone in this process has subscribed to.
#[derive(Clone, Default)]
pub(crate) struct Topics(Arc<Mutex<HashMap<String, watch::Sender<u64>>>>);

impl Topics {
    pub(crate) fn subscribe(&self, topic: &str) -> watch::Receiver<u64> {
        let mut topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        topics.entry(topic.to_owned()).or_default().subscribe()
    }

    pub(crate) fn wake(&self, topic: &str) {
        let topics = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = topics.get(topic) {
            bump(sender);
        }
    }

    fn wake_all(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
            .for_each(bump);
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
