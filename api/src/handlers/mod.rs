//! One file per resource: extract, authorise, one call inwards, answer.

pub mod badges;
pub mod blobs;
pub mod branches;
pub mod bundles;
pub mod commits;
pub mod downloads;
pub mod events;
pub mod exports;
pub mod graphs;
pub mod health;
pub mod images;
pub mod intake;
pub mod journal;
pub mod legacy;
pub mod lines;
pub mod page;
pub mod paths;
pub mod pulls;
pub mod reports;
pub mod repos;
pub mod rest;
pub mod side;
pub mod test_results;
pub mod uploads;
pub mod validate;
pub mod verdicts;
