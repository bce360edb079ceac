//! `hitline doctor`: checks every part that a node stands on, and says what to do.

use std::path::Path;

use engine::Result;
use engine::cache::{Cache, CacheLimits};
use engine::clock::Clock;
use engine::queue;
use engine::secret::Secret;

use super::{DataArgs, print};
use crate::app::{open_blobs, open_db, open_redis};
use crate::config::Config;

/// One finding: what was checked, and what came of it.
type Finding = (&'static str, Result<String>, &'static str);

/// Prints a line for each check; fails when one failed.
pub(super) async fn run(args: DataArgs) -> anyhow::Result<()> {
    let config = args.config()?;
    let data = &config.data;
    let mut findings: Vec<Finding> = vec![
        (
            "data folder",
            check_folder(data),
            "create the folder and let this user write to it",
        ),
        (
            "database",
            check_database(&config).await,
            "check --database-url, and that the server runs and lets this user in",
        ),
        (
            "object store",
            check_blobs(&config).await,
            "make room on the disk and let this user write to the folder, or check the S3 settings",
        ),
        (
            "cache",
            check_cache(data),
            "delete the folder; it is made anew",
        ),
    ];
    if let Some(url) = &config.redis_url {
        let remedy = "check hitline.redis_url, and that the server runs; nodes go on without it, each for itself";
        findings.push(("Redis", check_redis(&config, url).await, remedy));
    }
    let (mut failed, checks) = (0, findings.len());
    for (part, finding, remedy) in findings {
        match finding {
            Ok(found) => print(&format!("ok    {part}: {found}"))?,
            Err(error) => {
                failed += 1;
                print(&format!("FAIL  {part}: {error}\n      remedy: {remedy}"))?;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {checks} checks failed");
    Ok(())
}

fn check_folder(data: &Path) -> Result<String> {
    std::fs::create_dir_all(data)
        .map_err(|e| engine::Error::io(format!("create {}", data.display()), e))?;
    Ok(data.display().to_string())
}

async fn check_database(config: &Config) -> Result<String> {
    let db = open_db(config, Clock::system()).await?;
    let depth = queue::depth(&mut db.read().await?).await?;
    Ok(format!(
        "{}, {} jobs ready, {} running, {} dead",
        db.engine_name(),
        depth.ready,
        depth.running,
        depth.dead
    ))
}

async fn check_redis(config: &Config, url: &Secret) -> Result<String> {
    let redis = open_redis(config, url, Clock::system())?;
    let away = |why| engine::Error::io("ask Redis", std::io::Error::other(why));
    redis.ping().await.map_err(away)?;
    Ok("it answers".into())
}

async fn check_blobs(config: &Config) -> Result<String> {
    let blobs = open_blobs(config, Clock::system()).await?;
    let key = format!("doctor/{}", uuid::Uuid::new_v4());
    blobs.put(&key, bytes::Bytes::from_static(b"probe")).await?;
    let read = blobs.get(&key).await?;
    blobs.delete(&key).await?;
    match &read[..] {
        b"probe" => Ok("writes, reads and deletes".into()),
        _ => Err(engine::Error::corrupt(
            key,
            "it reads other bytes than were written",
        )),
    }
}

/// Opens a cache of its own, as a running server holds the real one.
fn check_cache(data: &Path) -> Result<String> {
    let dir = data.join("cache").join("doctor");
    drop(Cache::open(&dir, CacheLimits::default())?);
    std::fs::remove_dir_all(&dir)
        .map_err(|e| engine::Error::io(format!("remove {}", dir.display()), e))?;
    Ok("opens".into())
}
