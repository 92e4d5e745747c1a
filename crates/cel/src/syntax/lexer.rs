//! Bytes to tokens.

use super::Literal;
use super::literal;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Identifier(String),
    Literal(Literal),
    /// A whole number without sign: its range depends on the sign before it.
    Integer(u64),
    Symbol(&'static str),
    End,
}

pub(super) struct Lexer<'s> {
    source: &'s str,
    at: usize,
}

/// Longest first, so that `<=` is not read as `<`.
const SYMBOLS: [&str; 25] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "-", "+", "*", "/", "%", "?", ":", ".", ",", "(", ")", "[", "]", "{", "}",
    "`",
];

// === impl Lexer ===

impl<'s> Lexer<'s> {
    pub(super) fn new(source: &'s str) -> Self {
        Lexer { source, at: 0 }
    }

    fn rest(&self) -> &'s str {
        self.source.get(self.at..).unwrap_or_default()
    }

    /// The next token and where it begins; an error says where and what.
    pub(super) fn next(&mut self) -> Result<(Token, usize), (usize, String)> {
        self.skip_space();
        let at = self.at;
        let rest = self.rest();
        let Some(first) = rest.chars().next() else { return Ok((Token::End, at)) };
        if let Some(quoted) = literal::string(rest) {
            let (value, length) = quoted.map_err(|e| (at, e))?;
            self.at += length;
            return Ok((Token::Literal(value), at));
        }
        let digit_follows = rest.as_bytes().get(1).is_some_and(u8::is_ascii_digit);
        if first.is_ascii_digit() || (first == '.' && digit_follows) {
            let (token, length) = number(rest).map_err(|e| (at, e))?;
            self.at += length;
            return Ok((token, at));
        }
        if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.bytes().take_while(|b| b.is_ascii_alphanumeric() || *b == b'_').count();
            self.at += length;
            let word = rest.get(..length).unwrap_or_default();
            let token = match word {
                "true" => Token::Literal(Literal::Bool(true)),
                "false" => Token::Literal(Literal::Bool(false)),
                "null" => Token::Literal(Literal::Null),
                "in" => Token::Symbol("in"),
                word => Token::Identifier(word.to_owned()),
            };
            return Ok((token, at));
        }
        let Some(symbol) = SYMBOLS.iter().find(|s| rest.starts_with(**s)) else {
            return Err((at, format!("character {first:?} has no meaning here")));
        };
        self.at += symbol.len();
        Ok((Token::Symbol(symbol), at))
    }

    fn skip_space(&mut self) {
        loop {
            let rest = self.rest();
            let blank = rest.bytes().take_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0c)).count();
            self.at += blank;
            let rest = self.rest();
            if !rest.starts_with("//") {
                return;
            }
            self.at += rest.find('\n').unwrap_or(rest.len());
        }
    }
}

fn number(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let unsigned = |length: usize| bytes.get(length).is_some_and(|b| matches!(b, b'u' | b'U'));
    let part = |from: usize, to: usize| text.get(from..to).unwrap_or_default();
    if text.starts_with("0x") || text.starts_with("0X") {
        let length = 2 + bytes.iter().skip(2).take_while(|b| b.is_ascii_hexdigit()).count();
        let digits = part(2, length);
        let value = u64::from_str_radix(digits, 16).map_err(|_| format!("number 0x{digits} is out of range"))?;
        return Ok(if unsigned(length) { (Token::Literal(Literal::Uint(value)), length + 1) } else { (Token::Integer(value), length) });
    }
    let digits = |from: usize| bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count();
    let mut length = digits(0);
    let mut floating = false;
    if bytes.get(length) == Some(&b'.') && digits(length + 1) > 0 {
        floating = true;
        length += 1 + digits(length + 1);
    }
    if bytes.get(length).is_some_and(|b| matches!(b, b'e' | b'E')) {
        let sign = usize::from(bytes.get(length + 1).is_some_and(|b| matches!(b, b'+' | b'-')));
        let exponent = digits(length + 1 + sign);
        if exponent > 0 {
            floating = true;
            length += 1 + sign + exponent;
        }
    }
    let written = part(0, length);
    if floating {
        let value = written.parse::<f64>().map_err(|_| format!("number {written} cannot be read"))?;
        return Ok((Token::Literal(Literal::Double(value)), length));
    }
    let value = written.parse::<u64>().map_err(|_| format!("number {written} is out of range"))?;
    Ok(if unsigned(length) { (Token::Literal(Literal::Uint(value)), length + 1) } else { (Token::Integer(value), length) })
}
