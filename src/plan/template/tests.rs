#![expect(clippy::needless_pass_by_value, reason = "tables hand their rows over")]

use super::*;
use crate::api::text::LONGEST_TEMPLATE;
use serde_json::json;

fn plan(secret: serde_json::Value) -> Result<SecretPlan, SpecError> {
    let resource = json!({
        "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "checkout"},
        "spec": {"consoleTokenRef": {"name": "edgee"}, "models": ["m-1", "m-2"], "secret": secret},
    });
    SecretPlan::new(&serde_json::from_value(resource).unwrap(), "/v1")
}

fn render(plan: &SecretPlan) -> BTreeMap<String, String> {
    let models = ["m-1".to_owned(), "m-2".to_owned()];
    let variables = Variables {
        key: "sk-fake",
        base_url: "https://gw.example",
        key_id: "key_1",
        name: "checkout",
        namespace: "shop",
        serial: 3,
        expires_at: "",
        models: &models,
    };
    plan.render(&variables).unwrap()
}

#[test]
fn without_template_and_preset_there_is_one_entry() {
    assert_eq!(render(&plan(json!({})).unwrap()), BTreeMap::from([("key".into(), "sk-fake".into())]));
}

#[test]
fn presets_give_key_base_url_and_default_model() {
    let entries = |preset: &str| render(&plan(json!({"preset": preset})).unwrap());
    let openai = entries("OpenAI");
    assert_eq!(openai["OPENAI_API_KEY"], "sk-fake");
    assert_eq!(openai["OPENAI_BASE_URL"], "https://gw.example/v1");
    assert_eq!(openai["OPENAI_MODEL"], "m-1");
    assert_eq!(entries("Anthropic")["ANTHROPIC_BASE_URL"], "https://gw.example");
    assert_eq!(entries("ClaudeCode")["ANTHROPIC_AUTH_TOKEN"], "sk-fake");
    assert_eq!(entries("Codex")["CODEX_MODEL"], "m-1");
}

#[test]
fn a_template_comes_on_top_of_the_preset() {
    let secret = json!({"preset": "OpenAI", "template": {"data": {
        "OPENAI_MODEL": "{{ models | join(',') }}", "toml": "[a]\nkey = \"{{ key }}\" # {{ serial }}\n"}}});
    let entries = render(&plan(secret).unwrap());
    assert_eq!(entries["OPENAI_MODEL"], "m-1,m-2");
    assert_eq!(entries["toml"], "[a]\nkey = \"sk-fake\" # 3\n");
}

#[test]
fn what_cannot_be_rendered_is_refused_before_a_key_exists() {
    let data = |template: &str| json!({"template": {"data": {"a": template}}});
    let table = [
        (data("{{ key "), "spec.secret.template.data[a]", "without }}"),
        (data("{{ password }}"), "spec.secret.template.data[a]", "unknown variable password"),
        (json!({"template": {"data": {"a b": "x"}}}), "spec.secret.template.data[a b]", "letters, digits"),
        (json!({"template": {"type": "helm.sh/release.v1"}}), "spec.secret.template.type", "Opaque"),
        (
            json!({"template": {"metadata": {"labels": {"app.kubernetes.io/managed-by": "x"}}}}),
            "spec.secret.template.metadata.labels[app.kubernetes.io/managed-by]",
            "Keysmith's own",
        ),
        (
            json!({"template": {"metadata": {"annotations": {"keysmith.dev/serial": "9"}}}}),
            "spec.secret.template.metadata.annotations[keysmith.dev/serial]",
            "Keysmith's own",
        ),
    ];
    for (secret, field, words) in table {
        let refusal = plan(secret.clone()).expect_err(&secret.to_string());
        assert_eq!(refusal.field, field, "{secret}");
        assert!(refusal.message.contains(words), "{secret}: {refusal}");
    }
}

