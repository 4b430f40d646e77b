//! TOML → its tables, which know where they stand.

use toml::Spanned;
use toml::de::DeTable;
use toml_parser::Source;
use toml_parser::parser::{Event, EventKind, RecursionGuard, parse_document};

use super::scan::{Result, Syntax, fail};

/// How deep brackets may be nested: as deep as `toml` lets them.
const MAX_BRACKETS: u32 = 80;

/// How many dots the keys within a bracket may have, all of them together.
const MAX_DOTS: usize = 1_000;

/// More tokens than any lock file of 20 MB has: each takes some hundred bytes once it is a value, and
/// `[1,1,1]` is seven of them.
const MAX_TOKENS: usize = 2_000_000;

/// Parses a document.
pub(crate) fn parse(text: &str) -> Result<Spanned<DeTable<'_>>> {
    if let Some(token) = Source::new(text).lex().nth(MAX_TOKENS) {
        return fail(token.span().start(), "more than any such file holds");
    }
    if let Some(at) = too_deep(text) {
        return fail(at, "too many tables within one another");
    }
    DeTable::parse(text).map_err(|error| Syntax {
        at: error.span().map_or(0, |span| span.start),
        message: error.message().to_owned(),
    })
}

/// Where there are more tables within one another than any stack holds when they are dropped. `toml`
/// bounds the brackets and the dots of each key (`{ a.b.c = { d.e.f = … } }`), but not their product.
fn too_deep(text: &str) -> Option<usize> {
    let (mut open, mut dots, mut found) = (0_usize, 0, None);
    let mut count = |event: Event| {
        match event.kind() {
            EventKind::InlineTableOpen | EventKind::ArrayOpen => open += 1,
            EventKind::InlineTableClose | EventKind::ArrayClose => open = open.saturating_sub(1),
            EventKind::KeySep => dots += 1,
            _ => {}
        }
        if open == 0 {
            dots = 0;
        } else if dots > MAX_DOTS {
            found.get_or_insert(event.span().start());
        }
    };
    let tokens = Source::new(text).lex().into_vec();
    let mut guarded = RecursionGuard::new(&mut count, MAX_BRACKETS);
    // What is wrong is told when it is parsed for good.
    parse_document(&tokens, &mut guarded, &mut ());
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_nested_too_deeply_is_refused() {
        let key = "a.".repeat(79) + "a = ";
        for (tables, is_read) in [(1, true), (10, true), (20, false), (78, false)] {
            let open = format!("{key}{}1", format!("{{ {key}").repeat(tables));
            let close = " }".repeat(tables);
            assert_eq!(parse(&(open.clone() + &close)).is_ok(), is_read, "{tables}");
            // Nor may what is malformed besides overflow the stack.
            parse(&open).unwrap_err();
            parse(&(open.replace('1', "[") + &close)).unwrap_err();
        }
        for bracket in ["[", "{a=", "[{a=", "a."] {
            parse(&format!("a = {}", bracket.repeat(100_000))).unwrap_err();
            parse(&bracket.repeat(100_000)).unwrap_err();
        }
        // Nor are more values read than fit in memory.
        let many = format!("a = [{}]", "1,".repeat(MAX_TOKENS / 2 - 10));
        parse(&many).unwrap();
        let error = parse(&many.replace(']', "1,1,1,1,1,1,1,1,1,1]")).unwrap_err();
        assert_eq!(
            (error.at, &*error.message),
            (2_000_000, "more than any such file holds")
        );
        // Many are no harm beside each other.
        parse(&format!("a = [{}]", "{ b.c = 1.0 }, ".repeat(1_000))).unwrap();
        parse(&"[[a.b.c]]\nd.e = { f.g = 1 }\n".repeat(10_000)).unwrap();
    }
}
