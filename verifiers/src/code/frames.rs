//! Length-prefixed frames.

use std::io;

/// Returns `body` with its length in front.
pub(crate) fn framed(body: &[u8]) -> io::Result<Vec<u8>> {
    let length = u32::try_from(body.len())
        .map_err(|_| io::Error::new(io::ErrorKind::InvalidInput, "a message of 4 GiB or more"))?;
    let mut bytes = length.to_le_bytes().to_vec();
    bytes.extend_from_slice(body);
    Ok(bytes)
}

/// The length that the first frame in `buffer` declares, once it has arrived.
pub(crate) fn declared(buffer: &[u8]) -> Option<usize> {
    buffer.first_chunk::<4>().map(|bytes| u32::from_le_bytes(*bytes) as usize)
}

/// Removes the first frame from `buffer`, once it is complete.
pub(crate) fn take_frame(buffer: &mut Vec<u8>) -> Option<Vec<u8>> {
    let end = 4 + declared(buffer)?;
    if buffer.len() < end {
        return None;
    }
    let rest = buffer.split_off(end);
    let frame = std::mem::replace(buffer, rest);
    Some(frame[4..].to_vec())
}
