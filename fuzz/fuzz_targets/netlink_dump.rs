//! Answers of the kernel's routing tables: links, addresses, neighbours, routes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let _ = glasshull_fuzz::netlink_dump(bytes);
});
