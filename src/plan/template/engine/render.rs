//! Rendering of a parsed template.

use super::{Error, Filter, LoopFact, Node, Value, unescaped};
use crate::plan::template::Variables;

/// A rendering under way.
pub(super) struct Renderer<'a> {
    pub variables: &'a Variables<'a>,
    pub text: String,
    pub limit: usize,
    pub steps: usize,
    /// Index of the loop's element, inside the loop.
    pub at: Option<usize>,
}

impl<'a> Renderer<'a> {
    pub fn nodes(&mut self, nodes: &[Node<'a>]) -> Result<(), Error> {
        nodes.iter().try_for_each(|node| self.node(node))
    }

    fn node(&mut self, node: &Node<'a>) -> Result<(), Error> {
        self.steps = self.steps.checked_sub(1).ok_or(Error::TooLong)?;
        match node {
            Node::Text(text) => self.write(text),
            Node::Print { value, filters, line } => {
                let text = self.filled(*value, filters).map_err(|message| Error::wrong(*line, message))?;
                self.write(&text)
            }
            Node::Loop { body } => {
                for at in 0..self.variables.models.len() {
                    self.at = Some(at);
                    self.nodes(body)?;
                }
                self.at = None;
                Ok(())
            }
            Node::If { value, negated, then, otherwise } => {
                self.nodes(if self.holds(*value) == *negated { otherwise } else { then })
            }
        }
    }

    fn write(&mut self, text: &str) -> Result<(), Error> {
        if self.text.len().saturating_add(text.len()) > self.limit {
            return Err(Error::TooLarge);
        }
        self.text.push_str(text);
        Ok(())
    }

    fn filled(&self, value: Value<'a>, filters: &[Filter]) -> Result<String, String> {
        let models = self.variables.models;
        let json = |text: &str| serde_json::Value::from(text).to_string();
        let text = match (value, filters) {
            (Value::List, [Filter::Join(separator), rest @ ..]) => {
                let joined = models.join(separator);
                return Ok(if rest.is_empty() { joined } else { json(&joined) });
            }
            (Value::List, []) => {
                let models: Vec<_> = models.iter().map(|it| json(it)).collect();
                return Ok(format!("[{}]", models.join(", ")));
            }
            (Value::List, _) => return Ok(serde_json::Value::from(models).to_string()),
            (Value::Text("serial") | Value::Loop(_), _) => return self.text_of(value),
            _ => self.text_of(value)?,
        };
        Ok(if filters.is_empty() { text } else { json(&text) })
    }

    fn text_of(&self, value: Value<'a>) -> Result<String, String> {
        let (variables, at) = (self.variables, self.at.unwrap_or_default());
        let models = variables.models;
        Ok(match value {
            Value::Text(name) => match name {
                "key" => variables.key.to_owned(),
                "baseUrl" => variables.base_url.to_owned(),
                "keyId" => variables.key_id.to_owned(),
                "name" => variables.name.to_owned(),
                "namespace" => variables.namespace.to_owned(),
                "serial" => variables.serial.to_string(),
                _ => variables.expires_at.to_owned(),
            },
            Value::List => models.join(""),
            Value::Element(index) => models.get(index).cloned().ok_or_else(|| {
                format!("models[{index}] does not exist: spec.models has {} entries", models.len())
            })?,
            Value::Literal(text) => unescaped(text),
            Value::Item => models.get(at).cloned().unwrap_or_default(),
            Value::Loop(LoopFact::First) => (at == 0).to_string(),
            Value::Loop(LoopFact::Last) => (at + 1 == models.len()).to_string(),
            Value::Loop(LoopFact::Index) => (at + 1).to_string(),
        })
    }

    /// Whether a condition holds: a text that is not empty, a list that is not empty, a fact that is true.
    fn holds(&self, value: Value<'a>) -> bool {
        match value {
            Value::List => !self.variables.models.is_empty(),
            Value::Loop(LoopFact::First | LoopFact::Last) => self.text_of(value).as_deref() == Ok("true"),
            value => self.text_of(value).is_ok_and(|text| !text.is_empty()),
        }
    }
}
