//! The template language: a subset of Jinja's syntax with nothing in it that could cost much.
//!
//! Text; `{{ variable }}`, `{{ models[0] }}`, `{{ "literal" }}`, each with the filters `json` and `join`; one loop over
//! `models`; conditions without operators; comments and `raw`. There are no expressions, so a template cannot make
//! values grow: the work is linear in the template and the models, the output is bounded while it is written, and the
//! parser does not recurse deeper than `DEEPEST`. Jinja engines bound steps, and neither memory nor stack: one
//! `{{ '%999999999d'|format(1) }}` takes 1 GB.

mod render;

use super::Variables;
use render::Renderer;
use std::collections::BTreeSet;

/// Limit of blocks in blocks.
const DEEPEST: usize = 8;
/// Limit of steps of one template, a step being a text, a value or a block: hundreds of times what templates need.
const STEPS: usize = 50_000;
/// The variables that are texts or numbers.
const TEXTS: [&str; 7] = ["key", "baseUrl", "keyId", "name", "namespace", "serial", "expiresAt"];
/// The one variable that is a list.
const LIST: &str = "models";
/// Every variable, for messages.
const VARIABLES: &str = "key, baseUrl, keyId, name, namespace, serial, expiresAt, models";
/// What a template is made of, for messages.
const LANGUAGE: &str = "there are {{ variable }}, {{ models[0] }}, the filters json and join, {% for model in models %} … {% endfor %}, \
     {% if variable %} … {% else %} … {% endif %}, {% raw %} and {# comments #}";

/// Why a template does not parse or cannot be rendered. A message quotes names of the template at most, never a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Error {
    /// The template is wrong in this line, counted from 1.
    Wrong { line: usize, message: String },
    /// The text would be larger than the limit.
    TooLarge,
    /// The template takes too many steps.
    TooLong,
}

impl Error {
    fn wrong(line: usize, message: impl Into<String>) -> Self {
        Self::Wrong { line, message: message.into() }
    }
}

/// A template that was parsed.
#[derive(Debug)]
pub(super) struct Template<'a> {
    nodes: Vec<Node<'a>>,
}

