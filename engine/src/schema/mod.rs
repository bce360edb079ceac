//! Code generated from `schemas/` by `script/gen`; never edited.

#[rustfmt::skip]
#[path = "pack_generated.rs"]
#[allow(
    clippy::all,
    clippy::allow_attributes_without_reason,
    clippy::undocumented_unsafe_blocks,
    clippy::unwrap_used,
    missing_docs,
    unsafe_code,
    dead_code,
    unreachable_pub,
    reason = "generated"
)]
mod generated;

pub(crate) use generated::pack;