const LABELS: &str = "spec.secret.template.metadata.labels";
const ANNOTATIONS: &str = "spec.secret.template.metadata.annotations";
const TYPE: &str = "spec.secret.template.type";

#[test]
fn what_no_secret_can_be_is_refused_by_its_field() {
    let labels = |map| json!({"template": {"metadata": {"labels": map}}});
    let annotations = |map| json!({"template": {"metadata": {"annotations": map}}});
    let kind = |kind: &str, data| json!({"template": {"type": kind, "data": data}});
    let key = || json!({"key": "{{ key }}"});
    let large = |size: usize| annotations(json!({"a": "x".repeat(size)}));
    let table = [
        (json!({"name": "a..b"}), "spec.secret.name".to_owned()),
        (json!({"name": "a-.b"}), "spec.secret.name".to_owned()),
        (labels(json!({"team": "Search and Ads"})), format!("{LABELS}[team]")),
        (labels(json!({"team": "x".repeat(64)})), format!("{LABELS}[team]")),
        (labels(json!({"owner": "ann@example.com"})), format!("{LABELS}[owner]")),
        (labels(json!({"team name": "x"})), format!("{LABELS}[team name]")),
        (annotations(json!({"bad key": "x"})), format!("{ANNOTATIONS}[bad key]")),
        (annotations(json!({"a/b/c": "x"})), format!("{ANNOTATIONS}[a/b/c]")),
        (large(256 * 1024), ANNOTATIONS.to_owned()),
        (large(256 * 1024 - 1000), ANNOTATIONS.to_owned()),
        (kind("My Type!", key()), TYPE.to_owned()),
        (kind("kubernetes.io/tls", key()), TYPE.to_owned()),
        (kind("kubernetes.io/tls", json!({"tls.crt": ""})), TYPE.to_owned()),
        (kind("kubernetes.io/basic-auth", key()), TYPE.to_owned()),
        (kind("kubernetes.io/ssh-auth", key()), TYPE.to_owned()),
        (kind("kubernetes.io/dockerconfigjson", key()), TYPE.to_owned()),
        (kind("kubernetes.io/dockercfg", key()), TYPE.to_owned()),
        (kind("kubernetes.io/service-account-token", key()), TYPE.to_owned()),
        (kind("bootstrap.kubernetes.io/token", key()), TYPE.to_owned()),
        (
            kind("kubernetes.io/dockerconfigjson", json!({".dockerconfigjson": "{{ key }}"})),
            "spec.secret.template.data[.dockerconfigjson]".to_owned(),
        ),
        (
            kind("kubernetes.io/ssh-auth", json!({"ssh-privatekey": ""})),
            "spec.secret.template.data[ssh-privatekey]".to_owned(),
        ),
        (json!({"template": {"data": {"..": "x"}}}), "spec.secret.template.data[..]".to_owned()),
    ];
    for (secret, field) in table {
        let refusal = plan(secret.clone()).expect_err(&field);
        assert_eq!((refusal.field, refusal.reason), (field, crate::api::Reason::InvalidSpec), "{secret}");
    }
    for secret in [
        labels(json!({"example.com/team": "Search_and-Ads.1", "empty": ""})),
        annotations(json!({"example.com/owner": "ann@example.com, and others"})),
        large(256 * 1024 - 8192),
        kind("kubernetes.io/basic-auth", json!({"password": "{{ key }}"})),
        kind("kubernetes.io/tls", json!({"tls.crt": "", "tls.key": "{{ key }}"})),
        kind(
            "kubernetes.io/dockerconfigjson",
            json!({".dockerconfigjson": "{\"auths\": {\"x\": {\"password\": \"{{ key }}\"}}}"}),
        ),
        kind("example.com/llm", key()),
    ] {
        assert!(plan(secret.clone()).is_ok(), "{:?}", plan(secret));
    }
}

