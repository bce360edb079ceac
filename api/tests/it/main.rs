//! The appliance from outside: real HTTP, real clients, real crashes.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod access;
mod api;
mod app;
mod attempts;
mod backends;
mod bad_input;
mod badges;
mod captures;
mod cli;
mod cluster;
mod compare;
mod crash;
mod dead;
mod faults;
mod fleet;
mod forge;
mod lists;
mod network;
mod node;
mod offline;
mod older;
mod open_data;
mod openapi;
mod parse;
mod proxy;
mod pulls;
mod rest;
mod schemas;
mod settings;
mod uploader;
mod verdicts;
