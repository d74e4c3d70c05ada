//! One direction of a TCP connection put together again from segments in any order.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = glasshull_fuzz::wire_stream(bytes);
});
