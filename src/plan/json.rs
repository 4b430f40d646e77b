//! JSON in the very bytes in which pip writes it.

use serde_json::Value;

/// JSON as Python's `json.dumps` writes it with its keys sorted: a space behind `:` and `,`.
pub(crate) fn python_json(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            // The map of serde_json is sorted.
            let pairs: Vec<_> = map
                .iter()
                .map(|(key, value)| {
                    let key = Value::String(key.clone());
                    format!("{key}: {}", python_json(value))
                })
                .collect();
            format!("{{{}}}", pairs.join(", "))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(python_json).collect();
            format!("[{}]", values.join(", "))
        }
        Value::String(text) => {
            let mut json = String::new();
            for c in Value::String(text.clone()).to_string().chars() {
                if c.is_ascii() {
                    json.push(c);
                } else {
                    for unit in c.encode_utf16(&mut [0; 2]) {
                        json.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
            json
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_written_as_python_writes_it() {
        let value = serde_json::json!({"b": [1, true, null], "a": {"x": "ü\n"}});
        assert_eq!(
            python_json(&value),
            r#"{"a": {"x": "\u00fc\n"}, "b": [1, true, null]}"#
        );
    }
}
