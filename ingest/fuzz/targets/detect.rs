#![no_main]

use ingest::fuzzing::detect_and_read;

libfuzzer_sys::fuzz_target!(|content: &[u8]| detect_and_read("", content));
