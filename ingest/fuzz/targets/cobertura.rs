#![no_main]

use ingest::Format;
use ingest::fuzzing::read_as;

libfuzzer_sys::fuzz_target!(|content: &[u8]| read_as(Format::Cobertura, content));
