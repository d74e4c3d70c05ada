//! Text from outside, bounded: hostile or careless neighbours put whole files into labels and names.

/// Longest text taken over, bytes.
pub(crate) const LONGEST_TEXT: usize = 4096;

/// At most [`LONGEST_TEXT`] bytes, whole characters.
pub(crate) fn cut(mut text: String) -> String {
    if text.len() > LONGEST_TEXT {
        let mut at = LONGEST_TEXT;
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        text.truncate(at);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_between_characters() {
        assert_eq!(cut("é".repeat(5000)).len(), 4096);
        assert_eq!(cut(format!("a{}", "é".repeat(5000))).len(), 4095);
        assert_eq!(cut("short".into()), "short");
    }
}
