//! The words of a filter.

use super::FilterError;

/// Longest filter, in bytes.
const MAX_BYTES: usize = 4096;

/// A piece of a filter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Open,
    Close,
    Not,
    And,
    Or,
    /// A keyword or a value, in lower case.
    Word(String),
}

pub(super) fn lex(text: &str) -> Result<Vec<Token>, FilterError> {
    if text.len() > MAX_BYTES {
        return Err(FilterError(format!("the filter has {} bytes; write at most {MAX_BYTES}", text.len())));
    }
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '(' => (Token::Open, 1),
            ')' => (Token::Close, 1),
            '!' => (Token::Not, 1),
            '&' if rest.starts_with("&&") => (Token::And, 2),
            '|' if rest.starts_with("||") => (Token::Or, 2),
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '(' | ')' | '!' | '&' | '|');
                let length = rest.find(ends).unwrap_or(rest.len());
                if length == 0 {
                    return Err(FilterError(format!("`{first}` stands alone; write `&&`, `||` or words")));
                }
                (word(&rest[..length]), length)
            }
        };
        tokens.push(token);
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn word(text: &str) -> Token {
    match text.to_ascii_lowercase().as_str() {
        "not" => Token::Not,
        "and" => Token::And,
        "or" => Token::Or,
        // A backslash keeps a protocol's name from being a keyword.
        word => Token::Word(word.strip_prefix('\\').unwrap_or(word).to_owned()),
    }
}
