//! Frames of a look into a wire: beside the tables, on a connection of their own, in the same form and version.

use super::{MAX_CLIENT_BYTES, VERSION, WireError, pack, unpack};
use crate::domain::wire::{Order, Sight};

/// Encodes what the agent tells.
///
/// # Errors
/// Only when it cannot be serialized, which nothing told can cause.
pub fn encode_sight(sight: &Sight) -> Result<Vec<u8>, WireError> {
    Ok(pack(postcard::to_stdvec(sight)?))
}

/// Decodes a frame of the agent.
///
/// # Errors
/// As [`unpack`], and bytes that are not what the type says.
pub fn decode_sight(frame: &[u8]) -> Result<Sight, WireError> {
    Ok(postcard::from_bytes(&unpack(frame)?)?)
}

/// Encodes what a client wants.
///
/// # Errors
/// Only when it cannot be serialized, which no order can cause.
pub fn encode_order(order: &Order) -> Result<Vec<u8>, WireError> {
    let mut bytes = vec![VERSION];
    bytes.extend(postcard::to_stdvec(order)?);
    Ok(bytes)
}

/// Decodes what a client sent.
///
/// # Errors
/// Another version, over [`MAX_CLIENT_BYTES`], or bytes that are no order.
pub fn decode_order(bytes: &[u8]) -> Result<Order, WireError> {
    match bytes {
        [] => Err(WireError::Malformed("empty".into())),
        [VERSION, payload @ ..] if payload.len() <= MAX_CLIENT_BYTES => Ok(postcard::from_bytes(payload)?),
        [VERSION, ..] => Err(WireError::Malformed("longer than a client may send".into())),
        [other, ..] => Err(WireError::Version(*other)),
    }
}
