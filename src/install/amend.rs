//! Files of a prefix that are changed when all is in its place: their `RECORD`s stay true.

use std::collections::BTreeMap;

use super::{Error, Installed, relocate, set_content};
use crate::digest::Digest;
use crate::layout::Layout;
use crate::tree::{Node, RelPath};
use crate::wheel::record::{self, Row};

/// Gives files other bytes.
pub fn amend(
    installed: &mut Installed,
    layout: &Layout,
    files: Vec<(RelPath, Vec<u8>)>,
) -> Result<(), Error> {
    let changed: BTreeMap<&RelPath, (Digest, u64)> = files
        .iter()
        .map(|(path, bytes)| (path, (Digest::of(bytes), bytes.len() as u64)))
        .collect();
    let mut records = Vec::new();
    for (path, entry) in installed.tree.iter() {
        let Some(site) = path.parent().and_then(|info| info.parent()) else {
            continue;
        };
        let is_site = site == layout.purelib || site == layout.platlib;
        let is_record = path.as_str().ends_with(".dist-info/RECORD");
        let Node::File { content, .. } = &entry.node else {
            continue;
        };
        if is_site && is_record {
            let text = content.read()?;
            let text = amended(&String::from_utf8_lossy(&text), &site, &changed);
            records.extend(text.map(|text| (path.clone(), text.into_bytes())));
        }
    }
    for (path, bytes) in files.into_iter().chain(records) {
        set_content(&mut installed.tree, &path, bytes);
    }
    Ok(())
}

/// The text of a `RECORD` with the rows of what has changed made anew, if it has any.
fn amended(
    text: &str,
    site: &RelPath,
    changed: &BTreeMap<&RelPath, (Digest, u64)>,
) -> Option<String> {
    let mut rows: BTreeMap<String, String> = BTreeMap::new();
    for (path, file) in changed {
        let path = relocate::relative(site, path);
        let row = |file| {
            record::write(vec![Row {
                path: path.clone(),
                file,
            }])
        };
        // As it begins, whatever its hash and size.
        let start = row(None)
            .trim_end_matches('\n')
            .trim_end_matches(',')
            .to_owned()
            + ",";
        rows.insert(start, row(Some(*file)));
    }
    let mut is_changed = false;
    let lines = text.split_inclusive('\n').map(|line| {
        let row = rows
            .iter()
            .find(|(start, _)| line.starts_with(start.as_str()));
        is_changed |= row.is_some();
        row.map_or(line, |(_, row)| row.as_str())
    });
    let amended: String = lines.collect();
    is_changed.then_some(amended)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_made_anew() {
        let site = RelPath::new("lib/site").unwrap();
        let (inside, outside) = ("lib/site/a/b,c.so", "bin/tool");
        let paths = [inside, outside].map(|path| RelPath::new(path).unwrap());
        let file = (Digest::of(b"new"), 3);
        let changed = BTreeMap::from([(&paths[0], file), (&paths[1], file)]);
        let text = "../../bin/tool,sha256=x,1\n\"a/b,c.so\",sha256=y,2\na/b,sha256=z,3\n";
        let hash = record::write(vec![Row {
            path: String::new(),
            file: Some(file),
        }]);
        let expected = format!("../../bin/tool{hash}\"a/b,c.so\"{hash}a/b,sha256=z,3\n");
        assert_eq!(amended(text, &site, &changed), Some(expected));
        assert_eq!(amended("other,sha256=x,1\n", &site, &changed), None);
    }
}
