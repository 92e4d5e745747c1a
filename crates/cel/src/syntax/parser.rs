//! Tokens to a tree: recursive descent with a bound on depth and on the number of nodes.

use super::lexer::{Lexer, Token};
use super::{Expression, Kind, Literal};
use crate::error::{CompileError, Position};
use crate::limits::{MAX_DEPTH, MAX_NODES, MAX_SOURCE};

/// Reads a whole expression.
pub(crate) fn parse(source: &str) -> Result<Expression, CompileError> {
    if source.len() > MAX_SOURCE {
        let message = format!("{} bytes are more than an expression may have ({MAX_SOURCE})", source.len());
        return Err(CompileError { position: Position { line: 1, column: 1 }, message });
    }
    let placed = |(at, message): (usize, String)| CompileError { position: Position::of(source, at), message };
    let mut lexer = Lexer::new(source);
    let (token, at) = lexer.next().map_err(placed)?;
    let mut parser = Parser { lexer, token, at, depth: 0, nodes: 0 };
    let expression = parser.expression().map_err(placed)?;
    if parser.token != Token::End {
        return Err(placed(parser.unexpected("the end, or an operator")));
    }
    Ok(expression)
}

struct Parser<'s> {
    lexer: Lexer<'s>,
    token: Token,
    at: usize,
    depth: usize,
    nodes: usize,
}

type Parsed<T> = Result<T, (usize, String)>;

/// Words that may not name a variable or function.
const RESERVED: [&str; 20] = [
    "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package", "namespace", "return",
    "var", "void", "while", "true", "false", "null",
];

/// Binary operators by binding strength, weakest first; `&&` and `||` are read apart.
const OPERATORS: [&[(&str, &str)]; 3] = [
    &[("==", "_==_"), ("!=", "_!=_"), ("<", "_<_"), ("<=", "_<=_"), (">", "_>_"), (">=", "_>=_"), ("in", "@in")],
    &[("+", "_+_"), ("-", "_-_")],
    &[("*", "_*_"), ("/", "_/_"), ("%", "_%_")],
];

// === impl Parser ===

