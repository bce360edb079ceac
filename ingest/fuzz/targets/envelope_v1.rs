#![no_main]

use ingest::envelope::Kind;
use ingest::fuzzing::open;

libfuzzer_sys::fuzz_target!(|content: &[u8]| open(Kind::V1, content));
