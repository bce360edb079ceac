#![no_main]

use ingest::fuzzing::scan_xml;

libfuzzer_sys::fuzz_target!(|content: &[u8]| scan_xml(content));
