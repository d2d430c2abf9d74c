//! Evaluates the rules of the definitions: the part of CEL that they use. A whole interpreter (the crate `cel`) made the
//! binary larger by a third. A test compares this one with the interpreter of the API server for every rule.

use regex_lite::Regex;
use serde_json::Value;
use std::cmp::Ordering;

/// Why a rule has no result. The API server refuses the resource then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Error {
    /// It is not written in the part of CEL that this interpreter knows.
    Syntax,
    /// A field is missing, or a value has another type than its use demands.
    Value,
}

/// The result of a rule for a value, which the rule calls `self`.
pub fn evaluate(rule: &str, value: &Value) -> Result<bool, Error> {
    let mut parser = Parser { tokens: tokens(rule)?, at: 0 };
    let parsed = parser.ternary()?;
    if parser.at != parser.tokens.len() {
        return Err(Error::Syntax);
    }
    let mut scope = Scope(vec![("self".to_owned(), value.clone())]);
    scope.boolean(&parsed)
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Word(String),
    Text(String),
    Number(i64),
    Sign(&'static str),
}

/// Signs, the longer ones first.
const SIGNS: [&str; 21] = [
    "&&", "||", "==", "!=", "<=", ">=", "<", ">", "!", "?", ":", ".", ",", "(", ")", "[", "]", "+", "-", "*",
    "/",
];

fn tokens(text: &str) -> Result<Vec<Token>, Error> {
    let (mut rest, mut tokens) = (text.trim_start(), Vec::new());
    while let Some(first) = rest.chars().next() {
        let raw = rest.starts_with("r'") || rest.starts_with("r\"");
        let length = if raw || matches!(first, '\'' | '"') {
            let (text, length) = quoted(rest, raw)?;
            tokens.push(Token::Text(text));
            length
        } else if first.is_ascii_digit() {
            let length = rest.find(|it: char| !it.is_ascii_digit()).unwrap_or(rest.len());
            tokens.push(Token::Number(rest[..length].parse().map_err(|_| Error::Syntax)?));
            length
        } else if first.is_ascii_alphabetic() || first == '_' {
            let length = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_').unwrap_or(rest.len());
            tokens.push(Token::Word(rest[..length].to_owned()));
            length
        } else {
            let sign = SIGNS.into_iter().find(|it| rest.starts_with(it)).ok_or(Error::Syntax)?;
            tokens.push(Token::Sign(sign));
            sign.len()
        };
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

/// The text in quotes at the beginning, and the length with its quotes. A raw one (`r'…'`) knows no escapes.
fn quoted(text: &str, raw: bool) -> Result<(String, usize), Error> {
    let mut letters = text.char_indices().skip(usize::from(raw));
    let quote = letters.next().ok_or(Error::Syntax)?.1;
    let mut inner = String::new();
    while let Some((at, letter)) = letters.next() {
        match letter {
            it if it == quote => return Ok((inner, at + 1)),
            '\\' if !raw => inner.push(match letters.next().ok_or(Error::Syntax)?.1 {
                'n' => '\n',
                't' => '\t',
                it @ ('\\' | '\'' | '"') => it,
                _ => return Err(Error::Syntax),
            }),
            it => inner.push(it),
        }
    }
    Err(Error::Syntax)
}

#[derive(Debug)]
enum Expression {
    Literal(Value),
    Name(String),
    List(Vec<Self>),
    Field(Box<Self>, String),
    Index(Box<Self>, Box<Self>),
    Call(Option<Box<Self>>, String, Vec<Self>),
    Not(Box<Self>),
    Binary(&'static str, Box<Self>, Box<Self>),
    Choice(Box<Self>, Box<Self>, Box<Self>),
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

/// Binary operators by rank, the loosest first. `in` is a word.
const RANKS: [&[&str]; 5] = [&["||"], &["&&"], &["==", "!=", "<=", ">=", "<", ">"], &["+", "-"], &["*", "/"]];
/// The rank of comparisons.
const COMPARISONS: usize = 2;

impl Parser {
    fn takes(&mut self, sign: &str) -> bool {
        let found = matches!(self.tokens.get(self.at), Some(Token::Sign(it)) if *it == sign);
        self.at += usize::from(found);
        found
    }

    fn expects(&mut self, sign: &str) -> Result<(), Error> {
        if self.takes(sign) { Ok(()) } else { Err(Error::Syntax) }
    }

    fn ternary(&mut self) -> Result<Expression, Error> {
        let condition = self.binary(0)?;
        if !self.takes("?") {
            return Ok(condition);
        }
        let then = self.ternary()?;
        self.expects(":")?;
        Ok(Expression::Choice(Box::new(condition), Box::new(then), Box::new(self.ternary()?)))
    }

    fn binary(&mut self, rank: usize) -> Result<Expression, Error> {
        let Some(signs) = RANKS.get(rank) else { return self.unary() };
        let mut left = self.binary(rank + 1)?;
        loop {
            let operator =
                if rank == COMPARISONS && self.tokens.get(self.at) == Some(&Token::Word("in".to_owned())) {
                    self.at += 1;
                    Some("in")
                } else {
                    signs.iter().find(|it| self.takes(it)).copied()
                };
            let Some(operator) = operator else { return Ok(left) };
            left = Expression::Binary(operator, Box::new(left), Box::new(self.binary(rank + 1)?));
        }
    }

    fn unary(&mut self) -> Result<Expression, Error> {
        if self.takes("!") {
            return Ok(Expression::Not(Box::new(self.unary()?)));
        }
        let mut base = self.primary()?;
        loop {
            if self.takes(".") {
                let Some(Token::Word(name)) = self.tokens.get(self.at).cloned() else {
                    return Err(Error::Syntax);
                };
                self.at += 1;
                base = if self.takes("(") {
                    Expression::Call(Some(Box::new(base)), name, self.list(")")?)
                } else {
                    Expression::Field(Box::new(base), name)
                };
            } else if self.takes("[") {
                base = Expression::Index(Box::new(base), Box::new(self.ternary()?));
                self.expects("]")?;
            } else {
                return Ok(base);
            }
        }
    }

    fn primary(&mut self) -> Result<Expression, Error> {
        if self.takes("(") {
            let inner = self.ternary()?;
            self.expects(")")?;
            return Ok(inner);
        }
        if self.takes("[") {
            return Ok(Expression::List(self.list("]")?));
        }
        let token = self.tokens.get(self.at).cloned().ok_or(Error::Syntax)?;
        self.at += 1;
        Ok(match token {
            Token::Text(text) => Expression::Literal(text.into()),
            Token::Number(number) => Expression::Literal(number.into()),
            Token::Word(word) if word == "true" || word == "false" => {
                Expression::Literal((word == "true").into())
            }
            Token::Word(word) if self.takes("(") => Expression::Call(None, word, self.list(")")?),
            Token::Word(word) => Expression::Name(word),
            Token::Sign(_) => return Err(Error::Syntax),
        })
    }

    fn list(&mut self, end: &str) -> Result<Vec<Expression>, Error> {
        let mut items = Vec::new();
        while !self.takes(end) {
            if !items.is_empty() {
                self.expects(",")?;
            }
            items.push(self.ternary()?);
        }
        Ok(items)
    }
}

/// Names and their values, the innermost last.
struct Scope(Vec<(String, Value)>);

impl Scope {
    fn boolean(&mut self, expression: &Expression) -> Result<bool, Error> {
        self.value(expression)?.as_bool().ok_or(Error::Value)
    }

    fn value(&mut self, expression: &Expression) -> Result<Value, Error> {
        match expression {
            Expression::Literal(value) => Ok(value.clone()),
            Expression::Name(name) => {
                let found = self.0.iter().rev().find(|(it, _)| it == name);
                found.map(|(_, value)| value.clone()).ok_or(Error::Syntax)
            }
            Expression::List(items) => {
                items.iter().map(|it| self.value(it)).collect::<Result<_, _>>().map(Value::Array)
            }
            Expression::Field(base, name) => self.value(base)?.get(name).cloned().ok_or(Error::Value),
            Expression::Index(base, index) => {
                let (base, index) = (self.value(base)?, self.value(index)?);
                let found = match &index {
                    Value::String(name) => base.get(name),
                    index => index.as_u64().and_then(|it| base.get(usize::try_from(it).ok()?)),
                };
                found.cloned().ok_or(Error::Value)
            }
            Expression::Not(inner) => Ok((!self.boolean(inner)?).into()),
            Expression::Choice(condition, then, otherwise) => {
                if self.boolean(condition)? {
                    self.value(then)
                } else {
                    self.value(otherwise)
                }
            }
            Expression::Binary(operator @ ("&&" | "||"), left, right) => {
                let decisive = *operator == "||";
                let (left, right) = (self.boolean(left), self.boolean(right));
                // Either side decides, even if the other one is an error.
                if left == Ok(decisive) || right == Ok(decisive) {
                    return Ok(decisive.into());
                }
                left.and(right)?;
                Ok((!decisive).into())
            }
            Expression::Binary(operator, left, right) => {
                let (left, right) = (self.value(left)?, self.value(right)?);
                compared(operator, &left, &right)
            }
            Expression::Call(base, name, arguments) => self.call(base.as_deref(), name, arguments),
        }
    }

    fn call(
        &mut self,
        base: Option<&Expression>,
        name: &str,
        arguments: &[Expression],
    ) -> Result<Value, Error> {
        match (base, name, arguments) {
            (None, "has", [Expression::Field(base, name)]) => {
                let base = self.value(base)?;
                Ok(base.as_object().ok_or(Error::Value)?.contains_key(name).into())
            }
            (None, "size", [argument]) => size(&self.value(argument)?),
            (Some(base), "size", []) => size(&self.value(base)?),
            (None, "duration", [argument]) => {
                let parsed =
                    crate::plan::duration::parse("", &self.text(argument)?).map_err(|_| Error::Value)?;
                i64::try_from(parsed.as_nanos()).map(Value::from).map_err(|_| Error::Value)
            }
            (Some(base), "getSeconds", []) => {
                let nanoseconds = self.value(base)?.as_i64().ok_or(Error::Value)?;
                Ok((nanoseconds / 1_000_000_000).into())
            }
            (Some(base), "matches", [pattern]) => {
                let pattern = Regex::new(&self.text(pattern)?).map_err(|_| Error::Syntax)?;
                Ok(pattern.is_match(&self.text(base)?).into())
            }
            (Some(base), "startsWith", [prefix]) => {
                Ok(self.text(base)?.starts_with(self.text(prefix)?.as_str()).into())
            }
            (Some(base), "sum", []) => {
                let items = self.value(base)?;
                let numbers = items.as_array().ok_or(Error::Value)?.iter().map(Value::as_i64);
                Ok(numbers.sum::<Option<i64>>().ok_or(Error::Value)?.into())
            }
            (Some(base), "all", [Expression::Name(name), condition]) => {
                let results = self.each(base, name, condition)?;
                // As for `&&`: one that does not hold decides, even beside an error.
                if results.contains(&Ok(Value::Bool(false))) {
                    return Ok(false.into());
                }
                let results = results.into_iter().collect::<Result<Vec<_>, _>>()?;
                if results.iter().all(Value::is_boolean) { Ok(true.into()) } else { Err(Error::Value) }
            }
            (Some(base), "map", [Expression::Name(name), result]) => {
                Ok(Value::Array(self.each(base, name, result)?.into_iter().collect::<Result<_, _>>()?))
            }
            _ => Err(Error::Syntax),
        }
    }

    /// The result for each item of a list, or each name in an object.
    fn each(
        &mut self,
        base: &Expression,
        name: &str,
        result: &Expression,
    ) -> Result<Vec<Result<Value, Error>>, Error> {
        let items = match self.value(base)? {
            Value::Array(items) => items,
            Value::Object(fields) => fields.into_iter().map(|(name, _)| name.into()).collect(),
            _ => return Err(Error::Value),
        };
        let one = |item| {
            self.0.push((name.to_owned(), item));
            let result = self.value(result);
            self.0.pop();
            result
        };
        Ok(items.into_iter().map(one).collect())
    }

    fn text(&mut self, expression: &Expression) -> Result<String, Error> {
        match self.value(expression)? {
            Value::String(text) => Ok(text),
            _ => Err(Error::Value),
        }
    }
}

fn size(value: &Value) -> Result<Value, Error> {
    Ok(match value {
        Value::String(text) => text.chars().count().into(),
        Value::Array(items) => items.len().into(),
        Value::Object(fields) => fields.len().into(),
        _ => return Err(Error::Value),
    })
}

fn compared(operator: &str, left: &Value, right: &Value) -> Result<Value, Error> {
    let number = |it: &Value| it.as_i64().ok_or(Error::Value);
    let order = || match (left, right) {
        (Value::String(left), Value::String(right)) => Ok(left.cmp(right)),
        (left, right) => Ok::<Ordering, Error>(number(left)?.cmp(&number(right)?)),
    };
    Ok(match operator {
        "==" => (left == right).into(),
        "!=" => (left != right).into(),
        "<" => order()?.is_lt().into(),
        "<=" => order()?.is_le().into(),
        ">" => order()?.is_gt().into(),
        ">=" => order()?.is_ge().into(),
        "in" => match right {
            Value::Array(items) => items.contains(left),
            Value::Object(fields) => fields.contains_key(left.as_str().ok_or(Error::Value)?),
            _ => return Err(Error::Value),
        }
        .into(),
        "+" => number(left)?.checked_add(number(right)?).ok_or(Error::Value)?.into(),
        "-" => number(left)?.checked_sub(number(right)?).ok_or(Error::Value)?.into(),
        "*" => number(left)?.checked_mul(number(right)?).ok_or(Error::Value)?.into(),
        "/" => number(left)?.checked_div(number(right)?).ok_or(Error::Value)?.into(),
        _ => return Err(Error::Syntax),
    })
}

#[cfg(test)]
mod tests;
