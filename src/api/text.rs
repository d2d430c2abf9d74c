//! Text fields with CEL rules whose messages say what to write; a `pattern` would print its regular expression
//! instead.
//!
//! Each text has a `maxLength`, because the API server estimates the cost of a rule from it.

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Value, json};

/// The format of a Kubernetes object name.
const SUBDOMAIN: &str = "self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$')";
const DURATION: &str = "^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,8}([.][0-9]{1,9})?m)?([0-9]{1,9}([.][0-9]{1,9})?s)?([0-9]{1,12}ms)?$";
/// The message for a malformed duration.
pub const DURATIONS: &str = "write hours, minutes and seconds, such as 24h or 1h30m; there are no days";
/// A key must not reach its maximum age before the overlap of the previous one ends.
pub const MAX_AGE: &str = "!has(self.maxAge) || !self.maxAge.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,8}([.][0-9]{1,9})?m)?([0-9]{1,9}([.][0-9]{1,9})?m?s)?$') || \
    (has(self.overlap) && !self.overlap.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,8}([.][0-9]{1,9})?m)?([0-9]{1,9}([.][0-9]{1,9})?m?s)?$')) || \
    duration(self.maxAge) >= duration(has(self.overlap) ? self.overlap : '24h')";
/// A key that is due for renewal when it is created would be renewed forever.
pub const RENEW_BEFORE: &str = "!has(self.rotation) || !has(self.rotation.renewBefore) || !has(self.expiresInDays) || \
    !self.rotation.renewBefore.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,8}([.][0-9]{1,9})?m)?([0-9]{1,9}([.][0-9]{1,9})?m?s)?$') || \
    duration(self.rotation.renewBefore).getSeconds() < self.expiresInDays * 86400";
/// A key cannot get older than its expiry.
pub const AGE_AND_EXPIRY: &str = "!has(self.rotation) || !has(self.rotation.maxAge) || !has(self.expiresInDays) || has(self.externalId) || \
    !self.rotation.maxAge.matches('^([0-9]{1,6}([.][0-9]{1,9})?h)?([0-9]{1,8}([.][0-9]{1,9})?m)?([0-9]{1,9}([.][0-9]{1,9})?m?s)?$') || \
    duration(self.rotation.maxAge).getSeconds() <= self.expiresInDays * 86400";
const AMOUNT: &str = "self.matches('^[0-9]{1,13}([.][0-9]{1,6})?$')";

/// The schema with one more rule.
pub fn with_rule(mut schema: Schema, rule: &str, message: &str) -> Schema {
    let mut rules = schema.remove("x-kubernetes-validations").unwrap_or_else(|| json!([]));
    if let Value::Array(rules) = &mut rules {
        rules.push(json!({"rule": rule, "message": message}));
    }
    schema.insert("x-kubernetes-validations".into(), rules);
    schema
}

fn text(generator: &mut SchemaGenerator, longest: u32, rule: &str, message: &str) -> Schema {
    let mut schema = String::json_schema(generator);
    schema.insert("maxLength".into(), longest.into());
    with_rule(schema, rule, message)
}

/// The name of a Kubernetes object: an RFC 1123 subdomain of at most 253 characters.
pub fn object_name(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no name of a Kubernetes object: write small letters, digits, '-' and '.'; each part between dots begins \
                   and ends with a letter or a digit";
    text(generator, 253, SUBDOMAIN, message)
}

/// The name of an entry in a Secret.
pub fn entry_name(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no name of a Secret's entry: write letters, digits, '-', '_' and '.' only";
    text(
        generator,
        253,
        "self.matches('^[-._a-zA-Z0-9]+$') && !self.startsWith('..') && self != '.'",
        message,
    )
}

/// A duration in Go's format, such as `720h` or `1h30m`.
pub fn duration(generator: &mut SchemaGenerator) -> Schema {
    text(generator, 32, &format!("self == '0' || self.matches('{DURATION}') && self != ''"), DURATIONS)
}

/// A duration of at least one minute.
pub fn interval(generator: &mut SchemaGenerator) -> Schema {
    let rule = format!("!self.matches('{DURATION}') || self == '' || duration(self) >= duration('1m')");
    with_rule(duration(generator), &rule, "must be at least 1m")
}

