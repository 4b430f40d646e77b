//! `ld.so.cache`: a second reader, which follows glibc's `struct file_entry_new` by hand, finds the same.

#![no_main]

use libfuzzer_sys::fuzz_target;
use prebuild::runtime::parse_cache;

fuzz_target!(|bytes: &[u8]| {
    let found = parse_cache(bytes);
    assert_eq!(found, parse_cache(bytes));
    let Some(found) = found else {
        return;
    };
    let total: usize = found
        .iter()
        .map(|(name, path)| name.len() + path.len())
        .sum();
    assert!(total <= 16 << 20, "{total} bytes of {}", bytes.len());
    assert!(found.len() * 24 <= bytes.len());

    // The new format stands alone, or at a multiple of 8 behind the old one's entries.
    let new = b"glibc-ld.so.cache1.1";
    let start = if bytes.starts_with(new) {
        0
    } else {
        let entries =
            u32::from_ne_bytes(bytes[12..16].try_into().expect("it has a header")) as usize;
        (16 + 12 * entries).div_ceil(8) * 8
    };
    let cache = &bytes[start..];
    assert!(cache.starts_with(new));
    let mut rest = found.as_slice();
    for entry in cache.get(48..).unwrap_or_default().chunks_exact(24) {
        let word =
            |at: usize| u32::from_ne_bytes(entry[at..at + 4].try_into().expect("it is a word"));
        let is_at = |at: u32, text: &str| {
            let there = cache.get(at as usize..).unwrap_or_default();
            there
                .strip_prefix(text.as_bytes())
                .is_some_and(|rest| rest.first() == Some(&0))
        };
        let Some((name, path)) = rest.first() else {
            break;
        };
        assert!(path.starts_with('/'));
        if is_at(word(4), name) && is_at(word(8), path) && entry[16..] == [0; 8] {
            rest = &rest[1..];
        }
    }
    assert!(rest.is_empty(), "{rest:?} is no entry, or in another order");
});
