use super::*;
use serde_json::json;

#[test]
fn expressions_have_the_results_of_cel() {
    let value = json!({"a": {"b": 1}, "list": ["x", "yy"], "map": {"k": "v", "k2": "vv"}, "text": "it's 5m", "no": false});
    for (rule, wanted) in [
        ("has(self.a) && has(self.a.b)", Ok(true)),
        ("has(self.a.c)", Ok(false)),
        ("has(self.x.c)", Err(Error::Value)),
        ("!has(self.x) || self.x.y == 1", Ok(true)),
        ("self.x.y == 1 || true", Ok(true)),
        ("self.x.y == 1 && false", Ok(false)),
        ("self.x.y == 1 && true", Err(Error::Value)),
        ("self.no ? self.x : self.a.b == 1", Ok(true)),
        ("size(self.list) == 2 && self.list.size() > 1", Ok(true)),
        ("self.list.all(it, size(it) <= 2 && it.matches('^[a-z]+$'))", Ok(true)),
        ("self.list.all(it, it == 'x')", Ok(false)),
        ("self.map.map(it, size(self.map[it])).sum() <= 2", Ok(false)),
        ("self.map.map(it, size(self.map[it])).sum() == 3", Ok(true)),
        ("'k' in self.map && !('z' in self.map) && 'x' in ['x', 'y']", Ok(true)),
        ("self.text == 'it\\'s 5m' && self.text.startsWith(\"it\")", Ok(true)),
        (r"self.text.matches(r'\s5m$')", Ok(true)),
        ("duration('1h30m') >= duration('90m') && duration('60s').getSeconds() == 60", Ok(true)),
        ("duration('x') > duration('1m')", Err(Error::Value)),
        ("1 + 2 * 3 == 7 && 7 - 4 / 2 == 5", Ok(true)),
        ("self.list[0] == 'x' && self.list[5] == 'x'", Err(Error::Value)),
        ("self.no", Ok(false)),
        ("self.text", Err(Error::Value)),
        ("self.list.filter(it, true)", Err(Error::Syntax)),
        ("self.a &&", Err(Error::Syntax)),
        ("'open", Err(Error::Syntax)),
        ("(true", Err(Error::Syntax)),
        ("true true", Err(Error::Syntax)),
    ] {
        assert_eq!(evaluate(rule, &value), wanted, "{rule}");
    }
}

#[test]
fn every_rule_of_the_definitions_is_understood() {
    fn rules(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| match value {
                Value::Array(all) if name == "x-kubernetes-validations" => {
                    found.extend(all.iter().map(|it| it["rule"].as_str().unwrap().to_owned()));
                }
                value => rules(value, found),
            }),
            Value::Array(items) => items.iter().for_each(|it| rules(it, found)),
            _ => {}
        }
    }
    let mut found = Vec::new();
    rules(&serde_json::to_value(crate::api::crds()).unwrap(), &mut found);
    assert!(found.len() > 50);
    for rule in found {
        let mut parser = Parser { tokens: tokens(&rule).unwrap(), at: 0 };
        parser.ternary().unwrap_or_else(|error| panic!("{rule}: {error:?}"));
        assert_eq!(parser.at, parser.tokens.len(), "{rule}");
    }
}
