//! From a path in the profile to its place in the file.
//!
//! The profile's types stay plain, so that the rest of the program need not unwrap spans; whoever finds a
//! value wrong names its path, and the second reading of the same text finds the place.

use std::fmt;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::diagnostic::Place;

/// A YAML document as places.
#[derive(Debug)]
pub(super) enum Tree {
    Scalar,
    Sequence(Vec<Spanned<Tree>>),
    Mapping(Vec<(Spanned<String>, Spanned<Tree>)>),
}

/// One step of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    Key(String),
    Index(usize),
}

/// Splits `spec.waivers[2].expires`; a key with dots in it is put into quotes: `quota.hard."requests.cpu"`.
pub(super) fn path(text: &str) -> Vec<Segment> {
    let mut segments = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('.') {
            rest = after;
        } else if let Some((index, after)) = rest.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
            if let Ok(index) = index.parse() {
                segments.push(Segment::Index(index));
            }
            rest = after;
        } else if let Some((key, after)) = rest.strip_prefix('"').and_then(|inner| inner.split_once('"')) {
            segments.push(Segment::Key(key.to_owned()));
            rest = after;
        } else {
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            // A stray sign is part of the key, so that the loop always gets on.
            let end = end.max(1);
            segments.push(Segment::Key(rest[..end].to_owned()));
            rest = &rest[end..];
        }
    }
    segments
}

/// The place of the path, or of the nearest parent that is there.
pub(super) fn locate(root: &Spanned<Tree>, wanted: &str) -> Place {
    let mut node = root;
    for segment in path(wanted) {
        let next = match (&node.value, &segment) {
            (Tree::Mapping(entries), Segment::Key(key)) => {
                entries.iter().find(|(known, _)| known.value == *key).map(|(_, value)| value)
            }
            (Tree::Sequence(items), Segment::Index(index)) => items.get(*index),
            _ => None,
        };
        match next {
            Some(next) => node = next,
            None => break,
        }
    }
    Place::of(node.referenced)
}

/// The mapping that has a key at this place: its path (empty for the root) and its own place. A reader that misses
/// a key can only say where the mapping ended, which is where nobody looks.
pub(super) fn mapping_with_key_at(root: &Spanned<Tree>, key: Place) -> Option<(String, Place)> {
    fn search(node: &Spanned<Tree>, path: &str, key: Place) -> Option<(String, Place)> {
        match &node.value {
            Tree::Scalar => None,
            Tree::Sequence(items) => items
                .iter()
                .enumerate()
                .find_map(|(index, item)| search(item, &format!("{path}[{index}]"), key)),
            Tree::Mapping(entries) => {
                if entries.iter().any(|(name, _)| Place::of(name.referenced).offset == key.offset) {
                    return Some((path.to_owned(), Place::of(node.referenced)));
                }
                entries.iter().find_map(|(name, value)| {
                    let dot = if path.is_empty() { "" } else { "." };
                    search(value, &format!("{path}{dot}{}", name.value), key)
                })
            }
        }
    }
    search(root, "", key)
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TreeVisitor;

        macro_rules! scalars {
            ($($visit:ident: $type:ty),+) => {
                $(fn $visit<E: de::Error>(self, _: $type) -> Result<Tree, E> { Ok(Tree::Scalar) })+
            };
        }

        impl<'de> Visitor<'de> for TreeVisitor {
            type Value = Tree;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("any YAML node")
            }

            scalars!(visit_bool: bool, visit_i64: i64, visit_u64: u64, visit_i128: i128, visit_u128: u128,
                     visit_f64: f64, visit_str: &str);

            fn visit_unit<E: de::Error>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_none<E: de::Error>(self) -> Result<Tree, E> {
                Ok(Tree::Scalar)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Tree, D::Error> {
                Tree::deserialize(deserializer)
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Tree, A::Error> {
                let mut items = Vec::new();
                while let Some(item) = seq.next_element()? {
                    items.push(item);
                }
                Ok(Tree::Sequence(items))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tree, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Tree::Mapping(entries))
            }
        }

        deserializer.deserialize_any(TreeVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "a: 1\nb:\n  - x: one\n    \"y.z\": two\n  - 3\nc: {d: ~, e: [true]}\n";

    fn line_column(wanted: &str) -> (usize, usize) {
        let root: Spanned<Tree> = serde_saphyr::from_str(TEXT).unwrap();
        let place = locate(&root, wanted);
        (place.line, place.column)
    }

    #[test]
    fn finds_values_and_falls_back_to_the_parent() {
        assert_eq!(line_column("a"), (1, 4));
        assert_eq!(line_column("b[0].x"), (3, 8));
        assert_eq!(line_column("b[0].\"y.z\""), (4, 12));
        assert_eq!(line_column("b[1]"), (5, 5));
        assert_eq!(line_column("c.e[0]"), (6, 15));
        assert_eq!(line_column("b[0].missing"), line_column("b[0]"));
        assert_eq!(line_column("b[7]"), line_column("b"));
    }

    proptest! {
        #[test]
        fn any_text_is_a_path_of_some_kind(text in "[a-z.\\[\\]\"0-9]{0,12}") {
            path(&text);
        }
    }
}
