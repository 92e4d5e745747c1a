//! A reader for protocol buffers' text format, as far as the conformance vectors need it.

/// Fields of a message, in order; a name may repeat.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Message(pub(crate) Vec<(String, Field)>);

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Field {
    /// A number, a word such as `true`, or an enum's name.
    Scalar(String),
    /// A string or bytes, unescaped.
    Text(Vec<u8>),
    Message(Message),
}

// === impl Message ===

impl Message {
    pub(crate) fn all<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Field> {
        self.0.iter().filter(move |(n, _)| n == name).map(|(_, f)| f)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, f)| f)
    }

    pub(crate) fn message(&self, name: &str) -> Option<&Message> {
        match self.get(name)? {
            Field::Message(message) => Some(message),
            _ => None,
        }
    }

    pub(crate) fn messages<'m>(&'m self, name: &'m str) -> impl Iterator<Item = &'m Message> {
        self.all(name).filter_map(|f| match f {
            Field::Message(message) => Some(message),
            _ => None,
        })
    }

    pub(crate) fn text(&self, name: &str) -> Option<String> {
        match self.get(name)? {
            Field::Text(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
            _ => None,
        }
    }

    pub(crate) fn scalar(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Field::Scalar(word) => Some(word),
            _ => None,
        }
    }
}

/// Reads a whole file.
pub(crate) fn read(text: &str) -> Result<Message, String> {
    let mut reader = Reader { bytes: text.as_bytes(), at: 0 };
    let message = reader.message(None)?;
    Ok(message)
}

struct Reader<'t> {
    bytes: &'t [u8],
    at: usize,
}

// === impl Reader ===

impl Reader<'_> {
    fn space(&mut self) {
        while let Some(b) = self.bytes.get(self.at) {
            match b {
                b'#' => self.at += self.bytes[self.at..].iter().take_while(|b| **b != b'\n').count(),
                b if b.is_ascii_whitespace() || matches!(b, b',' | b';') => self.at += 1,
                _ => return,
            }
        }
    }

    fn fault<T>(&self, what: &str) -> Result<T, String> {
        let line = self.bytes[..self.at.min(self.bytes.len())].iter().filter(|b| **b == b'\n').count() + 1;
        Err(format!("line {line}: {what}"))
    }

    fn message(&mut self, close: Option<u8>) -> Result<Message, String> {
        let mut message = Message::default();
        loop {
            self.space();
            match (self.bytes.get(self.at), close) {
                (None, None) => return Ok(message),
                (None, Some(_)) => return self.fault("a message is not closed"),
                (Some(b), Some(close)) if *b == close => {
                    self.at += 1;
                    return Ok(message);
                }
                _ => self.field(&mut message)?,
            }
        }
    }

    fn field(&mut self, message: &mut Message) -> Result<(), String> {
        let name = if self.bytes[self.at] == b'[' {
            let length = self.bytes[self.at..].iter().take_while(|b| **b != b']').count() + 1;
            self.at += length;
            String::from_utf8_lossy(&self.bytes[self.at - length..self.at]).into_owned()
        } else {
            self.word()?
        };
        self.space();
        if self.bytes.get(self.at) == Some(&b':') {
            self.at += 1;
        }
        self.space();
        if self.bytes.get(self.at) == Some(&b'[') {
            self.at += 1;
            loop {
                self.space();
                if self.bytes.get(self.at) == Some(&b']') {
                    self.at += 1;
                    return Ok(());
                }
                let value = self.value()?;
                message.0.push((name.clone(), value));
            }
        }
        let value = self.value()?;
        message.0.push((name, value));
        Ok(())
    }

    fn word(&mut self) -> Result<String, String> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'+' | b'.')) {
            self.at += 1;
        }
        if start == self.at {
            return self.fault("a word is expected");
        }
        Ok(String::from_utf8_lossy(&self.bytes[start..self.at]).into_owned())
    }

    fn value(&mut self) -> Result<Field, String> {
        match self.bytes.get(self.at) {
            Some(b'{') => {
                self.at += 1;
                self.message(Some(b'}')).map(Field::Message)
            }
            Some(b'<') => {
                self.at += 1;
                self.message(Some(b'>')).map(Field::Message)
            }
            Some(b'"' | b'\'') => {
                let mut text = Vec::new();
                // Literals one after another are one.
                while let Some(quote @ (b'"' | b'\'')) = self.bytes.get(self.at).copied() {
                    self.at += 1;
                    self.literal(quote, &mut text)?;
                    self.space_only();
                }
                Ok(Field::Text(text))
            }
            Some(_) => self.word().map(Field::Scalar),
            None => self.fault("a value is expected"),
        }
    }

    fn space_only(&mut self) {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
    }

    fn literal(&mut self, quote: u8, out: &mut Vec<u8>) -> Result<(), String> {
        loop {
            let Some(b) = self.bytes.get(self.at).copied() else { return self.fault("a literal is not closed") };
            self.at += 1;
            match b {
                b if b == quote => return Ok(()),
                b'\\' => self.escape(out)?,
                b => out.push(b),
            }
        }
    }

    fn escape(&mut self, out: &mut Vec<u8>) -> Result<(), String> {
        let b = self.bytes[self.at];
        self.at += 1;
        let number = |reader: &mut Self, most: usize, radix: u32, start: usize| {
            let digits = reader.bytes[start..].iter().take(most).take_while(|b| (**b as char).is_digit(radix)).count();
            let text = std::str::from_utf8(&reader.bytes[start..start + digits]).map_err(|e| e.to_string())?;
            reader.at = start + digits;
            u32::from_str_radix(text, radix).map_err(|e| e.to_string())
        };
        let at = self.at;
        match b {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'a' => out.push(7),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'v' => out.push(11),
            b'x' => out.push(number(self, 2, 16, at)? as u8),
            b'0'..=b'7' => out.push(number(self, 3, 8, at - 1)? as u8),
            b'u' | b'U' => {
                let code = number(self, if b == b'u' { 4 } else { 8 }, 16, at)?;
                let c = char::from_u32(code).ok_or("no code point")?;
                out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
        Ok(())
    }
}
