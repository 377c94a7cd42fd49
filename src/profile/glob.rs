//! Shell patterns of two signs.

/// Whether the text matches the pattern: `*` is any run of characters, also none and also `/`; `?` is any
/// one. Context names of clouds hold slashes and colons (`arn:aws:eks:...:cluster/qa`), so neither is
/// special, which is why no path-matching library is used.
pub fn matches(pattern: &str, text: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let text: Vec<char> = text.chars().collect();
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some('*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(&sign) if sign == '?' || sign == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                // Let the last star swallow one character more.
                Some((star, from)) => {
                    p = star + 1;
                    t = from + 1;
                    retry = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|sign| *sign == '*')
}

#[cfg(test)]
mod tests {
    use super::matches;
    use proptest::prelude::*;

    #[test]
    fn stars_and_marks() {
        assert!(matches("*", ""));
        assert!(matches("lab-*", "lab-default"));
        assert!(matches("arn:aws:eks:*:cluster/qa-?", "arn:aws:eks:eu-west-1:123:cluster/qa-2"));
        assert!(!matches("qa", "qa-eu"));
        assert!(!matches("qa-?", "qa-"));
        assert!(matches("a*b*c", "aXbYbZc"));
        assert!(!matches("a*b*c", "aXbYbZ"));
    }

    proptest! {
        #[test]
        fn a_text_matches_itself_and_a_star_matches_all(text in "[a-z/:-]{0,20}") {
            prop_assert!(matches(&text, &text));
            prop_assert!(matches("*", &text));
            let prefixed = format!("{text}*");
            prop_assert!(matches(&prefixed, &text));
        }

        #[test]
        fn agrees_with_the_naive_definition(pattern in "[ab*?]{0,7}", text in "[ab]{0,7}") {
            fn naive(p: &[u8], t: &[u8]) -> bool {
                match p.first() {
                    None => t.is_empty(),
                    Some(b'*') => naive(&p[1..], t) || (!t.is_empty() && naive(p, &t[1..])),
                    Some(b'?') => !t.is_empty() && naive(&p[1..], &t[1..]),
                    Some(c) => t.first() == Some(c) && naive(&p[1..], &t[1..]),
                }
            }
            prop_assert_eq!(matches(&pattern, &text), naive(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
