//! The query language of every table's filter box: `container:web state:D cpu>5 mem>100M -user:root "free text"`.
//!
//! Terms stand side by side and must all hold; a leading `-` turns one round; commas mean "or" within one. A view
//! names its fields ([`Field`]) and answers for each row ([`Record`]); this file knows neither processes nor
//! containers. Pure: text in, predicate and problems out. What cannot be understood is reported and left out, so the
//! text in the box is never lost and the rest of it still filters.

use std::borrow::Cow;

/// How a field's values are written and compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Text: `:` finds it anywhere within, `=` takes the whole; case does not matter.
    Text,
    /// One word of few: `:` takes the whole word; case does not matter.
    Word,
    /// A plain number; `:` takes one value or a range `10..20`.
    Number,
    /// Bytes; `k M G T` are powers of 1024, as the tables print sizes.
    Bytes,
    /// Bytes per second; `k M G T` are powers of 1000, as the tables print rates.
    Rate,
    /// Per cent as printed; the record answers with a ratio 0..1.
    Percent,
    /// Seconds; `s m h d` as suffix.
    Seconds,
}

/// One field a view can be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Field {
    /// What is typed before the operator.
    pub name: &'static str,
    /// How its values read.
    pub kind: Kind,
    /// One line for the help.
    pub help: &'static str,
}

/// What a record says about one field.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// Nobody knows, or there is none: no comparison holds.
    Unknown,
    /// For [`Kind::Text`] and [`Kind::Word`].
    Text(Cow<'a, str>),
    /// For all others; base units (bytes, bytes per second, ratio, seconds).
    Number(f64),
    /// Several numbers, of which one is enough: the ports of both ends.
    Numbers(Vec<f64>),
}

impl<'a> Value<'a> {
    /// Borrowed text.
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    /// Text that may be missing.
    pub fn maybe_text(text: Option<&'a str>) -> Self {
        text.map_or(Self::Unknown, Self::text)
    }

    /// A number that may be missing.
    pub fn maybe_number(number: Option<f64>) -> Self {
        number.map_or(Self::Unknown, Self::Number)
    }
}

/// A row, as the filter sees it.
pub trait Record {
    /// The value of the field with that [`Field::name`].
    fn value(&self, field: &str) -> Value<'_>;

    /// Texts that words without a field are looked for in.
    fn texts(&self) -> impl Iterator<Item = &str>;
}

/// A parsed query.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Query {
    terms: Vec<Term>,
}

/// What is wrong with a part of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The part, as typed.
    pub part: String,
    /// Why it is left out, with what to write instead.
    pub reason: String,
}