#[test]
fn the_hash_changes_with_whatever_goes_into_the_secret() {
    let one = plan(json!({})).unwrap();
    let other = plan(json!({"template": {"metadata": {"labels": {"a": "b"}}}})).unwrap();
    assert_ne!(one.rendering("u", &[]), other.rendering("u", &[]));
    let all = |plan: &SecretPlan, url: &str, models: &[String]| plan.rendering(url, models).all;
    assert_ne!(all(&one, "u", &[]), all(&one, "v", &[]));
    assert_ne!(all(&one, "u", &[]), all(&one, "u", &["m".into()]));
}

#[test]
fn an_input_that_no_template_uses_does_not_count() {
    let used = |plan: &SecretPlan, url: &str, models: &[String]| plan.rendering(url, models).used;
    let plain = plan(json!({})).unwrap();
    assert_eq!(used(&plain, "u", &[]), used(&plain, "v", &["m".into()]));
    let preset = plan(json!({"preset": "OpenAI"})).unwrap();
    assert_ne!(used(&preset, "u", &[]), used(&preset, "v", &[]));
    let listing =
        plan(json!({"template": {"data": {"a": "{% for m in models %}{{ m }}{% endfor %}"}}})).unwrap();
    assert_ne!(used(&listing, "u", &[]), used(&listing, "u", &["m".into()]));
    assert_eq!(used(&listing, "u", &[]), used(&listing, "v", &[]));
}

#[test]
fn entries_that_are_the_key_alone_are_told_from_those_that_hold_it() {
    let data = json!({"bare": "{{key}}", "spaced": "{{ key }}", "toml": "k = \"{{ key }}\"", "other": "{{ baseUrl }}"});
    let plan = plan(json!({"template": {"data": data}})).unwrap();
    assert_eq!(plan.bare_entries().collect::<Vec<_>>(), ["bare", "spaced"]);
    assert_eq!(plan.keyed_entries().collect::<Vec<_>>(), ["bare", "spaced", "toml"]);
}

#[test]
fn a_secret_that_keeps_the_old_key_has_room_for_it() {
    let each = format!("{{% for m in models %}}{}{{% endfor %}}", "x".repeat(30_000));
    let models: Vec<_> = (0..20).map(|n| n.to_string()).collect();
    let large = |kept: bool| {
        SecretPlan::new(
            &serde_json::from_value(json!({
                "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "checkout"},
                "spec": {"consoleTokenRef": {"name": "edgee"}, "models": models, "secret": {
                    "keepPrevious": kept, "template": {"data": {"a": each}}}},
            }))
            .unwrap(),
            "/v1",
        )
    };
    assert!(large(false).is_ok());
    assert_eq!(large(true).unwrap_err().field, "spec.secret.template.data[a]");
    let long = json!({"keepPrevious": true, "template": {"data": {"x".repeat(250): "{{ key }}"}}});
    assert!(plan(long).unwrap_err().message.contains("keepPrevious"));
    let taken =
        json!({"keepPrevious": true, "template": {"data": {"key": "{{ key }}", "previous_notice": "x"}}});
    assert_eq!(plan(taken).unwrap_err().field, "spec.secret.template.data[previous_notice]");
    let own = plan(json!({"template": {"data": {"previous_notice": "x"}}})).unwrap();
    assert!(
        !own.is_previous("previous_notice") && own.is_previous("previous_key") && !own.is_previous("key")
    );
}

/// A template and what it becomes with the variables of `render`.
fn fill(template: &str) -> Result<String, SpecError> {
    let plan = plan(json!({"template": {"data": {"a": template}}}))?;
    Ok(render(&plan).remove("a").unwrap())
}

