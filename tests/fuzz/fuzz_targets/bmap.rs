#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cardsmith_fuzz::run("bmap", input));