impl Parser<'_> {
    fn unexpected(&self, wanted: &str) -> (usize, String) {
        let found = match &self.token {
            Token::Identifier(name) => format!("{name:?}"),
            Token::Literal(_) | Token::Integer(_) => "a literal".to_owned(),
            Token::Symbol(symbol) => format!("'{symbol}'"),
            Token::End => "the end".to_owned(),
        };
        (self.at, format!("found {found} where {wanted} is expected"))
    }

    fn advance(&mut self) -> Parsed<Token> {
        let (next, at) = self.lexer.next()?;
        self.at = at;
        Ok(std::mem::replace(&mut self.token, next))
    }

    fn accept(&mut self, symbol: &str) -> Parsed<bool> {
        let found = matches!(&self.token, Token::Symbol(s) if *s == symbol);
        if found {
            self.advance()?;
        }
        Ok(found)
    }

    fn require(&mut self, symbol: &str) -> Parsed<()> {
        if self.accept(symbol)? { Ok(()) } else { Err(self.unexpected(&format!("'{symbol}'"))) }
    }

    fn node(&mut self, at: usize, kind: Kind) -> Parsed<Expression> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err((at, format!("the expression has more than {MAX_NODES} parts; use variables")));
        }
        let height = 1 + below(&kind);
        if height > MAX_DEPTH {
            return Err((at, format!("the expression is nested more than {MAX_DEPTH} deep; use variables")));
        }
        Ok(Expression { kind, at, height })
    }

    fn call(&mut self, at: usize, function: &str, arguments: Vec<Expression>) -> Parsed<Expression> {
        self.node(at, Kind::Call { receiver: None, function: function.to_owned(), arguments })
    }

    fn expression(&mut self) -> Parsed<Expression> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err((self.at, format!("the expression is nested more than {MAX_DEPTH} deep; use variables")));
        }
        let condition = self.logical("||")?;
        let result = if self.accept("?")? {
            let then = self.logical("||")?;
            self.require(":")?;
            let otherwise = self.expression()?;
            self.call(condition.at, "_?_:_", vec![condition, then, otherwise])?
        } else {
            condition
        };
        self.depth -= 1;
        Ok(result)
    }

    fn logical(&mut self, operator: &str) -> Parsed<Expression> {
        let side = |parser: &mut Self| if operator == "||" { parser.logical("&&") } else { parser.binary(0) };
        let first = side(self)?;
        let at = first.at;
        let mut terms = vec![first];
        while self.accept(operator)? {
            terms.push(side(self)?);
        }
        match (terms.len(), operator) {
            (1, _) => terms.pop().ok_or((at, String::new())),
            (_, "||") => self.node(at, Kind::Or(terms)),
            _ => self.node(at, Kind::And(terms)),
        }
    }

    fn binary(&mut self, strength: usize) -> Parsed<Expression> {
        let Some(operators) = OPERATORS.get(strength) else { return self.unary() };
        let mut left = self.binary(strength + 1)?;
        loop {
            let Token::Symbol(symbol) = self.token else { return Ok(left) };
            let Some((_, function)) = operators.iter().find(|(s, _)| *s == symbol) else { return Ok(left) };
            self.advance()?;
            let right = self.binary(strength + 1)?;
            left = self.call(left.at, function, vec![left, right])?;
        }
    }

    fn unary(&mut self) -> Parsed<Expression> {
        let at = self.at;
        let (mut nots, mut minuses) = (0usize, 0usize);
        while self.accept("!")? {
            nots += 1;
        }
        if nots == 0 {
            while matches!(self.token, Token::Symbol("-")) {
                self.advance()?;
                minuses += 1;
            }
        }
        let negative = minuses == 1 && matches!(self.token, Token::Integer(_) | Token::Literal(Literal::Double(_)));
        let operand = self.member(negative)?;
        if nots % 2 == 1 {
            return self.call(at, "!_", vec![operand]);
        }
        if (minuses - usize::from(negative)) % 2 == 1 {
            return self.call(at, "-_", vec![operand]);
        }
        Ok(operand)
    }

    fn member(&mut self, negative: bool) -> Parsed<Expression> {
        let mut operand = self.primary(negative)?;
        loop {
            let at = self.at;
            if self.accept(".")? {
                let optional = self.accept("?")?;
                let Token::Identifier(field) = self.advance()? else {
                    return Err((at, "a field or function name is expected after '.'; write [\"name\"] for any other name".into()));
                };
                if !optional && self.accept("(")? {
                    let arguments = self.arguments(")")?;
                    operand = self.node(at, Kind::Call { receiver: Some(Box::new(operand)), function: field, arguments })?;
                } else {
                    operand = self.node(at, Kind::Select { operand: Box::new(operand), field, optional })?;
                }
            } else if self.accept("[")? {
                let optional = self.accept("?")?;
                let key = self.expression()?;
                self.require("]")?;
                operand = self.node(at, Kind::Index { operand: Box::new(operand), key: Box::new(key), optional })?;
            } else if matches!(self.token, Token::Symbol("{")) && operand.dotted().is_some() {
                let name = operand.dotted().unwrap_or_default();
                self.advance()?;
                self.fields()?;
                operand = self.node(operand.at, Kind::Message(name))?;
            } else {
                return Ok(operand);
            }
        }
    }

    fn primary(&mut self, negative: bool) -> Parsed<Expression> {
        let at = self.at;
        match self.advance()? {
            Token::Literal(Literal::Double(value)) if negative => self.node(at, Kind::Literal(Literal::Double(-value))),
            Token::Literal(literal) => self.node(at, Kind::Literal(literal)),
            Token::Integer(magnitude) => {
                let value = i128::from(magnitude) * if negative { -1 } else { 1 };
                let value = i64::try_from(value).map_err(|_| (at, format!("number {value} is out of range; write u behind it for an unsigned one")))?;
                self.node(at, Kind::Literal(Literal::Int(value)))
            }
            Token::Identifier(name) => self.identifier(at, name, false),
            Token::Symbol(".") => match self.advance()? {
                Token::Identifier(name) => self.identifier(at, name, true),
                _ => Err((at, "a name is expected after '.'".into())),
            },
            Token::Symbol("(") => {
                let inner = self.expression()?;
                self.require(")")?;
                Ok(inner)
            }
            Token::Symbol("[") => {
                let elements = self.elements()?;
                self.node(at, Kind::List(elements))
            }
            Token::Symbol("{") => {
                let entries = self.entries()?;
                self.node(at, Kind::Map(entries))
            }
            Token::Symbol(symbol) => Err((at, format!("found '{symbol}' where a value is expected"))),
            Token::End => Err((at, "the expression ends where a value is expected".into())),
        }
    }

    fn identifier(&mut self, at: usize, name: String, absolute: bool) -> Parsed<Expression> {
        if RESERVED.contains(&name.as_str()) {
            return Err((at, format!("{name} is a reserved word")));
        }
        if self.accept("(")? {
            let arguments = self.arguments(")")?;
            return self.node(at, Kind::Call { receiver: None, function: name, arguments });
        }
        self.node(at, Kind::Identifier { name, absolute })
    }

    fn arguments(&mut self, close: &str) -> Parsed<Vec<Expression>> {
        let mut arguments = Vec::new();
        if self.accept(close)? {
            return Ok(arguments);
        }
        loop {
            arguments.push(self.expression()?);
            if self.accept(close)? {
                return Ok(arguments);
            }
            self.require(",")?;
        }
    }

    fn elements(&mut self) -> Parsed<Vec<(Expression, bool)>> {
        let mut elements = Vec::new();
        while !self.accept("]")? {
            let optional = self.accept("?")?;
            elements.push((self.expression()?, optional));
            if !self.accept(",")? {
                self.require("]")?;
                break;
            }
        }
        Ok(elements)
    }

    fn entries(&mut self) -> Parsed<Vec<(Expression, Expression, bool)>> {
        let mut entries = Vec::new();
        while !self.accept("}")? {
            let optional = self.accept("?")?;
            let key = self.expression()?;
            self.require(":")?;
            entries.push((key, self.expression()?, optional));
            if !self.accept(",")? {
                self.require("}")?;
                break;
            }
        }
        Ok(entries)
    }

    /// Fields of a message: read, so that the error about it is the right one, and dropped.
    fn fields(&mut self) -> Parsed<()> {
        while !self.accept("}")? {
            self.accept("?")?;
            let Token::Identifier(_) = self.advance()? else { return Err(self.unexpected("a field name")) };
            self.require(":")?;
            self.expression()?;
            if !self.accept(",")? {
                return self.require("}");
            }
        }
        Ok(())
    }
}

/// Height of the tallest child.
fn below(kind: &Kind) -> usize {
    match kind {
        Kind::Literal(_) | Kind::Identifier { .. } | Kind::Message(_) => 0,
        Kind::Select { operand, .. } => operand.height,
        Kind::Index { operand, key, .. } => operand.height.max(key.height),
        Kind::Call { receiver, arguments, .. } => {
            let receiver = receiver.as_ref().map_or(0, |r| r.height);
            arguments.iter().map(|a| a.height).max().unwrap_or(0).max(receiver)
        }
        Kind::List(elements) => elements.iter().map(|(e, _)| e.height).max().unwrap_or(0),
        Kind::Map(entries) => entries.iter().map(|(k, v, _)| k.height.max(v.height)).max().unwrap_or(0),
        Kind::And(terms) | Kind::Or(terms) => terms.iter().map(|t| t.height).max().unwrap_or(0),
    }
}
