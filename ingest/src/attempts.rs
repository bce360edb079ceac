//! Builds that run again: which uploads a newer attempt of the same job supersedes.
//!
//! A job is known by its build, its code, the upload's name and its flags. Several uploads may have all of them in common,
//! as those of a build matrix: an attempt that brings fewer than an older one ran a part of them again, and which part cannot
//! be told; then all of them count. What is counted is a join, so that counting both changes no line that ran alike.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};

use engine::db::uploads::Attempt;
use engine::id::UploadId;

/// The uploads that are superseded now and were not, or the other way.
pub(crate) fn changed(attempts: &[Attempt]) -> Vec<(UploadId, bool)> {
    let mut jobs: HashMap<_, BTreeMap<i64, usize>> = HashMap::new();
    for upload in attempts {
        let of_job = jobs.entry(&upload.job).or_default();
        *of_job.entry(upload.number).or_default() += 1;
    }
    let is_superseded = |upload: &Attempt| {
        let uploads = |number: &i64| jobs[&upload.job][number];
        let mut newer = jobs[&upload.job].range((Excluded(upload.number), Unbounded));
        newer.any(|(_, newer)| *newer >= uploads(&upload.number))
    };
    attempts
        .iter()
        .map(|upload| (upload, is_superseded(upload)))
        .filter(|(upload, superseded)| upload.superseded != *superseded)
        .map(|(upload, superseded)| (upload.id, superseded))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(id: i64, job: &str, number: i64, superseded: bool) -> Attempt {
        Attempt {
            id: UploadId(id),
            job: vec![Some(job.to_owned())],
            number,
            superseded,
        }
    }

    fn changes(attempts: &[Attempt]) -> Vec<(i64, bool)> {
        let changed = changed(attempts).into_iter();
        changed.map(|(id, superseded)| (id.0, superseded)).collect()
    }

    #[test]
    fn newer_attempt_of_a_job_takes_the_place_of_the_older() {
        let first = attempt(1, "unit", 1, false);
        let other = attempt(2, "e2e", 1, false);
        assert_eq!(changes(&[first.clone(), other.clone()]), []);
        let again = attempt(3, "unit", 2, false);
        assert_eq!(
            changes(&[first.clone(), other.clone(), again.clone()]),
            [(1, true)]
        );
        let gone = Attempt {
            superseded: true,
            ..first
        };
        assert_eq!(changes(&[gone.clone(), other.clone(), again]), []);
        assert_eq!(changes(&[gone, other]), [(1, false)]);
    }

    #[test]
    fn greatest_number_supersedes_others_and_not_itself() {
        let all = [
            attempt(1, "unit", 1, false),
            attempt(2, "unit", i64::MAX, false),
        ];
        assert_eq!(changes(&all), [(1, true)]);
    }

    #[test]
    fn attempt_that_brings_fewer_uploads_supersedes_none() {
        let legs = [attempt(1, "test", 1, false), attempt(2, "test", 1, false)];
        let mut all = legs.to_vec();
        all.push(attempt(3, "test", 2, false));
        assert_eq!(changes(&all), []);
        all.push(attempt(4, "test", 2, false));
        assert_eq!(changes(&all), [(1, true), (2, true)]);
        all.push(attempt(5, "test", 3, false));
        assert_eq!(changes(&all), [(1, true), (2, true)]);
    }
}
