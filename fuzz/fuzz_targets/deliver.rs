#![no_main]

#[path = "../entry/deliver.rs"]
mod deliver;

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    deliver::deliver(data);
});
