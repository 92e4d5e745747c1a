//! Recursive descent: `or` of `and` of `not` of parenthesis, check or macro.

use super::lexer::Lexer;
use super::{Check, Expression, Literal, MAX_CONDITION, MAX_DEPTH, Operand, Operator, Quantifier, Right, SyntaxError};

/// Names that are transformers when `(` follows.
pub(crate) const TRANSFORMERS: [&str; 8] = ["tolower", "toupper", "b64", "basename", "len", "join", "concat", "getopt"];

struct Parser<'a> {
    lexer: Lexer<'a>,
    depth: usize,
}

/// Reads a condition.
///
/// # Errors
/// Where reading stopped, what was expected there.
pub fn parse(text: &str) -> Result<Expression, SyntaxError> {
    if text.len() > MAX_CONDITION {
        return Err(SyntaxError { offset: 0, message: format!("{} bytes are more than {MAX_CONDITION}: split it into macros", text.len()) });
    }
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
    let expression = parser.or()?;
    parser.lexer.blanks();
    if !parser.lexer.done() {
        let here = parser.lexer.here();
        return parser.lexer.error(format!("expected and, or or the end, not {here}"));
    }
    Ok(expression)
}

/// Reads a field or transformer at the begin of `text`, as outputs have them; how many bytes it takes.
///
/// # Errors
/// None stands there, or it is not well formed.
pub fn parse_operand(text: &str) -> Result<(Operand, usize), SyntaxError> {
    let mut parser = Parser { lexer: Lexer::new(text), depth: 0 };
    let operand = parser.operand()?;
    Ok((operand, parser.lexer.at()))
}

// === impl Parser ===

