//! A value of the wire in the bytes of its own encoding: from the agent through whoever passes it on, to the one place that
//! opens it. The app's first download thereby goes without the code that reads what only later pieces draw.

use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::WireError;

/// A `T`, encoded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(bound = "")]
pub struct Packed<T> {
    bytes: Vec<u8>,
    #[serde(skip)]
    of: PhantomData<fn() -> T>,
}

impl<T: Serialize> Packed<T> {
    /// Encodes. What cannot be encoded, which no type of the wire can cause, does not open.
    pub fn new(value: &T) -> Self {
        Self { bytes: postcard::to_stdvec(value).unwrap_or_default(), of: PhantomData }
    }
}

impl<T: DeserializeOwned> Packed<T> {
    /// Decodes.
    ///
    /// # Errors
    /// Bytes that are not what the type says.
    pub fn open(&self) -> Result<T, WireError> {
        Ok(postcard::from_bytes(&self.bytes)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_opens_and_what_is_cut_does_not() {
        let packed = Packed::new(&("a".to_owned(), 7_u64));
        assert_eq!(packed.open().unwrap(), ("a".to_owned(), 7));
        for len in 0..packed.bytes.len() {
            let cut = Packed::<(String, u64)> { bytes: packed.bytes[..len].to_vec(), of: PhantomData };
            assert!(cut.open().is_err(), "{len}");
        }
    }
}
