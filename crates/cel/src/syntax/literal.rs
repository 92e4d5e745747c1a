//! String and bytes literals: quotes, raw forms, escapes.

use super::Literal;

/// Reads a string or bytes literal at the start of `text`: its value and length in bytes. `None`
/// when there is none.
pub(super) fn string(text: &str) -> Option<Result<(Literal, usize), String>> {
    let prefix = text.bytes().take(2).take_while(|b| matches!(b, b'r' | b'R' | b'b' | b'B')).count();
    let marks = text.get(..prefix)?;
    let raw = marks.contains(['r', 'R']);
    let bytes = marks.contains(['b', 'B']);
    if prefix == 2 && !(raw && bytes) {
        return None;
    }
    let body = text.get(prefix..)?;
    let quote = ["\"\"\"", "'''", "\"", "'"].into_iter().find(|q| body.starts_with(q))?;
    Some(read(body.get(quote.len()..)?, quote, raw, bytes).map(|(value, length)| (value, prefix + 2 * quote.len() + length)))
}

fn read(body: &str, quote: &str, raw: bool, bytes: bool) -> Result<(Literal, usize), String> {
    let end = closing(body, quote, raw)?;
    let content = body.get(..end).unwrap_or_default();
    let mut out = Vec::with_capacity(content.len());
    let mut characters = content.chars();
    while let Some(c) = characters.next() {
        if c == '\\' && !raw {
            escape(&mut characters, bytes, &mut out)?;
        } else if c == '\r' && quote.len() == 3 {
            // A carriage return in a long literal counts as a line feed.
            out.push(b'\n');
            if characters.as_str().starts_with('\n') {
                characters.next();
            }
        } else {
            push(&mut out, c);
        }
    }
    if bytes {
        return Ok((Literal::Bytes(out), end));
    }
    let value = String::from_utf8(out).map_err(|_| "a string literal is not UTF-8".to_owned())?;
    Ok((Literal::String(value), end))
}

/// Length of the content before the closing quote.
fn closing(body: &str, quote: &str, raw: bool) -> Result<usize, String> {
    let content = body.as_bytes();
    let mut i = 0;
    while i < content.len() {
        let here = content.get(i..).unwrap_or_default();
        if here.starts_with(quote.as_bytes()) {
            return Ok(i);
        }
        match here.first() {
            Some(b'\\') if !raw => i += 2,
            Some(b'\n' | b'\r') if quote.len() == 1 => return Err("a string literal ends before its closing quote".into()),
            _ => i += 1,
        }
    }
    Err("a string literal has no closing quote".into())
}

fn push(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn escape(characters: &mut std::str::Chars<'_>, bytes: bool, out: &mut Vec<u8>) -> Result<(), String> {
    let unknown = |c: char| format!("escape sequence \\{c} is unknown; write \\\\ for a backslash");
    let c = characters.next().ok_or("a string literal ends in a backslash")?;
    let simple = match c {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' | '`' | '?' => c as u8,
        'x' | 'X' => return code(characters, String::new(), 2, 16, bytes, out),
        'u' if !bytes => return code(characters, String::new(), 4, 16, false, out),
        'U' if !bytes => return code(characters, String::new(), 8, 16, false, out),
        '0'..='3' => return code(characters, c.to_string(), 2, 8, bytes, out),
        c => return Err(unknown(c)),
    };
    out.push(simple);
    Ok(())
}

fn code(
    characters: &mut std::str::Chars<'_>,
    mut digits: String,
    count: usize,
    radix: u32,
    byte: bool,
    out: &mut Vec<u8>,
) -> Result<(), String> {
    for _ in 0..count {
        match characters.next() {
            Some(c) if c.is_digit(radix) => digits.push(c),
            _ => return Err(format!("a numeric escape sequence needs {} digits", count + usize::from(radix == 8))),
        }
    }
    let value = u32::from_str_radix(&digits, radix).map_err(|_| "a numeric escape sequence is out of range")?;
    if byte {
        out.push(u8::try_from(value).map_err(|_| "a byte escape sequence is out of range")?);
    } else {
        push(out, char::from_u32(value).ok_or_else(|| format!("{digits} is no code point"))?);
    }
    Ok(())
}
