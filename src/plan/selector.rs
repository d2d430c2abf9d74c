//! Label selectors on the command line. The API server parses them too; checking here gives a clear message before
//! any request.

/// Refuses an invalid label selector.
pub fn check(text: &str) -> Result<(), String> {
    let whole = text.trim();
    if whole.is_empty() {
        return Err(format!("is empty; {HINT}"));
    }
    for requirement in requirements(whole)? {
        if !holds(requirement.trim()) {
            return Err(format!("{:?} is no requirement on a label; {HINT}", requirement.trim()));
        }
    }
    Ok(())
}

const HINT: &str = "write such as team=shop, env!=test, team in (shop,search), or team, separated by commas";

/// Splits at commas between requirements, but not at commas in parentheses, which separate values.
fn requirements(text: &str) -> Result<Vec<&str>, String> {
    let (mut found, mut start, mut open) = (Vec::new(), 0, false);
    for (place, c) in text.char_indices() {
        match c {
            '(' if !open => open = true,
            ')' if open => open = false,
            '(' | ')' => return Err(format!("{text:?} has a parenthesis too many; {HINT}")),
            ',' if !open => {
                found.push(&text[start..place]);
                start = place + 1;
            }
            _ => {}
        }
    }
    if open {
        return Err(format!("{text:?} lacks a closing parenthesis; {HINT}"));
    }
    found.push(&text[start..]);
    Ok(found)
}

fn holds(text: &str) -> bool {
    if let Some(key) = text.strip_prefix('!') {
        return is_key(key.trim());
    }
    if let Some(listed) = text.strip_suffix(')') {
        let Some((left, values)) = listed.split_once('(') else { return false };
        let Some((key, operator)) = left.trim_end().rsplit_once(char::is_whitespace) else { return false };
        let known = ["in", "notin"].contains(&operator);
        return known && is_key(key.trim()) && values.split(',').all(|it| is_value(it.trim()));
    }
    for operator in ["!=", "==", "="] {
        if let Some((key, value)) = text.split_once(operator) {
            return is_key(key.trim()) && is_value(value.trim());
        }
    }
    for operator in ['>', '<'] {
        if let Some((key, value)) = text.split_once(operator) {
            return is_key(key.trim()) && value.trim().parse::<i64>().is_ok();
        }
    }
    is_key(text)
}

fn is_key(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').map_or((None, text), |(prefix, name)| (Some(prefix), name));
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-' || byte == b'.';
    let prefixed =
        prefix.is_none_or(|it| !it.is_empty() && it.len() <= 253 && it.bytes().all(plain) && bounded(it));
    prefixed && !name.is_empty() && is_value(name)
}

fn is_value(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    text.is_empty() || (text.len() <= 63 && text.bytes().all(plain) && bounded(text))
}

fn bounded(text: &str) -> bool {
    let outer = |c: char| c.is_ascii_alphanumeric();
    text.starts_with(outer) && text.ends_with(outer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_kubectl_takes_is_taken() {
        for text in [
            "team=shop",
            "team==shop",
            "team!=shop",
            "team=",
            "team",
            "!team",
            " team = shop , env ",
            "team in (shop, search),env notin (test)",
            "app.kubernetes.io/name=x,size>3",
            "keysmith.dev/Team_1.x=Y",
        ] {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_is_no_selector_is_refused_in_a_sentence() {
        for text in [
            "",
            " ",
            "team=(1",
            "team=1)",
            "team in shop",
            "team in (a",
            "in (a)",
            "team within (a)",
            "=x",
            "a=b=c",
            "team=-x",
            "te am=x",
            "team=shop,",
            ",",
            "/x=y",
            "UPPER.example/x=y",
            "team=sh\u{f6}p",
            "size>big",
            "!",
            "(a)",
        ] {
            let error = check(text).unwrap_err();
            assert!(error.ends_with(HINT), "{text}: {error}");
        }
    }
}