impl Parser<'_> {
    fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth >= MAX_DEPTH {
            return self.lexer.error(format!("nested more than {MAX_DEPTH} deep: split it into macros"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    fn or(&mut self) -> Result<Expression, SyntaxError> {
        self.joined("or", Self::and, Expression::Or)
    }

    fn and(&mut self) -> Result<Expression, SyntaxError> {
        self.joined("and", Self::not, Expression::And)
    }

    fn joined(
        &mut self,
        word: &str,
        part: fn(&mut Self) -> Result<Expression, SyntaxError>,
        join: fn(Vec<Expression>) -> Expression,
    ) -> Result<Expression, SyntaxError> {
        let first = part(self)?;
        let mut all = Vec::new();
        loop {
            let before = self.lexer.at();
            self.lexer.blanks();
            if !self.lexer.word(word, &['(']) {
                self.lexer.back_to(before);
                break;
            }
            all.push(part(self)?);
        }
        if all.is_empty() {
            return Ok(first);
        }
        all.insert(0, first);
        Ok(join(all))
    }

    fn not(&mut self) -> Result<Expression, SyntaxError> {
        let mut negative = false;
        self.lexer.blanks();
        while self.lexer.word("not", &['(']) {
            negative = !negative;
            self.lexer.blanks();
        }
        let inner = if self.lexer.take("(") {
            let inner = self.deeper(Self::or)?;
            self.lexer.blanks();
            if !self.lexer.take(")") {
                let here = self.lexer.here();
                return self.lexer.error(format!("expected ), and or or, not {here}"));
            }
            inner
        } else {
            self.check()?
        };
        Ok(if negative { Expression::Not(Box::new(inner)) } else { inner })
    }

    fn check(&mut self) -> Result<Expression, SyntaxError> {
        self.lexer.term()?;
        let start = self.lexer.at();
        let name = self.lexer.name();
        if name.is_empty() {
            let here = self.lexer.here();
            return self.lexer.error(format!("expected a field, a macro, not or (, found {here}"));
        }
        let call = TRANSFORMERS.contains(&name) && self.lexer.rest().trim_start().starts_with('(');
        if !name.contains('.') && !call {
            return Ok(Expression::Macro(name.to_owned()));
        }
        self.lexer.back_to(start);
        let left = self.operand()?;
        self.lexer.blanks();
        let operator = self.operator()?;
        self.lexer.blanks();
        let quantifier = self.quantifier(operator)?;
        let right = if operator == Operator::Exists {
            Right::Nothing
        } else if operator.takes_list() || quantifier.is_some() {
            self.list_or_word()?
        } else {
            self.value()?
        };
        Ok(Expression::Check(Check { left, operator, quantifier, right }))
    }

    fn operator(&mut self) -> Result<Operator, SyntaxError> {
        for (spelled, operator) in Operator::SPELLED {
            let sign = !spelled.starts_with(|c: char| c.is_ascii_alphabetic());
            let found = match operator {
                _ if sign => self.lexer.take(spelled),
                Operator::Exists => self.lexer.word(spelled, &[')', '(']),
                _ if operator.takes_list() => self.lexer.word(spelled, &['(']),
                _ => self.lexer.word(spelled, &[]),
            };
            if found {
                return Ok(operator);
            }
        }
        let names: Vec<&str> = Operator::SPELLED.iter().map(|(n, _)| *n).collect();
        let here = self.lexer.here();
        self.lexer.error(format!("expected an operator ({}), found {here}", names.join(" ")))
    }

    fn quantifier(&mut self, operator: Operator) -> Result<Option<Quantifier>, SyntaxError> {
        if !operator.takes_quantifier() {
            return Ok(None);
        }
        for (word, quantifier) in [("anyof", Quantifier::Any), ("allof", Quantifier::All), ("oneof", Quantifier::One)] {
            let before = self.lexer.at();
            if self.lexer.word(word, &['(']) {
                self.lexer.blanks();
                if self.lexer.rest().starts_with('(') {
                    return Ok(Some(quantifier));
                }
                self.lexer.back_to(before);
            }
        }
        Ok(None)
    }

    fn list_or_word(&mut self) -> Result<Right, SyntaxError> {
        if !self.lexer.take("(") {
            if let Some(computed) = self.computed()? {
                return Ok(Right::Operand(computed));
            }
            return Ok(Right::List(vec![self.literal()?]));
        }
        let mut items = Vec::new();
        loop {
            self.lexer.blanks();
            if self.lexer.take(")") {
                return Ok(Right::List(items));
            }
            // Lists that vanish on substitution leave commas behind; they mean nothing.
            if self.lexer.take(",") {
                continue;
            }
            items.push(self.literal()?);
            self.lexer.blanks();
            if !self.lexer.rest().starts_with([',', ')']) {
                let here = self.lexer.here();
                return self.lexer.error(format!("expected , or ) in the list, found {here}"));
            }
        }
    }

    fn value(&mut self) -> Result<Right, SyntaxError> {
        match self.computed()? {
            Some(operand) => Ok(Right::Operand(operand)),
            None => Ok(Right::Value(self.literal()?)),
        }
    }

    /// `val(field)` or a transformer call, if one stands here.
    fn computed(&mut self) -> Result<Option<Operand>, SyntaxError> {
        let start = self.lexer.at();
        let name = self.lexer.name();
        let call = self.lexer.rest().starts_with('(');
        if call && TRANSFORMERS.contains(&name) {
            self.lexer.back_to(start);
            return Ok(Some(self.operand()?));
        }
        if !call || name != "val" {
            self.lexer.back_to(start);
            return Ok(None);
        }
        self.lexer.take("(");
        self.lexer.blanks();
        let operand = self.operand()?;
        self.lexer.blanks();
        if !self.lexer.take(")") {
            return self.lexer.error("val( takes one field: ) is missing");
        }
        Ok(Some(operand))
    }

    fn literal(&mut self) -> Result<Literal, SyntaxError> {
        self.lexer.term()?;
        if let Some(text) = self.lexer.quoted()? {
            return Ok(Literal { text, quoted: true });
        }
        let text = self.lexer.bare();
        if text.is_empty() {
            let here = self.lexer.here();
            return self.lexer.error(format!("expected a value, found {here}; put it in quotes if it has blanks or ( ) , ="));
        }
        Ok(Literal { text: text.to_owned(), quoted: false })
    }

    /// A field with its argument, or a transformer call.
    fn operand(&mut self) -> Result<Operand, SyntaxError> {
        let name = self.lexer.name();
        if name.contains('.') {
            return Ok(Operand::Field { name: name.to_owned(), argument: self.lexer.argument()? });
        }
        self.lexer.blanks();
        if !TRANSFORMERS.contains(&name) || !self.lexer.take("(") {
            let here = self.lexer.here();
            return self.lexer.error(format!("expected a field or one of {}, found {name}{here}", TRANSFORMERS.join(" ")));
        }
        let name = name.to_owned();
        let arguments = self.deeper(Self::arguments)?;
        Ok(Operand::Transform { name, arguments, argument: self.lexer.argument()? })
    }

    /// What stands between a call's parentheses, up to and with `)`.
    fn arguments(&mut self) -> Result<Vec<Operand>, SyntaxError> {
        let mut all = Vec::new();
        loop {
            self.lexer.blanks();
            if self.lexer.take(")") {
                return Ok(all);
            }
            if !all.is_empty() {
                if !self.lexer.take(",") {
                    let here = self.lexer.here();
                    return self.lexer.error(format!("expected , or ) in the call, found {here}"));
                }
                self.lexer.blanks();
            }
            self.lexer.term()?;
            all.push(self.argument_value()?);
        }
    }

    fn argument_value(&mut self) -> Result<Operand, SyntaxError> {
        if self.lexer.take("(") {
            return Ok(Operand::List(self.deeper(Self::arguments)?));
        }
        if let Some(text) = self.lexer.quoted()? {
            return Ok(Operand::Literal(text));
        }
        if self.lexer.rest().starts_with(|c: char| c.is_ascii_alphabetic()) {
            return self.operand();
        }
        Ok(Operand::Literal(self.literal()?.text))
    }
}
