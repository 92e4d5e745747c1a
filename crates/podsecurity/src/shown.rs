//! Words of an object in a text for people: quoted, one line, cut to a bounded length.

/// Characters of one value that a text shows.
const MAX_CHARACTERS: usize = 100;

/// `"value"`, control characters escaped, cut after a hundred characters.
pub(crate) fn quoted(value: &str) -> String {
    format!("\"{}\"", plain(value))
}

/// The same without quotes.
pub(crate) fn plain(value: &str) -> String {
    let mut shown = String::new();
    for (n, c) in value.chars().enumerate() {
        if n == MAX_CHARACTERS {
            shown.push('…');
            break;
        }
        if c.is_control() || c == '"' {
            shown.extend(c.escape_default());
        } else {
            shown.push(c);
        }
    }
    shown
}