#[test]
fn the_language_of_templates() {
    let table = [
        ("", ""),
        ("plain } text { %} }} with braces #}", "plain } text { %} }} with braces #}"),
        ("{{key}} {{ key }} {{  serial  }}", "sk-fake sk-fake 3"),
        ("{{ models }}", r#"["m-1", "m-2"]"#),
        ("{{ models | json }}", r#"["m-1","m-2"]"#),
        ("{{ models | join }}", "m-1m-2"),
        ("{{ models|join(', ') }}", "m-1, m-2"),
        ("{{ models | join('|') }}", "m-1|m-2"),
        ("{{ models | join(\"\\n\") }}{{ '\\t\\\\' }}", "m-1\nm-2\t\\"),
        ("{{ models | join(',') | json }}", "\"m-1,m-2\""),
        ("{{ models[1] }}{{ models[ 0 ] | tojson }}", "m-2\"m-1\""),
        ("{{ key | json }}", "\"sk-fake\""),
        ("{{ serial | json }}", "3"),
        ("{{ '{{' }} {{ \"}}\" }} {{ '%}' }}", "{{ }} %}"),
        ("{# {{ password }} #}a", "a"),
        ("{% raw %}{{ x }}{% if %}{% endraw %}b", "{{ x }}{% if %}b"),
        ("{%- raw -%} a {%- endraw -%} b{% raw %} c {% endraw %}", "ab c "),
        ("[{% for m in models %}{{ m }};{% endfor %}]", "[m-1;m-2;]"),
        (
            "{% for m in models %}{{ loop.index }}={{ m | json }}{% if not loop.last %}, {% endif %}{% endfor %}",
            "1=\"m-1\", 2=\"m-2\"",
        ),
        ("{% for m in models %}{% if loop.first %}{{ m }}{% else %}-{% endif %}{% endfor %}", "m-1-"),
        ("{% if expiresAt %}{{ expiresAt }}{% else %}never{% endif %}", "never"),
        ("{% if models %}some{% endif %}{% if not models %}none{% endif %}", "some"),
        ("{% if models[5] %}x{% else %}y{% endif %}", "y"),
        (" a {{- key -}} b ", " ask-fakeb "),
        ("a\n{%- if key %}\nb\n{%- endif %}\n", "a\nb\n"),
        ("last line\n", "last line\n"),
        ("ä{{ key }}ö", "äsk-fakeö"),
    ];
    for (template, text) in table {
        if text.is_empty() && !template.is_empty() {
            assert!(fill(template).is_err(), "{template}");
        } else {
            assert_eq!(fill(template).as_deref(), Ok(text), "{template}");
        }
    }
}

#[test]
fn what_is_wrong_with_a_template_is_said_with_its_line() {
    let table = [
        ("{{ key ", "line 1 of the template: {{ without }}"),
        ("a\n{% if key %}", "line 2 of the template: {% if %} without {% endif %}"),
        ("{% endif %}", "ends a block that was not begun"),
        ("{% for m in models %}{% endif %}", "{% for %} without {% endfor %}"),
        ("{% if key %}{% else %}{% else %}{% endif %}", "{% if %} without {% endif %}"),
        ("{# open", "{# without #}"),
        ("{% raw %}", "{% raw %} without {% endraw %}"),
        ("{{ password }}", "unknown variable password; there are key, baseUrl"),
        ("{{ m }}{% for m in models %}{% endfor %}", "unknown variable m"),
        ("{{ loop.index }}", "is no variable"),
        ("{{ key | upper }}", "unknown filter upper; there are json and join"),
        ("{{ key | join(',') }}", "join is for models"),
        ("{{ models | json | json }}", "json is the last filter"),
        ("{{ key + key }}", "is no variable; there are"),
        ("{{ 1 }}", "is no variable"),
        ("{{ models[-1] }}", "a number from 0"),
        ("{{ models[7] }}", "models[7] does not exist: spec.models has 2 entries"),
        ("{% set x = key %}", "unknown tag set"),
        ("{% include 'x' %}", "unknown tag include"),
        ("{% if key == 'a' %}{% endif %}", "is no variable"),
        ("{% for key in models %}{% endfor %}", "another name"),
        ("{% for m in key %}{% endfor %}", "a loop is {% for model in models %}"),
        ("{% for a in models %}{% for b in models %}{% endfor %}{% endfor %}", "a loop in a loop"),
    ];
    for (template, words) in table {
        let refusal = fill(template).expect_err(template);
        assert_eq!(refusal.field, "spec.secret.template.data[a]", "{template}");
        assert!(refusal.message.contains(words), "{template}: {refusal}");
    }
}

/// Each of these stopped or killed an operator whose templates were a programming language.
#[test]
fn no_template_costs_memory_stack_or_time() {
    let doubling = "{% set x = 'a' %}{% for i in range(40) %}{% set x = x ~ x %}{% endfor %}{{ x }}";
    let many = |part: &str, count: usize| part.repeat(count.min(LONGEST_TEMPLATE as usize / part.len()));
    let table = [
        "{{ '%999999999d'|format(1) }}".to_owned(),
        "{{ 'a' * 999999999 }}".to_owned(),
        "{{ range(999999999) | join }}".to_owned(),
        "{{ 'a' | center(999999999) }}".to_owned(),
        "{{ key | indent(999999999) }}".to_owned(),
        "{{ key | replace('', key) | replace('', key) }}".to_owned(),
        "{{ lipsum(n=999999) }}".to_owned(),
        doubling.to_owned(),
        format!("{{{{ {} }}}}", many("-", 99_999)),
        format!("{{{{ {} }}}}", many("not ", 99_999)),
        format!("{{{{ {}key{} }}}}", many("(", 9_999), many(")", 9_999)),
        format!("{{{{ {}1 }}}}", many("1 + ", 9_999)),
        format!("{{{{ models{} }}}}", many("[0]", 9_999)),
        format!("{{{{ models{} }}}}", many(" | json", 9_999)),
        format!("{}{}", many("{% if key %}", 999), many("{% endif %}", 999)),
        format!("{}{}", many("{% for m in models %}", 999), many("{% endfor %}", 999)),
        many("{% raw %}", 9_999),
        many("{%", 99_999),
        many("{{ '", 9_999),
        many("{#", 99_999),
        many("{% for m in models %}{% if m %}{% endif %}{% endfor %}", 9_999),
        format!("{{% for m in models %}}{}{{% endfor %}}", many("{{ models | json }}", 1_700)),
    ];
    for template in table {
        let data = json!({"a": template});
        let models: Vec<_> = (0..256).map(|n| format!("{n}{}", "m".repeat(250))).collect();
        let resource = json!({
            "apiVersion": "keysmith.dev/v1alpha1", "kind": "GatewayApiKey", "metadata": {"name": "checkout"},
            "spec": {"consoleTokenRef": {"name": "edgee"}, "models": models, "secret": {"template": {"data": data}}},
        });
        let refusal =
            SecretPlan::new(&serde_json::from_value(resource).unwrap(), "/v1").expect_err(&template);
        assert!(refusal.message.len() < 600, "{refusal}");
    }
}

#[test]
fn a_template_has_bounds_of_its_own() {
    let entries: BTreeMap<_, _> = (0..65).map(|n| (format!("e{n}"), "x")).collect();
    let large: BTreeMap<_, _> = (0..5).map(|n| (format!("e{n}"), "x".repeat(30_000))).collect();
    for (data, field) in [
        (json!(entries), "spec.secret.template.data"),
        (json!(large), "spec.secret.template.data"),
        (json!({"a": "x".repeat(LONGEST_TEMPLATE as usize + 1)}), "spec.secret.template.data[a]"),
    ] {
        assert_eq!(plan(json!({"template": {"data": data}})).unwrap_err().field, field);
    }
    assert!(
        plan(json!({"template": {"data": {"a": "ä".repeat(LONGEST_TEMPLATE as usize)}}})).is_ok(),
        "characters, not bytes"
    );
}
