//! Answers of name servers.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = glasshull_fuzz::dns_answer(bytes);
});