#[derive(Debug, Clone, PartialEq)]
struct Term {
    negative: bool,
    test: Test,
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Anywhere(Vec<String>),
    Text { field: &'static str, whole: bool, any_of: Vec<String> },
    Number { field: &'static str, any_of: Vec<Range> },
    Known { field: &'static str },
}

/// `low..=high`, each end open or closed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Range {
    low: f64,
    high: f64,
    open: bool,
}

impl Range {
    fn holds(self, n: f64) -> bool {
        // Ratios arrive as f32: 6.2 % must still be 6.2 %. Pids and inodes are whole, and neighbours are others.
        let slack = |end: f64| if n.fract() == 0.0 && end.fract() == 0.0 { 0.0 } else { end.abs() * 1e-6 };
        let (low, high) = (slack(self.low), slack(self.high));
        let within = n >= self.low - low && n <= self.high + high;
        let at_an_end = n <= self.low + low || n >= self.high - high;
        within && !(self.open && at_an_end)
    }
}

impl Query {
    /// Reads a query for a table with these fields. Never fails: what is wrong is in the second part.
    pub fn parse(text: &str, fields: &[Field]) -> (Self, Vec<Problem>) {
        let (mut terms, mut problems) = (Vec::new(), Vec::new());
        for word in words(text) {
            match term(&word, fields) {
                Ok(term) => terms.extend(term),
                Err(reason) => problems.push(Problem { part: word.text, reason }),
            }
        }
        (Self { terms }, problems)
    }

    /// Whether it lets everything through.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }

    /// Whether a record passes.
    pub fn matches(&self, record: &impl Record) -> bool {
        self.terms.iter().all(|t| t.test.holds(record) != t.negative)
    }
}

impl Test {
    fn holds(&self, record: &impl Record) -> bool {
        match self {
            Self::Anywhere(any_of) => any_of.iter().any(|n| record.texts().any(|t| contains(t, n))),
            Self::Text { field, whole, any_of } => match record.value(field) {
                Value::Text(text) if *whole => any_of.iter().any(|v| same(&text, v)),
                Value::Text(text) => any_of.iter().any(|v| contains(&text, v)),
                Value::Number(_) | Value::Numbers(_) | Value::Unknown => false,
            },
            Self::Number { field, any_of } => match record.value(field) {
                Value::Number(n) => any_of.iter().any(|r| r.holds(n)),
                Value::Numbers(all) => all.iter().any(|n| any_of.iter().any(|r| r.holds(*n))),
                Value::Text(_) | Value::Unknown => false,
            },
            Self::Known { field } => record.value(field) != Value::Unknown,
        }
    }
}

/// A word of the query: its characters with a mark on those that stood in quotes (they are never operators).
struct Word {
    text: String,
    chars: Vec<(char, bool)>,
    unclosed: bool,
}

fn words(text: &str) -> Vec<Word> {
    let mut all = Vec::new();
    let mut word = Word { text: String::new(), chars: Vec::new(), unclosed: false };
    let mut quoted = false;
    for c in text.chars() {
        if c.is_whitespace() && !quoted {
            if !word.text.is_empty() {
                all.push(std::mem::replace(
                    &mut word,
                    Word { text: String::new(), chars: Vec::new(), unclosed: false },
                ));
            }
            continue;
        }
        word.text.push(c);
        if c == '"' {
            quoted = !quoted;
        } else {
            word.chars.push((c, quoted));
        }
    }
    word.unclosed = quoted;
    if !word.text.is_empty() {
        all.push(word);
    }
    all
}

const OPERATORS: [&str; 7] = [">=", "<=", "!=", ">", "<", "=", ":"];

fn term(word: &Word, fields: &[Field]) -> Result<Option<Term>, String> {
    if word.unclosed {
        return Err("the quotation mark is not closed".into());
    }
    let negative = word.text.starts_with('-') && word.chars.len() > 1;
    let chars = &word.chars[usize::from(negative)..];
    let name_len = chars.iter().take_while(|(c, q)| !q && (c.is_ascii_lowercase() || *c == '_')).count();
    let rest = &chars[name_len..];
    let plain: String = rest.iter().take(2).take_while(|(_, q)| !q).map(|(c, _)| *c).collect();
    let operator = OPERATORS.iter().find(|o| plain.starts_with(**o)).filter(|_| name_len > 0);
    let Some(operator) = operator else {
        let needles = values(chars);
        let test = (!needles.is_empty()).then_some(Test::Anywhere(needles));
        return Ok(test.map(|test| Term { negative, test }));
    };
    let name: String = chars[..name_len].iter().map(|(c, _)| *c).collect();
    let Some(field) = fields.iter().find(|f| f.name == name) else {
        return Err(format!("no field “{name}” here; put it in quotation marks to look for the text"));
    };
    let values = values(&rest[operator.chars().count()..]);
    let (test, turned) = test(field, operator, values)?;
    Ok(Some(Term { negative: negative != turned, test }))
}

fn values(chars: &[(char, bool)]) -> Vec<String> {
    chars
        .split(|(c, quoted)| *c == ',' && !quoted)
        .map(|part| part.iter().map(|(c, _)| *c).collect::<String>())
        .filter(|v| !v.is_empty())
        .collect()
}

/// The test and whether its sense is turned round (`!=`).
fn test(field: &Field, operator: &str, values: Vec<String>) -> Result<(Test, bool), String> {
    let name = field.name;
    if values.is_empty() {
        return Err(format!("a value is missing after {name}{operator}"));
    }
    if values == ["*"] {
        return Ok((Test::Known { field: name }, operator == "!="));
    }
    match field.kind {
        Kind::Text | Kind::Word => match operator {
            ":" | "=" | "!=" => {
                let whole = operator != ":" || field.kind == Kind::Word;
                Ok((Test::Text { field: name, whole, any_of: values }, operator == "!="))
            }
            _ => Err(format!("{name} is text: use {name}:… or {name}=…")),
        },
        Kind::Number | Kind::Bytes | Kind::Rate | Kind::Percent | Kind::Seconds => {
            let any_of = values
                .iter()
                .map(|v| range(field.kind, operator, v))
                .collect::<Option<Vec<_>>>()
                .ok_or_else(|| format!("{name} wants {}", example(field.kind)))?;
            Ok((Test::Number { field: name, any_of }, operator == "!="))
        }
    }
}

/// How a value of that kind is written, for problems and help.
pub fn example(kind: Kind) -> &'static str {
    match kind {
        Kind::Text => "text, as in web or \"two words\"",
        Kind::Word => "one word",
        Kind::Number => "a number, as in 12 or 10..20",
        Kind::Bytes => "a size, as in 100M or 1.5G",
        Kind::Rate => "bytes per second, as in 500k or 2M",
        Kind::Percent => "per cent, as in 5 or 12.5",
        Kind::Seconds => "a time, as in 90s, 15m, 2h or 3d",
    }
}

fn range(kind: Kind, operator: &str, text: &str) -> Option<Range> {
    let (low, high, open) = match operator {
        ">" => (number(kind, text)?, f64::INFINITY, true),
        "<" => (f64::NEG_INFINITY, number(kind, text)?, true),
        ">=" => (number(kind, text)?, f64::INFINITY, false),
        "<=" => (f64::NEG_INFINITY, number(kind, text)?, false),
        _ => match text.split_once("..") {
            Some((low, high)) => (number(kind, low)?, number(kind, high)?, false),
            None => (number(kind, text)?, number(kind, text)?, false),
        },
    };
    Some(Range { low, high, open })
}

fn number(kind: Kind, text: &str) -> Option<f64> {
    let digits = text.trim_end_matches(|c: char| c.is_alphabetic() || c == '%' || c == '/');
    let n: f64 = digits.parse().ok().filter(|n: &f64| n.is_finite())?;
    let suffix = &text[digits.len()..];
    let power = |step: f64| match suffix.trim_end_matches("/s").trim_end_matches(['B', 'i']) {
        "" => Some(1.0),
        "k" | "K" => Some(step),
        "M" | "m" => Some(step.powi(2)),
        "G" | "g" => Some(step.powi(3)),
        "T" | "t" => Some(step.powi(4)),
        _ => None,
    };
    let factor = match kind {
        Kind::Bytes => power(1024.0)?,
        Kind::Rate => power(1000.0)?,
        Kind::Percent if matches!(suffix, "" | "%") => 0.01,
        Kind::Seconds => match suffix {
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3_600.0,
            "d" => 86_400.0,
            _ => return None,
        },
        Kind::Number if suffix.is_empty() => 1.0,
        Kind::Number | Kind::Percent | Kind::Text | Kind::Word => return None,
    };
    Some(n * factor)
}

/// Case-insensitive search that allocates only for needles beyond ASCII.
pub fn contains(text: &str, needle: &str) -> bool {
    if !needle.is_ascii() {
        return text.to_lowercase().contains(&needle.to_lowercase());
    }
    let needle = needle.as_bytes();
    needle.is_empty() || text.as_bytes().windows(needle.len()).any(|w| w.eq_ignore_ascii_case(needle))
}

fn same(a: &str, b: &str) -> bool {
    a.eq_ignore_ascii_case(b) || (!b.is_ascii() && a.to_lowercase() == b.to_lowercase())
}

#[cfg(test)]
#[path = "filter_test.rs"]
mod tests;
