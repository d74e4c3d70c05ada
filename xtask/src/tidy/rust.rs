//! Just enough of Rust's grammar to find words and paths: comments and literals blanked, tokens,
//! and paths with `use` groups spelled out.

/// The code with comments, strings and characters turned into blanks; lines stay where they are.
pub(super) fn code_only(text: &str) -> String {
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = literal_length(rest, code.chars().next_back());
        if length == 0 {
            code.push(first);
            rest = &rest[first.len_utf8()..];
        } else {
            let (literal, after) = rest.split_at(length);
            code.extend(literal.chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
            rest = after;
        }
    }
    code
}

/// Bytes of the comment or literal that `rest` begins with; zero for anything else.
fn literal_length(rest: &str, before: Option<char>) -> usize {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return block_comment(rest);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    if rest.starts_with('r') && !in_word {
        let hashes = rest[1..].chars().take_while(|&c| c == '#').count();
        if rest[1 + hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let start = hashes + 2;
            return rest[start..].find(&end).map_or(rest.len(), |at| start + at + end.len());
        }
    }
    if rest.starts_with('\'') {
        // A lifetime has no second quote after one character.
        let mut chars = rest.chars().skip(1);
        let (first, second) = (chars.next(), chars.next());
        if first == Some('\\') || second == Some('\'') {
            return quoted(rest, '\'');
        }
    }
    0
}

fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        let here = &rest.as_bytes()[at..];
        let step = if here.starts_with(b"/*") {
            depth += 1;
            2
        } else if here.starts_with(b"*/") {
            depth -= 1;
            2
        } else {
            1
        };
        at += step;
        if depth == 0 {
            return at;
        }
    }
    rest.len()
}

fn quoted(rest: &str, quote: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

/// A token with its line: a word, `::`, or a single character.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token<'a> {
    /// Its text.
    pub(super) text: &'a str,
    /// Counted from one.
    pub(super) line: usize,
}

impl Token<'_> {
    /// Whether it is an identifier or keyword.
    pub(super) fn is_word(&self) -> bool {
        self.text.starts_with(|c: char| c.is_alphabetic() || c == '_')
    }
}

/// Splits blanked code into tokens.
pub(super) fn tokens(code: &str) -> Vec<Token<'_>> {
    let mut tokens = Vec::new();
    for (index, text) in code.lines().enumerate() {
        let mut rest = text.trim_start();
        while let Some(first) = rest.chars().next() {
            let length = if first.is_alphanumeric() || first == '_' {
                rest.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(rest.len())
            } else if rest.starts_with("::") {
                2
            } else {
                first.len_utf8()
            };
            tokens.push(Token { text: &rest[..length], line: index + 1 });
            rest = rest[length..].trim_start();
        }
    }
    tokens
}

/// The paths that begin at `tokens[0]`, a word: `a::{b, c::d}` gives `a::b` and `a::c::d`.
pub(super) fn paths<'a>(tokens: &[Token<'a>]) -> Vec<Vec<&'a str>> {
    let mut found = Vec::new();
    walk(tokens, 0, &[], &mut found);
    found
}

/// Reads one path (with its group) at `at`; gives the position after it.
fn walk<'a>(tokens: &[Token<'a>], mut at: usize, head: &[&'a str], found: &mut Vec<Vec<&'a str>>) -> usize {
    let text = |at: usize| tokens.get(at).map_or("", |token| token.text);
    let mut path = head.to_vec();
    loop {
        match tokens.get(at) {
            Some(token) if token.is_word() => path.push(token.text),
            Some(token) if token.text == "{" => {
                at += 1;
                while !matches!(text(at), "" | "}") {
                    let next = walk(tokens, at, &path, found);
                    // `as name` and commas stand between the paths of a group.
                    at = next.max(at + usize::from(next == at));
                    while !matches!(text(at), "" | "}" | ",") {
                        at += 1;
                    }
                    at += usize::from(text(at) == ",");
                }
                return at + 1;
            }
            _ => break,
        }
        at += 1;
        if text(at) != "::" {
            break;
        }
        at += 1;
    }
    found.push(path);
    at
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_literals_become_blanks_of_the_same_lines() {
        let code = code_only("a /* b\n /* c */ */ d \"e\\\"f\" r#\"g\"h\"# 'i' '\\'' '\"' &'j k // l\nm");
        assert_eq!(code.split_whitespace().collect::<Vec<_>>(), ["a", "d", "&'j", "k", "m"]);
        assert_eq!(code.lines().count(), 3);
    }

    #[test]
    fn groups_are_spelled_out() {
        let code = "crate::{a::{self, b}, c::D as E, *, f}; g::h";
        let found: Vec<String> = paths(&tokens(code)).iter().map(|path| path.join("::")).collect();
        assert_eq!(found, ["crate::a::self", "crate::a::b", "crate::c::D", "crate", "crate::f"]);
    }

    #[test]
    fn a_path_in_an_expression_ends_where_it_ends() {
        assert_eq!(paths(&tokens("crate::say::note(&crate::b)")), [["crate", "say", "note"]]);
    }
}
