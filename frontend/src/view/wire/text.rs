//! Bytes of strangers as text: everything that is no plain character is escaped, so that nothing of it can act. Pure.

use std::fmt::Write;

use glasshull_shared::unit::printable;

/// Bytes in a line of a dump.
const WIDTH: usize = 16;

/// Text with its lines; what is no text is escaped, what is no UTF-8 becomes U+FFFD.
pub(super) fn readable(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    for (i, line) in text.split('\n').enumerate() {
        if i > 0 {
            out.push('\n');
        }
        let line = line.strip_suffix('\r').unwrap_or(line);
        for (j, cell) in line.split('\t').enumerate() {
            if j > 0 {
                out.push('\t');
            }
            out.push_str(&printable(cell));
        }
    }
    out
}

/// As `hexdump -C` prints it; numbers begin at `from`.
pub(super) fn dump(bytes: &[u8], from: usize) -> String {
    let mut out = String::with_capacity(bytes.len() * 5);
    for (i, line) in bytes.chunks(WIDTH).enumerate() {
        let _ = write!(out, "{:08x} ", from + i * WIDTH);
        for at in 0..WIDTH {
            if at == WIDTH / 2 {
                out.push(' ');
            }
            let _ = match line.get(at) {
                Some(byte) => write!(out, " {byte:02x}"),
                None => write!(out, "   "),
            };
        }
        let shown = |b: &u8| if b.is_ascii_graphic() || *b == b' ' { char::from(*b) } else { '.' };
        let _ = writeln!(out, "  |{}|", line.iter().map(shown).collect::<String>());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_keeps_its_lines_and_nothing_that_acts() {
        assert_eq!(readable(b"GET / HTTP/1.1\r\n\tx\r\n"), "GET / HTTP/1.1\n\tx\n");
        assert_eq!(readable(b"\x1b[2J\x00\xff"), "\\u{1b}[2J\\u{0}\u{fffd}");
        assert_eq!(readable("a\u{202e}b".as_bytes()), "a\\u{202e}b");
        assert_eq!(readable(b"<script>"), "<script>", "a text node needs no escape");
    }

    #[test]
    fn a_dump_reads_as_hexdump_prints_it() {
        let text = dump(b"0123456789abcdefXY\n", 16);
        assert_eq!(
            text,
            "00000010  30 31 32 33 34 35 36 37  38 39 61 62 63 64 65 66  |0123456789abcdef|\n\
             00000020  58 59 0a                                          |XY.|\n"
        );
    }
}
