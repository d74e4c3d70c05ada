//! Packets as a look takes, follows and shows them.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = glasshull_fuzz::wire_packet(bytes);
});
