//! The appliance from outside: real HTTP, real clients, real crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod api;
mod app;
mod bad_input;
mod badges;
mod captures;
mod cli;
mod compare;
mod crash;
mod forge;
mod node;
mod offline;
mod older;
mod open_data;
mod parse;
mod rest;
mod schemas;
mod settings;
mod uploader;
mod verdicts;
