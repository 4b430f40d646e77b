//! Archives whose contents were changed, made to say so: else no change would get past the checksums.

use flate2::{Crc, Decompress, FlushDecompress, Status};

/// Writes offsets, sizes and checksums anew, where the headers of an archive can still be found. What
/// needs zip64 stays as it is.
pub fn repair(bytes: &mut [u8]) {
    let locals = places(bytes, b"PK\x03\x04");
    let centrals = places(bytes, b"PK\x01\x02");
    let (Some(&directory), Some(&end)) = (centrals.first(), places(bytes, b"PK\x05\x06").last())
    else {
        return;
    };
    for (index, (&local, &central)) in locals.iter().zip(&centrals).enumerate() {
        let behind = locals.get(index + 1).copied().unwrap_or(directory);
        let _ = entry(bytes, local, central, behind);
    }
    let Some(size) = end.checked_sub(directory) else {
        return;
    };
    for (at, number) in [(12, size), (16, directory)] {
        put(bytes, end + at, u32::try_from(number).unwrap_or(0));
    }
    let count = u16::try_from(centrals.len()).unwrap_or(0).to_le_bytes();
    if let Some(counts) = bytes.get_mut(end + 8..end + 12) {
        counts.copy_from_slice(&[count, count].concat());
    }
}

/// Repairs one entry, which ends where what is `behind` it begins.
fn entry(bytes: &mut [u8], local: usize, central: usize, behind: usize) -> Option<()> {
    const LARGE: [u8; 4] = [0xff; 4];
    let half = |at: usize| Some(u16::from_le_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]));
    let data = local + 30 + usize::from(half(local + 26)?) + usize::from(half(local + 28)?);
    if bytes.get(local + 22..local + 26)? == LARGE
        || bytes.get(central + 24..central + 28)? == LARGE
    {
        return None;
    }
    let descriptor = match half(local + 6)? & 8 {
        0 => None,
        _ if bytes
            .get(behind.checked_sub(16)?..)?
            .starts_with(b"PK\x07\x08") =>
        {
            Some(behind - 12)
        }
        _ => Some(behind.checked_sub(12)?),
    };
    let signed = descriptor.is_some_and(|at| bytes[..at].ends_with(b"PK\x07\x08"));
    let data_end = descriptor.map_or(behind, |at| if signed { at - 4 } else { at });
    let packed = bytes.get(data..data_end)?;
    let mut crc = Crc::new();
    let size = if half(local + 8)? == 8 {
        let mut out = Vec::with_capacity(1 << 16);
        let mut decompress = Decompress::new(false);
        let status = decompress.decompress_vec(packed, &mut out, FlushDecompress::Finish);
        if !matches!(status, Ok(Status::StreamEnd)) {
            return None;
        }
        crc.update(&out);
        out.len()
    } else {
        crc.update(packed);
        packed.len()
    };
    let numbers = [
        crc.sum(),
        u32::try_from(packed.len()).ok()?,
        u32::try_from(size).ok()?,
    ];
    let places = [Some(central + 16), Some(local + 14), descriptor];
    for at in places.into_iter().flatten() {
        for (index, number) in numbers.into_iter().enumerate() {
            put(bytes, at + 4 * index, number);
        }
    }
    put(bytes, central + 42, u32::try_from(local).ok()?);
    Some(())
}

fn places(bytes: &[u8], signature: &[u8; 4]) -> Vec<usize> {
    let windows = bytes.windows(4).enumerate();
    windows
        .filter(|(_, four)| four == signature)
        .map(|(at, _)| at)
        .collect()
}

fn put(bytes: &mut [u8], at: usize, number: u32) {
    if let Some(four) = bytes.get_mut(at..at + 4) {
        four.copy_from_slice(&number.to_le_bytes());
    }
}
