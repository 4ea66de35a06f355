//! How deep a template is nested, before it is parsed: the parser calls itself for each level and each link of a chain, and its
//! stack is not endless. Must not know: what templates mean.

use minijinja::machinery::{Token, tokenize};
use minijinja::syntax::SyntaxConfig;

/// Levels of brackets and links of chains within one another.
const DEEPEST: usize = 200;

/// Words that chain expressions.
const CHAINING: [&str; 7] = ["not", "and", "or", "is", "in", "if", "else"];

/// Whether `source` can be parsed without much stack; in words why not, with the cure.
pub(super) fn check(source: &str, syntax: SyntaxConfig) -> Result<(), String> {
    let (mut tag, mut branches) = (Tag::default(), 0);
    for token in tokenize(source, false, syntax) {
        // The parser says what is wrong.
        let Ok((token, span)) = token else { return Ok(()) };
        match token {
            Token::TemplateData(_) => {}
            Token::VariableStart | Token::BlockStart => tag = Tag::default(),
            Token::ParenOpen | Token::BracketOpen | Token::BraceOpen => tag.open(),
            Token::ParenClose | Token::BracketClose | Token::BraceClose => tag.close(),
            Token::Comma => tag.next(),
            Token::Ident("elif") => branches += 1,
            Token::Ident(word) if !CHAINING.contains(&word) => {}
            Token::VariableEnd
            | Token::BlockEnd
            | Token::Str(_)
            | Token::String(_)
            | Token::Int(_)
            | Token::Int128(_)
            | Token::Float(_) => {}
            // Every other word and sign links two expressions, or one with what it does to it.
            _ => tag.link(),
        }
        if tag.depth > DEEPEST || branches > DEEPEST {
            return Err(format!(
                "line {}: expressions are nested or chained more than {DEEPEST} times; set parts of them beforehand",
                span.start_line
            ));
        }
    }
    Ok(())
}

/// Where in the expressions of a tag we are.
#[derive(Default)]
struct Tag {
    /// Links before the place in each open bracket.
    outer: Vec<usize>,
    /// Links since the last comma of the innermost one.
    links: usize,
    /// All of them, and the brackets.
    depth: usize,
}

impl Tag {
    fn open(&mut self) {
        self.outer.push(std::mem::take(&mut self.links));
        self.depth += 1;
    }

    /// What was in brackets is a link of a chain itself, as an index or a call is.
    fn close(&mut self) {
        self.next();
        if let Some(links) = self.outer.pop() {
            self.links = links;
            self.depth -= 1;
        }
        self.link();
    }

    /// What follows is not within what stood before.
    fn next(&mut self) {
        self.depth -= std::mem::take(&mut self.links);
    }

    fn link(&mut self) {
        self.links += 1;
        self.depth += 1;
    }
}