/// A time of day.
pub fn time_of_day(generator: &mut SchemaGenerator) -> Schema {
    let message = "write hours and minutes in two digits each, such as 09:00, from 00:00 to 23:59";
    text(generator, 32, "self.matches('^([01][0-9]|2[0-3]):[0-5][0-9]$')", message)
}

/// A name of the IANA time zone database.
pub fn time_zone(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no time zone: write a name such as Europe/Berlin, or leave it out for UTC";
    text(generator, 64, "self.matches('^[A-Za-z0-9_+/-]+$')", message)
}

/// A name shown in a vendor's console.
pub fn display_name(generator: &mut SchemaGenerator) -> Schema {
    let message = "write any text without square brackets, which are Keysmith's own, and without line breaks or other control \
                   characters";
    text(generator, 64, r"self.matches(r'^[^\[\]\x00-\x1f\x7f]+$')", message)
}

/// A coding assistant, in the vendor's terms.
pub fn coding_assistant(generator: &mut SchemaGenerator) -> Schema {
    text(
        generator,
        64,
        "self.matches('^[a-z0-9_-]+$')",
        "write small letters, digits, '_' and '-', such as claude_code",
    )
}

/// A provider, in the vendor's terms.
pub fn provider(generator: &mut SchemaGenerator) -> Schema {
    text(
        generator,
        64,
        "self.matches('^[a-z0-9_-]+$')",
        "write small letters, digits, '_' and '-', such as openai",
    )
}

/// An e-mail address.
pub fn email(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no e-mail address: write one such as team@example.com";
    text(generator, 254, r"self.matches(r'^[^@\s]+@[^@\s]+$')", message)
}

/// The vendor's id of a key.
pub fn external_id(generator: &mut SchemaGenerator) -> Schema {
    let message =
        "is no id of a key: write it as the vendor shows it, with letters, digits, '.', '_' and '-' only";
    text(generator, 128, "self.matches('^[A-Za-z0-9._-]+$')", message)
}

/// The vendor's id of an organization.
pub fn organization_id(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no id of an organization: write letters, digits, '_' and '-' only, such as org_12345";
    text(generator, 128, "self.matches('^[A-Za-z0-9_-]+$')", message)
}

/// The class of an operator.
pub fn controller_class(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no class of an operator: begin with a lower-case letter, and write lower-case letters, digits and hyphens only";
    text(generator, 40, "self.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')", message)
}

/// A URL that applications call.
pub fn gateway_url(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no URL to call: write http:// or https://, a host and perhaps a path, such as https://llm.example.com, \
                   without query and fragment";
    text(generator, 512, r"self.matches(r'^https?://[^\s/?#]+(/[^\s?#]*)?$')", message)
}

/// A path below a vendor's API.
pub fn path(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no path below the vendor's API: write one such as /manage/usage";
    text(generator, 128, "self.matches('^(/[A-Za-z0-9._-]+)+$')", message)
}

/// An amount of money; zero is permitted.
pub fn amount(generator: &mut SchemaGenerator) -> Schema {
    text(
        generator,
        32,
        AMOUNT,
        "write a decimal number that is not negative, in quotes, such as \"20\" or \"2.50\"",
    )
}

/// An amount of money that is a limit, so not zero.
pub fn limit(generator: &mut SchemaGenerator) -> Schema {
    let message = "write a decimal number above 0, in quotes, such as \"250\" or \"2.50\"";
    let schema = text(generator, 32, AMOUNT, message);
    let zero = "0 would mean no limit to the vendors: leave budget out for no limit, or delete the resource to stop its key";
    with_rule(schema, "!self.matches('^[0.]+$')", zero)
}

/// A text with `*` for any text, such as `anthropic/*`.
pub fn glob(generator: &mut SchemaGenerator) -> Schema {
    let message =
        "write letters, digits, '.', '_', ':', '/', '@' and '-', and '*' for any text, such as anthropic/*";
    text(generator, 256, "self.matches('^[-A-Za-z0-9._:/@*]+$')", message)
}

