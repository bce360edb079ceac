//! Reports that a node will be asked for: those of the branches that moved last, in repositories that it was asked for
//! lately. It makes or fetches them as soon as they are known, so that who asks first need not wait.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use engine::clock::Clock;
use engine::db::commits::{FOLDED, list_heads};
use engine::db::uploads::list_packs;
use engine::fold::PackSet;
use engine::id::RepoId;
use quick_cache::sync::Cache;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::app::App;

/// Repositories that are kept in mind.
const REPOS: usize = 32;
/// So long after it was asked for, a repository is no longer.
const HOT_US: i64 = 3_600_000_000;
/// Branches of a repository.
const BRANCHES: i64 = 8;
/// Folds that need not be looked at again: all that are hot, and those of an hour before.
const KNOWN: usize = 4 * REPOS * BRANCHES as usize;
/// Pause before reports are fetched: many come together, and the worker leaves its fold for others meanwhile.
const PAUSE: Duration = Duration::from_secs(1);

/// The repositories that this node was asked for lately.
pub struct Hot {
    asked_us: Mutex<HashMap<RepoId, i64>>,
    added: Notify,
    clock: Clock,
}

impl Hot {
    /// None yet.
    pub(crate) fn new(clock: Clock) -> Hot {
        Hot {
            asked_us: Mutex::default(),
            added: Notify::new(),
            clock,
        }
    }

    /// Notes that a repository was asked for. Of too many, the one that was longest not asked for is forgotten.
    pub(crate) fn ask(&self, repo: RepoId) {
        let now_us = self.clock.now_us();
        let mut asked = self.asked_us.lock().unwrap_or_else(PoisonError::into_inner);
        if asked.insert(repo, now_us).is_some() {
            return;
        }
        if asked.len() > REPOS {
            let oldest = asked.iter().min_by_key(|&(_, &at_us)| at_us);
            let oldest = oldest.map(|(&repo, _)| repo);
            oldest.map(|repo| asked.remove(&repo));
        }
        self.added.notify_one();
    }

    fn repos(&self) -> Vec<RepoId> {
        let since_us = self.clock.now_us() - HOT_US;
        let mut asked = self.asked_us.lock().unwrap_or_else(PoisonError::into_inner);
        asked.retain(|_, &mut at_us| at_us >= since_us);
        asked.keys().copied().collect()
    }
}

/// Fetches reports whenever a repository becomes hot or a report changes, until `stop`.
pub(crate) async fn run(app: App, stop: CancellationToken) {
    let mut folded = app.db.subscribe(FOLDED);
    let known = Cache::new(KNOWN);
    let work = async {
        loop {
            tokio::select! {
                _ = folded.changed() => {}
                () = app.hot.added.notified() => {}
            }
            tokio::time::sleep(PAUSE).await;
            folded.borrow_and_update();
            for repo in app.hot.repos() {
                if let Err(error) = fetch(&app, repo, &known).await {
                    tracing::debug!(%error, "a report is not fetched before it is asked for");
                }
            }
        }
    };
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}

/// Fetches the reports of a repository that are not known yet.
async fn fetch(app: &App, repo: RepoId, known: &Cache<String, ()>) -> engine::Result<()> {
    let heads = list_heads(&mut app.db.read_report().await?, repo, BRANCHES).await?;
    for (commit, fold) in heads {
        if known.get(&fold).is_some() {
            continue;
        }
        let uploads = list_packs(&mut app.db.read_report().await?, commit).await?;
        app.folds.report(&PackSet::of_uploads(&uploads)?).await?;
        metrics::counter!("hitline_prefetched_reports_total").increment(1);
        known.insert(fold, ());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_repositories_that_were_asked_for_last_are_kept_for_an_hour() {
        let clock = Clock::manual(0);
        let hot = Hot::new(clock.clone());
        for repo in 0..=REPOS as i64 {
            hot.ask(RepoId(repo));
            clock.advance_us(1);
            hot.ask(RepoId(0));
            clock.advance_us(1);
        }
        let mut repos = hot.repos();
        repos.sort_unstable();
        let last = 2..=REPOS as i64;
        assert!(
            repos
                .into_iter()
                .eq([0].into_iter().chain(last).map(RepoId))
        );
        clock.advance_us(HOT_US + 1);
        assert!(hot.repos().is_empty());
    }
}
