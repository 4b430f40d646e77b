//! Code: no file is a panic, nor takes long; and what is found does not depend on how its bytes come.
//!
//! The first byte tells what the rest is: native code or a Python source. The second, in what chunks it
//! comes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prebuild::code::{Code, Scanner};

fuzz_target!(|input: &[u8]| {
    let [kind, chunk, bytes @ ..] = input else {
        return;
    };
    let path = if kind % 2 == 0 { "a.so" } else { "a.py" };
    let chunk = usize::from(*chunk) * 16 + 1;
    let whole = Code::of(path, bytes);
    let feed = |scanner: &mut Scanner| {
        for part in bytes.chunks(chunk) {
            scanner.feed(part);
        }
        Ok(())
    };
    let mut scanner = Scanner::new(path, bytes.len() as u64);
    feed(&mut scanner).expect("memory does not fail");
    let parts = scanner.finish(feed).expect("memory does not fail");
    assert_eq!(whole, parts);
});
