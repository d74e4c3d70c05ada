//! HTTP/1 in the bytes of a stream: which messages begin where, and secrets masked.
//!
//! Masking goes by lines, whatever the stream is: the value of a line that begins with the name of a secret header becomes
//! asterisks up to its end, also when the line comes in parts. What begins in the middle of such a line cannot be known.

use glasshull_shared::unit::printable_bytes;

/// Headers whose values are nobody's business, in lower case with their colon.
const SECRET: [&[u8]; 4] = [b"authorization:", b"proxy-authorization:", b"cookie:", b"set-cookie:"];
/// Longest of them.
const LONGEST: usize = 20;
/// A head that is longer is none.
const HEAD_AT_MOST: usize = 16 << 10;
/// Headers of a head; more are not looked at.
const HEADERS_AT_MOST: usize = 64;
/// Characters of a first line that are told.
const LINE_AT_MOST: usize = 200;
/// Methods of RFC 9110 and PATCH, with the space behind.
const METHODS: [&[u8]; 9] =
    [b"GET ", b"POST ", b"HEAD ", b"PUT ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"TRACE "];

/// Masks secrets in the bytes of one direction, in place.
#[derive(Debug, Clone)]
pub(super) struct Mask {
    state: State,
    /// Beginning of the line so far, in lower case.
    begun: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At the beginning of a line, while it may still be a secret one.
    Begin,
    /// In a line that is none.
    Pass,
    /// In the value of a secret one.
    Hide,
    /// Behind the end of a secret one: a line that begins with a space goes on with it.
    Folded,
}

impl Default for Mask {
    fn default() -> Self {
        Self { state: State::Begin, begun: Vec::with_capacity(LONGEST) }
    }
}

impl Mask {
    /// Masks the next bytes.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        for byte in bytes {
            *byte = self.step(*byte);
        }
    }

    /// Bytes were lost. `in_head`: what comes may be the rest of a secret.
    pub(super) fn lose(&mut self, in_head: bool) {
        let hides = matches!(self.state, State::Hide | State::Folded);
        self.state = if hides || in_head { State::Hide } else { State::Pass };
        self.begun.clear();
    }

    fn step(&mut self, byte: u8) -> u8 {
        if self.state == State::Folded {
            self.state = if matches!(byte, b' ' | b'\t') { State::Hide } else { State::Begin };
            self.begun.clear();
        }
        match (self.state, byte) {
            (State::Hide, b'\n') => self.state = State::Folded,
            (State::Hide, b'\r') => {}
            (State::Hide, _) => return b'*',
            (State::Begin | State::Pass, b'\n') => {
                self.state = State::Begin;
                self.begun.clear();
            }
            (State::Begin, _) => {
                self.begun.push(byte.to_ascii_lowercase());
                if SECRET.contains(&self.begun.as_slice()) {
                    self.state = State::Hide;
                } else if !SECRET.iter().any(|name| name.starts_with(&self.begun)) {
                    self.state = State::Pass;
                }
            }
            (State::Pass | State::Folded, _) => {}
        }
        byte
    }
}

/// Finds the messages in the bytes of one direction.
#[derive(Debug, Clone, Default)]
pub(super) struct Messages {
    /// A head that is not whole yet.
    head: Vec<u8>,
    /// Bytes of a body that are still to come.
    body: u64,
    /// There has been one: the stream is HTTP.
    found: bool,
}

impl Messages {
    /// First lines of the messages whose heads end in these bytes.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> Vec<String> {
        let mut lines = Vec::new();
        // A new message at the beginning of a segment ends a body that was announced and never came.
        if self.body > 0 && is_head(bytes) {
            self.body = 0;
        }
        while !bytes.is_empty() {
            let skipped = self.body.min(bytes.len() as u64);
            self.body -= skipped;
            bytes = bytes.get(usize::try_from(skipped).unwrap_or(usize::MAX)..).unwrap_or_default();
            if bytes.is_empty() || (self.head.is_empty() && !may_be_head(bytes)) {
                return lines;
            }
            let before = self.head.len();
            self.head.extend(bytes.iter().take(HEAD_AT_MOST - before.min(HEAD_AT_MOST)));
            match parse(&self.head) {
                Parsed::Whole { line, length, body } => {
                    lines.push(line);
                    self.found = true;
                    self.body = body;
                    self.head.clear();
                    bytes = bytes.get(length.saturating_sub(before)..).unwrap_or_default();
                }
                Parsed::Partial if self.head.len() < HEAD_AT_MOST => return lines,
                Parsed::Partial | Parsed::Nothing => {
                    self.head.clear();
                    return lines;
                }
            }
        }
        lines
    }

    /// Bytes were lost: whatever was under way ends. Whether what comes may be in a head.
    pub(super) fn lose(&mut self, lost: u64) -> bool {
        let in_head = !self.head.is_empty() || (self.found && self.body < lost);
        self.head.clear();
        self.body = self.body.saturating_sub(lost);
        in_head
    }
}

/// The first line of an HTTP message that begins here, bounded and printable.
pub(super) fn first_line(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(bytes.len());
    is_head(bytes).then(|| shown(bytes.get(..end).unwrap_or_default()))
}

/// Whether a message begins here.
fn is_head(bytes: &[u8]) -> bool {
    bytes.starts_with(b"HTTP/1.") || METHODS.iter().any(|method| bytes.starts_with(method))
}

/// The same for bytes that may be cut short.
fn may_be_head(bytes: &[u8]) -> bool {
    let begins = |word: &[u8]| bytes.starts_with(word) || word.starts_with(bytes);
    begins(b"HTTP/1.") || METHODS.iter().any(|method| begins(method))
}

