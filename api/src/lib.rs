//! How people, CI and programs talk to Hitline: HTTP, authentication, the REST API and the upload
//! endpoints, and the commands of the one binary.

pub mod app;
pub mod auth;
pub mod base;
pub mod cli;
pub mod config;
mod connections;
pub mod diffs;
pub mod error;
pub mod forges;
pub mod handlers;
pub mod install;
pub mod middleware;
pub mod openapi;
mod prefetch;
pub mod roles;
pub mod router;
pub mod server;
pub mod svg;
pub mod sync;
pub mod times;
