//! The two text formats. A scraper says in `Accept` whether it reads OpenMetrics; the library writes that one, and the older
//! format of Prometheus differs in the names of counters and in the end.

use std::fmt::Write as _;

/// Content type of OpenMetrics.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// Content type of the older format.
pub const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Whether a client reads OpenMetrics, by its header `Accept`.
pub fn reads_open_metrics(accept: Option<&str>) -> bool {
    let weight = |range: &str| {
        let mut parts = range.split(';').map(str::trim);
        let open = parts.next()?.eq_ignore_ascii_case("application/openmetrics-text");
        let weight =
            parts.find_map(|it| it.strip_prefix("q=")).map_or(Some(1.0), |it| it.parse::<f32>().ok());
        open.then_some(weight?)
    };
    accept.unwrap_or_default().split(',').filter_map(weight).any(|it| it > 0.0)
}

/// The older format of the same metrics: the metadata of a counter have the name of its samples, and nothing marks the end.
pub fn classic(open: &str) -> String {
    let counters: Vec<_> =
        open.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(open.len());
    for line in open.lines().filter(|line| *line != "# EOF" && !line.starts_with("# UNIT ")) {
        let named =
            ["# HELP ", "# TYPE "].into_iter().find_map(|kind| Some((kind, line.strip_prefix(kind)?)));
        match named.and_then(|(kind, rest)| Some((kind, rest.split_once(' ')?))) {
            Some((kind, (name, rest))) if counters.contains(&name) => {
                let _ = writeln!(text, "{kind}{name}_total {rest}");
            }
            _ => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_open_metrics_only_if_it_says_that_it_reads_them() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.1";
        for (accept, open) in [
            (Some(prometheus), true),
            (Some("application/openmetrics-text"), true),
            (Some("text/html, Application/OpenMetrics-Text; version=1.0.0"), true),
            (Some("application/openmetrics-text;q=0,text/plain"), false),
            (Some("text/plain;version=0.0.4"), false),
            (Some("*/*"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(reads_open_metrics(accept), open, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_names_counters_as_their_samples() {
        let open = "# HELP a Things.\n# TYPE a counter\na_total{b=\"# TYPE c counter\"} 1\n# HELP g G.\n# TYPE g gauge\n\
                    # UNIT g seconds\ng 1\n# EOF\n";
        let expected = "# HELP a_total Things.\n# TYPE a_total counter\na_total{b=\"# TYPE c counter\"} 1\n\
                        # HELP g G.\n# TYPE g gauge\ng 1\n";
        assert_eq!(classic(open), expected);
    }
}