enum Parsed {
    /// A head and, behind it, a body of so many bytes (0 when it does not say).
    Whole {
        line: String,
        length: usize,
        body: u64,
    },
    Partial,
    Nothing,
}

fn parse(head: &[u8]) -> Parsed {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_AT_MOST];
    let (status, request, found) = if head.starts_with(b"HTTP/1.") {
        let mut response = httparse::Response::new(&mut headers);
        let status = response.parse(head);
        (status, false, response.headers)
    } else {
        let mut request = httparse::Request::new(&mut headers);
        let status = request.parse(head);
        (status, true, request.headers)
    };
    match status {
        Ok(httparse::Status::Complete(length)) => {
            let body = found.iter().find(|h| h.name.eq_ignore_ascii_case("content-length"));
            let body = body.and_then(|h| std::str::from_utf8(h.value).ok()?.trim().parse().ok()).unwrap_or(0);
            let end = head.iter().position(|b| matches!(b, b'\r' | b'\n')).unwrap_or(length);
            let mut line = shown(head.get(..end).unwrap_or_default());
            let host = found.iter().find(|h| h.name.eq_ignore_ascii_case("host"));
            if let Some(host) = host.filter(|_| request) {
                line += &format!(" · {}", shown(host.value));
            }
            Parsed::Whole { line, length, body }
        }
        Ok(httparse::Status::Partial) => Parsed::Partial,
        Err(_) => Parsed::Nothing,
    }
}

fn shown(line: &[u8]) -> String {
    let cut = line.get(..LINE_AT_MOST).unwrap_or(line);
    let mut text = printable_bytes(cut);
    if cut.len() < line.len() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn masked(parts: &[&str]) -> String {
        let mut mask = Mask::default();
        let mut out = Vec::new();
        for part in parts {
            let mut bytes = part.as_bytes().to_vec();
            mask.apply(&mut bytes);
            out.extend(bytes);
        }
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn secrets_are_masked_and_everything_else_stays() {
        let request = "GET / HTTP/1.1\r\nHost: web\r\nAUTHORIZATION: Bearer abc\r\nX: cookie: no\r\nCookie: a=b\r\n  c=d\r\n\r\nbody";
        let expected = "GET / HTTP/1.1\r\nHost: web\r\nAUTHORIZATION:***********\r\nX: cookie: no\r\nCookie:****\r\n*****\r\n\r\nbody";
        assert_eq!(masked(&[request]), expected);
    }

    #[test]
    fn a_secret_in_parts_is_masked_too() {
        let got = masked(&["a\nSet-Coo", "kie", ": s", "ecret\n", "b"]);
        assert_eq!(got, "a\nSet-Cookie:*******\nb");
    }

    #[test]
    fn behind_lost_bytes_of_a_head_the_line_is_masked() {
        let (mut mask, mut messages) = (Mask::default(), Messages::default());
        assert!(messages.take(b"GET / HTTP/1.1\r\nCook").is_empty());
        mask.lose(messages.lose(9));
        let mut rest = b"cret\r\nHost: web\r\n".to_vec();
        mask.apply(&mut rest);
        assert_eq!(rest, b"****\r\nHost: web\r\n");
    }

    #[test]
    fn messages_are_found_one_behind_the_other_and_in_parts() {
        let mut messages = Messages::default();
        let two = b"POST /a HTTP/1.1\r\nHost: web\r\nContent-Length: 4\r\n\r\nGET GET /b HTTP/1.1\r\n\r\n";
        assert_eq!(messages.take(two), ["POST /a HTTP/1.1 · web", "GET /b HTTP/1.1"]);
        assert!(messages.take(b"HTTP/1.1 200 OK\r\nCont").is_empty());
        assert_eq!(messages.take(b"ent-Length: 9\r\n\r\n12345"), ["HTTP/1.1 200 OK"]);
        assert!(messages.take(b"6789").is_empty());
        assert_eq!(messages.take(b"HTTP/1.0 404 Not Found\r\n\r\n"), ["HTTP/1.0 404 Not Found"]);
    }

    #[test]
    fn what_is_no_http_is_left_alone() {
        let mut messages = Messages::default();
        assert!(messages.take(b"\x16\x03\x01").is_empty());
        assert!(messages.take(b"GETAWAY").is_empty());
        assert_eq!(first_line(b"GET /\x1b[2J HTTP/1.1\r\n"), Some("GET /\\u{1b}[2J HTTP/1.1".into()));
        assert_eq!(first_line(b"nothing"), None);
    }

    #[test]
    fn a_head_without_end_is_given_up() {
        let mut messages = Messages::default();
        messages.take(b"GET / HTTP/1.1\r\n");
        for _ in 0..HEAD_AT_MOST {
            messages.take(b"X-Long: 0123456789\r\n");
        }
        assert!(messages.head.len() <= HEAD_AT_MOST);
    }

    proptest! {
        #[test]
        fn no_bytes_panic_and_no_length_changes(parts: Vec<Vec<u8>>) {
            let (mut mask, mut messages) = (Mask::default(), Messages::default());
            for part in parts {
                let mut bytes = part.clone();
                mask.apply(&mut bytes);
                prop_assert_eq!(bytes.len(), part.len());
                let _ = messages.take(&part);
                let _ = first_line(&part);
            }
        }

        #[test]
        fn masking_in_parts_is_masking_at_once(text in "(cookie:|set-|a|\r|\n| |: ){0,40}", cut in 0usize..60) {
            let cut = cut.min(text.len());
            prop_assert_eq!(masked(&[&text[..cut], &text[cut..]]), masked(&[&text]));
        }
    }
}