#[derive(Debug)]
enum Node<'a> {
    Text(&'a str),
    Print { value: Value<'a>, filters: Vec<Filter>, line: usize },
    Loop { body: Vec<Self> },
    If { value: Value<'a>, negated: bool, then: Vec<Self>, otherwise: Vec<Self> },
}

/// What a print or a condition is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value<'a> {
    Text(&'a str),
    List,
    Element(usize),
    Literal(&'a str),
    Item,
    Loop(LoopFact),
}

/// Jinja's `loop.…`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LoopFact {
    First,
    Last,
    Index,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Filter {
    Json,
    Join(String),
}

impl<'a> Template<'a> {
    /// Parses a template.
    pub(super) fn parse(source: &'a str) -> Result<Self, Error> {
        let mut parser = Parser { rest: source, line: 1, item: None, trim: false };
        let (nodes, end) = parser.nodes(0)?;
        match end {
            None => Ok(Self { nodes }),
            Some(word) => Err(parser.error(format!("{{% {word} %}} ends a block that was not begun"))),
        }
    }

    /// The variables that the template uses.
    pub(super) fn variables(&self) -> BTreeSet<&'a str> {
        let mut found = BTreeSet::new();
        let mut open: Vec<&Node<'a>> = self.nodes.iter().collect();
        while let Some(node) = open.pop() {
            let value = match node {
                Node::Text(_) => continue,
                Node::Print { value, .. } => *value,
                Node::Loop { body, .. } => {
                    open.extend(body);
                    Value::List
                }
                Node::If { value, then, otherwise, .. } => {
                    open.extend(then.iter().chain(otherwise));
                    *value
                }
            };
            match value {
                Value::Text(name) => found.insert(name),
                Value::List | Value::Element(_) => found.insert(LIST),
                Value::Literal(_) | Value::Item | Value::Loop(_) => false,
            };
        }
        found
    }

    /// Renders the template into at most `limit` bytes.
    pub(super) fn render(&self, variables: &Variables<'_>, limit: usize) -> Result<String, Error> {
        let mut renderer = Renderer { variables, text: String::new(), limit, steps: STEPS, at: None };
        renderer.nodes(&self.nodes)?;
        Ok(renderer.text)
    }
}

/// How a run of nodes ended: with the word of the tag that ended it, or with the template.
type Ended<'a> = (Vec<Node<'a>>, Option<&'a str>);

struct Parser<'a> {
    rest: &'a str,
    line: usize,
    /// Name of the loop's variable, inside the loop.
    item: Option<&'a str>,
    /// Whether the last tag removes white space after it (`-%}`).
    trim: bool,
}

impl<'a> Parser<'a> {
    fn error(&self, message: impl Into<String>) -> Error {
        Error::wrong(self.line, message)
    }

    /// Takes `length` bytes.
    fn take(&mut self, length: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.line += taken.matches('\n').count();
        taken
    }

    /// Nodes up to the end of the template, or to a tag that ends or continues the block around them.
    fn nodes(&mut self, depth: usize) -> Result<Ended<'a>, Error> {
        let mut nodes = Vec::new();
        loop {
            let start = self
                .rest
                .match_indices('{')
                .map(|(at, _)| at)
                .find(|at| matches!(self.rest.as_bytes().get(at + 1), Some(b'{' | b'%' | b'#')));
            let mut text = self.take(start.unwrap_or(self.rest.len()));
            if std::mem::take(&mut self.trim) {
                text = text.trim_start();
            }
            if self.rest.get(2..).is_some_and(|it| it.starts_with('-')) {
                text = text.trim_end();
            }
            if !text.is_empty() {
                nodes.push(Node::Text(text));
            }
            let line = self.line;
            match self.rest.as_bytes().get(1) {
                None => return Ok((nodes, None)),
                Some(b'#') => drop(self.inside("#}")?),
                Some(b'{') => {
                    let inside = self.inside("}}")?;
                    let (value, filters) = self.expression(inside, line)?;
                    nodes.push(Node::Print { value, filters, line });
                }
                Some(_) => match self.tag(depth, line)? {
                    Tag::Node(node) => nodes.push(node),
                    Tag::End(word) => return Ok((nodes, Some(word))),
                },
            }
        }
    }

    /// The inside of a tag that ends with `close`, without white space control.
    fn inside(&mut self, close: &str) -> Result<&'a str, Error> {
        let open = self.rest.get(..2).unwrap_or_default();
        let end = end_of(self.rest, close).ok_or_else(|| self.error(format!("{open} without {close}")))?;
        let inside = self.take(end + close.len());
        let inside = inside.get(2..end).unwrap_or_default();
        let inside = inside.strip_prefix('-').unwrap_or(inside);
        self.trim = inside.ends_with('-');
        Ok(inside.strip_suffix('-').unwrap_or(inside).trim())
    }

    fn tag(&mut self, depth: usize, line: usize) -> Result<Tag<'a>, Error> {
        let inside = self.inside("%}")?;
        let (word, about) = inside.split_once(char::is_whitespace).unwrap_or((inside, ""));
        let about = about.trim();
        if matches!(word, "for" | "if") && depth == DEEPEST {
            return Err(self.error(format!("no more than {DEEPEST} blocks in each other")));
        }
        match word {
            "for" => self.repetition(about, depth, line).map(Tag::Node),
            "if" => self.condition(about, depth, line).map(Tag::Node),
            "raw" => self.raw().map(Tag::Node),
            "endfor" | "endif" | "else" => Ok(Tag::End(word)),
            _ => Err(self.error(format!("unknown tag {}; {LANGUAGE}", short(word)))),
        }
    }

    fn raw(&mut self) -> Result<Node<'a>, Error> {
        let ends = |(at, _): (usize, &str)| {
            let inside = self.rest.get(at + 2..)?;
            let word = inside.strip_prefix('-').unwrap_or(inside).trim_start();
            let after = word.strip_prefix("endraw")?.trim_start();
            let after = after.strip_prefix('-').unwrap_or(after).strip_prefix("%}")?;
            Some((at, self.rest.len() - after.len()))
        };
        let found = self.rest.match_indices("{%").find_map(ends);
        let (start, end) = found.ok_or_else(|| self.error("{% raw %} without {% endraw %}"))?;
        let taken = self.take(end);
        let (text, tag) = taken.split_at(start);
        let text = if self.trim { text.trim_start() } else { text };
        self.trim = tag.ends_with("-%}");
        Ok(Node::Text(if tag.starts_with("{%-") { text.trim_end() } else { text }))
    }

    fn repetition(&mut self, about: &'a str, depth: usize, line: usize) -> Result<Node<'a>, Error> {
        let words: Vec<_> = about.split_whitespace().collect();
        let [item, "in", LIST] = words.as_slice() else {
            return Err(Error::wrong(line, "a loop is {% for model in models %}"));
        };
        let taken = TEXTS.contains(item) || [LIST, "loop", "not"].contains(item);
        if taken || !is_name(item) {
            return Err(Error::wrong(
                line,
                "a loop's variable has another name than the variables of templates",
            ));
        }
        if self.item.is_some() {
            return Err(Error::wrong(line, "a loop in a loop is not possible"));
        }
        self.item = Some(item);
        let body = self.nodes(depth + 1)?;
        self.item = None;
        match body {
            (body, Some("endfor")) => Ok(Node::Loop { body }),
            _ => Err(Error::wrong(line, "{% for %} without {% endfor %}")),
        }
    }

    fn condition(&mut self, about: &'a str, depth: usize, line: usize) -> Result<Node<'a>, Error> {
        let bare = about.strip_prefix("not ").map(str::trim);
        let value = self.value(bare.unwrap_or(about), line)?;
        let (then, mut end) = self.nodes(depth + 1)?;
        let mut otherwise = Vec::new();
        if end == Some("else") {
            (otherwise, end) = self.nodes(depth + 1)?;
        }
        if end != Some("endif") {
            return Err(Error::wrong(line, "{% if %} without {% endif %}"));
        }
        Ok(Node::If { value, negated: bare.is_some(), then, otherwise })
    }

    fn expression(&self, inside: &'a str, line: usize) -> Result<(Value<'a>, Vec<Filter>), Error> {
        let mut parts = outside_quotes(inside, '|').into_iter();
        let value = self.value(parts.next().unwrap_or_default().trim(), line)?;
        let filters = parts.map(|it| filter(it.trim(), line)).collect::<Result<Vec<_>, _>>()?;
        // Each json doubles the backslashes of the one before, so there is one of each at most.
        match filters.as_slice() {
            [] | [Filter::Json] => Ok((value, filters)),
            [Filter::Join(_)] | [Filter::Join(_), Filter::Json] if value == Value::List => {
                Ok((value, filters))
            }
            [Filter::Join(_), ..] => Err(Error::wrong(line, "join is for models, first, and once")),
            _ => Err(Error::wrong(line, "json is the last filter, and there once")),
        }
    }

    fn value(&self, text: &'a str, line: usize) -> Result<Value<'a>, Error> {
        let error = |message: String| Err(Error::wrong(line, message));
        if let Some(name) = TEXTS.iter().find(|name| **name == text) {
            return Ok(Value::Text(name));
        }
        if text == LIST {
            return Ok(Value::List);
        }
        if let Some(literal) = quoted(text) {
            return Ok(Value::Literal(literal));
        }
        let index = text.strip_prefix(LIST).and_then(|it| it.trim().strip_prefix('[')?.strip_suffix(']'));
        if let Some(index) = index {
            let number = index.trim().parse().ok().filter(|number| *number < 10_000);
            let message = || format!("models[{}]: a number from 0 is expected", short(index));
            return number.map(Value::Element).ok_or_else(|| Error::wrong(line, message()));
        }
        if self.item.is_some() {
            match text {
                "loop.first" => return Ok(Value::Loop(LoopFact::First)),
                "loop.last" => return Ok(Value::Loop(LoopFact::Last)),
                "loop.index" => return Ok(Value::Loop(LoopFact::Index)),
                text if self.item == Some(text) => return Ok(Value::Item),
                _ => {}
            }
        }
        if is_name(text) {
            return error(format!("unknown variable {}; there are {VARIABLES}", short(text)));
        }
        error(format!("{:?} is no variable; {LANGUAGE}", short(text)))
    }
}

enum Tag<'a> {
    Node(Node<'a>),
    End(&'a str),
}

fn filter(text: &str, line: usize) -> Result<Filter, Error> {
    if matches!(text, "json" | "tojson") {
        return Ok(Filter::Json);
    }
    if text == "join" {
        return Ok(Filter::Join(String::new()));
    }
    let argument = text.strip_prefix("join").and_then(|it| it.trim().strip_prefix('(')?.strip_suffix(')'));
    if let Some(separator) = argument.and_then(|it| quoted(it.trim())) {
        return Ok(Filter::Join(unescaped(separator)));
    }
    let name = text.split('(').next().unwrap_or_default().trim();
    Err(Error::wrong(line, format!("unknown filter {}; there are json and join(\", \")", short(name))))
}

/// Where `close` is in `text`, outside of quotes; a comment has none.
fn end_of(text: &str, close: &str) -> Option<usize> {
    let mut quote = None;
    for (at, byte) in text.bytes().enumerate().skip(2) {
        match quote {
            Some(open) => quote = Some(open).filter(|open| *open != byte),
            None if close != "#}" && matches!(byte, b'"' | b'\'') => quote = Some(byte),
            None if text.as_bytes().get(at..).is_some_and(|it| it.starts_with(close.as_bytes())) => {
                return Some(at);
            }
            None => {}
        }
    }
    None
}

fn outside_quotes(text: &str, separator: char) -> Vec<&str> {
    let mut quote = None;
    let split = |at: char| {
        match quote {
            Some(open) if open == at => quote = None,
            None if matches!(at, '"' | '\'') => quote = Some(at),
            None => return at == separator,
            Some(_) => {}
        }
        false
    };
    text.split(split).collect()
}

/// The text between quotes, as it is written. A backslash stands before `n`, `t` and another backslash only.
fn quoted(text: &str) -> Option<&str> {
    let quote = text.chars().next().filter(|it| matches!(it, '"' | '\''))?;
    let inner = text.strip_prefix(quote)?.strip_suffix(quote)?;
    let mut rest = inner.chars();
    while let Some(letter) = rest.next() {
        if letter == quote || letter == '\\' && !matches!(rest.next(), Some('n' | 't' | '\\')) {
            return None;
        }
    }
    Some(inner)
}

/// The text between quotes, without its escapes.
fn unescaped(inner: &str) -> String {
    let mut text = String::new();
    let mut rest = inner.chars();
    while let Some(letter) = rest.next() {
        text.push(match (letter, letter == '\\') {
            (_, true) => match rest.next() {
                Some('n') => '\n',
                Some('t') => '\t',
                _ => '\\',
            },
            (letter, false) => letter,
        });
    }
    text
}

fn is_name(text: &str) -> bool {
    let mut letters = text.chars();
    letters.next().is_some_and(|it| it.is_ascii_alphabetic() || it == '_')
        && letters.all(|it| it.is_ascii_alphanumeric() || it == '_')
}

/// A name from a template, cut for a message.
fn short(text: &str) -> String {
    let cut: String = text.chars().take(40).collect();
    if cut.len() < text.len() { format!("{cut}…") } else { cut }
}
