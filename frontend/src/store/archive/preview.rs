//! The beginning of a file as it is shown: lines of text, or bytes in hexadecimal. Pure; files are hostile.

use std::fmt::Write as _;

use glasshull_shared::unit;

/// Bytes of a file that are asked for.
pub const BYTES: usize = 64 << 10;
/// Characters of a line that are shown.
const LINE_CHARS: usize = 500;
/// Bytes of a file that is no text.
const BINARY_BYTES: usize = 1 << 10;
/// Bytes of a line of those.
const ROW: usize = 16;

/// What is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Preview {
    /// It has no bytes.
    Empty,
    /// Text, and how many of its lines are cut.
    Text {
        /// Lines with what is invisible escaped.
        text: String,
        /// Lines longer than what is shown of them.
        cut: usize,
    },
    /// No text.
    Binary {
        /// Address, bytes and letters of the first of them.
        hex: String,
        /// How many those are.
        shown: usize,
    },
}

/// Of the beginning of a file; `whole` when that is all of it.
pub fn preview(bytes: &[u8], whole: bool) -> Preview {
    if bytes.is_empty() {
        return Preview::Empty;
    }
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => Some(text),
        // A letter that is cut in its middle is no reason against text.
        Err(error) if error.error_len().is_none() && !whole => {
            bytes.get(..error.valid_up_to()).and_then(|bytes| std::str::from_utf8(bytes).ok())
        }
        Err(_) => None,
    };
    match text.filter(|text| !text.contains('\0')) {
        Some(text) => of_text(text),
        None => Preview::Binary { hex: hex(bytes), shown: bytes.len().min(BINARY_BYTES) },
    }
}

fn of_text(text: &str) -> Preview {
    let mut shown = String::with_capacity(text.len());
    let mut cut = 0;
    for (number, line) in text.split('\n').enumerate() {
        if number > 0 {
            shown.push('\n');
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        let end = line.char_indices().nth(LINE_CHARS).map_or(line.len(), |(end, _)| end);
        let (head, rest) = line.split_at(end);
        let parts: Vec<String> = head.split('\t').map(unit::printable).collect();
        shown.push_str(&parts.join("\t"));
        if !rest.is_empty() {
            cut += 1;
            let _ = write!(shown, " … {} more", unit::count(rest.chars().count() as u64)); // into a string
        }
    }
    Preview::Text { text: shown, cut }
}

/// As `hexdump -C` writes it.
fn hex(bytes: &[u8]) -> String {
    let mut text = String::new();
    for (number, row) in bytes.chunks(ROW).take(BINARY_BYTES / ROW).enumerate() {
        let _ = write!(text, "{:06x} ", number * ROW); // into a string, as below
        for at in 0..ROW {
            let gap = if at == ROW / 2 { "  " } else { " " };
            let _ = match row.get(at) {
                Some(byte) => write!(text, "{gap}{byte:02x}"),
                None => write!(text, "{gap}  "),
            };
        }
        let letter =
            |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
        text.push_str("  ");
        text.extend(row.iter().map(letter));
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(of: &str) -> (String, usize) {
        match preview(of.as_bytes(), true) {
            Preview::Text { text, cut } => (text, cut),
            other @ (Preview::Empty | Preview::Binary { .. }) => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_invisible_is_escaped_and_lines_stay_lines() {
        assert_eq!(text("a\tb\r\nc"), ("a\tb\nc".into(), 0));
        assert_eq!(text("<b>\u{1b}[2J\u{202e}x\rmore"), ("<b>\\u{1b}[2J\\u{202e}x\\rmore".into(), 0));
        let (shown, cut) = text(&format!("{}\nshort", "é".repeat(LINE_CHARS + 7)));
        assert!(shown.ends_with("é … 7 more\nshort"));
        assert_eq!(cut, 1);
    }

    #[test]
    fn only_an_end_that_was_cut_may_be_half_a_letter() {
        let half = &"aé".as_bytes()[..2];
        assert_eq!(preview(half, false), Preview::Text { text: "a".into(), cut: 0 });
        assert!(matches!(preview(half, true), Preview::Binary { shown: 2, .. }));
        assert_eq!(preview(b"", true), Preview::Empty);
    }

    #[test]
    fn what_is_no_text_stands_in_rows_of_one_width() {
        let Preview::Binary { hex: shown, .. } = preview(b"\x7fELF\0<script>\xff\n...more", true) else {
            panic!()
        };
        let lines: Vec<&str> = shown.lines().collect();
        assert_eq!(lines[0], "000000  7f 45 4c 46 00 3c 73 63  72 69 70 74 3e ff 0a 2e  .ELF.<script>...");
        assert_eq!(lines[1].find("..more"), lines[0].find(".ELF"));
        let Preview::Binary { hex, shown } = preview(&[0; 70_000], false) else { panic!() };
        assert_eq!((hex.lines().count(), shown), (BINARY_BYTES / ROW, BINARY_BYTES));
    }
}