/// The key of a label.
pub fn label_key(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no key of a label: write at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at both \
                   ends, behind a domain and '/' if there is one, such as example.com/cost-centre";
    text(
        generator,
        317,
        &KEYS.replace("self.all(it, size(it) <= 317 && ", "(").replace("it.matches", "self.matches"),
        message,
    )
}

/// The type of a Secret.
pub fn secret_type(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no type of a Secret: write one like example.com/llm, with letters, digits, '-', '_' and '.', behind a \
                   domain and '/'";
    let schema = text(
        generator,
        253,
        "self.matches('^([a-z0-9][-a-z0-9.]*/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$')",
        message,
    );
    let rule = "!(self in ['kubernetes.io/service-account-token', 'bootstrap.kubernetes.io/token', 'helm.sh/release.v1'])";
    with_rule(schema, rule, "has a meaning of its own in Kubernetes: use Opaque or a type of yours")
}

/// The format of label and annotation keys.
const KEYS: &str = "self.all(it, size(it) <= 317 && \
    it.matches('^([a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*/)?[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$'))";
const OWN: &str = "self.all(it, it != 'app.kubernetes.io/managed-by' && !it.startsWith('keysmith.dev/'))";
/// The format of a Secret entry's name.
const ENTRIES: &str = "self.all(it, size(it) <= 253 && it.matches('^[-._a-zA-Z0-9]+$'))";
/// Limit of labels: the estimated cost of a rule grows with their number.
const MOST_LABELS: u32 = 64;
/// Limit of the entries of a template. An object holds a megabyte, and the operator holds every object in memory.
pub const MOST_ENTRIES: u32 = 64;
/// Limit of the characters of one entry of a template.
pub const LONGEST_TEMPLATE: u32 = 32 * 1024;
/// Limit of the characters of a template in all.
pub const LONGEST_IN_ALL: u32 = 128 * 1024;
/// Limit of the characters of one annotation.
const LONGEST_ANNOTATION: u32 = 16 * 1024;
/// Limit of the characters of all annotations.
const ANNOTATIONS_IN_ALL: u32 = 64 * 1024;

/// Labels of a Secret.
pub fn labels(generator: &mut SchemaGenerator) -> Schema {
    let message = "is no value of a label: write at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at both \
                   ends; an annotation takes any text";
    let value =
        text(generator, 253, "self.matches('^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$')", message);
    named(map(&value, MOST_LABELS))
}

/// Annotations of a Secret.
pub fn annotations(generator: &mut SchemaGenerator) -> Schema {
    let map = map(&bounded(generator, LONGEST_ANNOTATION), MOST_LABELS);
    within(named(map), ANNOTATIONS_IN_ALL)
}

fn named(map: Schema) -> Schema {
    let message = "has a key that is none: write at most 63 letters, digits, '-', '_' and '.', with a letter or a digit at both \
                   ends, behind a domain and '/' if there is one, such as example.com/team";
    let own = "names of keysmith.dev and app.kubernetes.io/managed-by are Keysmith's own: use others";
    with_rule(with_rule(map, KEYS, message), OWN, own)
}

/// Entries of a Secret.
pub fn entries(generator: &mut SchemaGenerator) -> Schema {
    let message = "has an entry whose name is none: write letters, digits, '-', '_' and '.' only";
    let map = map(&bounded(generator, LONGEST_TEMPLATE), MOST_ENTRIES);
    within(with_rule(map, ENTRIES, message), LONGEST_IN_ALL)
}

fn bounded(generator: &mut SchemaGenerator, longest: u32) -> Schema {
    let mut schema = String::json_schema(generator);
    schema.insert("maxLength".to_owned(), longest.into());
    schema
}

/// The map with a limit of the characters of all its values.
fn within(map: Schema, most: u32) -> Schema {
    let rule = format!("self.map(it, size(self[it])).sum() <= {most}");
    let message = format!("has more than {most} characters in all: put large texts into a ConfigMap");
    with_rule(map, &rule, &message)
}

fn map(value: &Schema, most: u32) -> Schema {
    schemars::json_schema!({"type": "object", "additionalProperties": value, "maxProperties": most})
}
