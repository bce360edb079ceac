#![no_main]

use ingest::fuzzing::scan_json;

libfuzzer_sys::fuzz_target!(|content: &[u8]| scan_json(content));
