//! The statements and expressions of a Python source, as far as they matter for the libraries that it opens.
//!
//! This is no compiler: what it cannot read it leaves out, and goes on with the next statement.
//!
//! <https://docs.python.org/3/reference/grammar.html>

use super::tokens::{self, Line, Part, Token};

/// Where an expression lies in its source's list.
pub(super) type Id = usize;

#[derive(Debug)]
pub(super) enum Expr {
    Text(Vec<Part>),
    Number(String),
    Name(String),
    Attribute(Id, String),
    Call {
        callee: Id,
        args: Vec<Id>,
        named: Vec<(String, Id)>,
    },
    Item(Id, Id),
    Many(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A comprehension: the value, and what its names stand for.
    Each {
        value: Id,
        targets: Vec<String>,
        over: Id,
    },
    Binary(Id, &'static str, Id),
    Compare(Id, Comparison, Id),
    Not(Id),
    Any(Vec<Id>),
    All(Vec<Id>),
    Choice {
        condition: Id,
        yes: Id,
        no: Id,
    },
    /// `name := value`.
    Bind(String, Id),
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    Unequal,
    In,
    NotIn,
    /// `<`, `<=`, `>` and `>=`.
    Less,
    AtMost,
    More,
    AtLeast,
}

#[derive(Debug)]
pub(super) enum Statement {
    /// `import a.b as c`.
    Import(Vec<(String, Option<String>)>),
    /// `from a import b as c`.
    From {
        module: String,
        names: Vec<(String, Option<String>)>,
    },
    /// The names, what has the attributes and items that are assigned to, and the value.
    Assign(Vec<String>, Vec<Id>, Id),
    Expression(Id),
    /// `return` and `yield`: only the first ends the function.
    Return(Option<Id>, bool),
    Raise,
    /// `break` and `continue`.
    Leave,
    Function(Function),
    Class(String, Vec<Statement>),
    /// The branches, the last of which may have no condition.
    If(Vec<(Option<Id>, Vec<Statement>)>),
    Try {
        body: Vec<Statement>,
        handlers: Vec<Handler>,
        otherwise: Vec<Statement>,
    },
    For {
        targets: Vec<String>,
        over: Option<Id>,
        body: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    With {
        values: Vec<Id>,
        body: Vec<Statement>,
    },
}

#[derive(Debug)]
pub(super) struct Function {
    pub(super) name: String,
    pub(super) parameters: Vec<Parameter>,
    pub(super) body: Vec<Statement>,
}

#[derive(Debug)]
pub(super) struct Parameter {
    pub(super) name: String,
    /// Whether it takes all that is left.
    pub(super) rest: bool,
    pub(super) default: Option<Id>,
}

#[derive(Debug)]
pub(super) struct Handler {
    /// Whether it handles that a library cannot be loaded.
    pub(super) handles: bool,
    pub(super) body: Vec<Statement>,
}

/// A source.
#[derive(Debug, Default)]
pub(super) struct Syntax {
    pub(super) expressions: Vec<Expr>,
    pub(super) body: Vec<Statement>,
}

/// How deep brackets and blocks may lie in each other.
const MAX_DEPTH: usize = 40;

impl Syntax {
    pub(super) fn read(source: &str) -> Self {
        let lines = tokens::lines(source);
        let mut blocks = Blocks {
            lines: &lines,
            at: 0,
            depth: 0,
            expressions: Vec::new(),
        };
        let mut body = Vec::new();
        while blocks.at < lines.len() {
            blocks.block(0, &mut body);
        }
        Self {
            expressions: blocks.expressions,
            body,
        }
    }
}

struct Blocks<'a> {
    lines: &'a [Line],
    at: usize,
    depth: usize,
    expressions: Vec<Expr>,
}

impl Blocks<'_> {
    /// Reads the statements from here on that are indented by at least so much.
    fn block(&mut self, indent: usize, into: &mut Vec<Statement>) {
        while let Some(line) = self.lines.get(self.at) {
            if line.indent < indent {
                return;
            }
            self.at += 1;
            self.statement(&line.tokens, line.indent, into);
        }
    }

    /// The block behind a header: the rest of its line, or the lines below that are indented further.
    fn body(&mut self, rest: &[Token], indent: usize) -> Vec<Statement> {
        let mut body = Vec::new();
        if !rest.is_empty() {
            self.simple_statements(rest, &mut body);
            return body;
        }
        if self.depth >= MAX_DEPTH {
            while self
                .lines
                .get(self.at)
                .is_some_and(|line| line.indent > indent)
            {
                self.at += 1;
            }
            return body;
        }
        self.depth += 1;
        self.block(indent + 1, &mut body);
        self.depth -= 1;
        body
    }

    /// A clause that goes on with a statement, such as `else`, at the same indentation.
    fn clause(
        &mut self,
        indent: usize,
        words: &[&str],
    ) -> Option<(String, Vec<Token>, Vec<Statement>)> {
        let line = self
            .lines
            .get(self.at)
            .filter(|line| line.indent == indent)?;
        let Some(Token::Name(word)) = line.tokens.first() else {
            return None;
        };
        if !words.contains(&word.as_str()) {
            return None;
        }
        self.at += 1;
        let (head, rest) = header(&line.tokens[1..]);
        let body = self.body(rest, indent);
        Some((word.clone(), head.to_vec(), body))
    }

    fn statement(&mut self, tokens: &[Token], indent: usize, into: &mut Vec<Statement>) {
        let tokens = match tokens {
            [Token::Name(word), rest @ ..] if word == "async" => rest,
            tokens => tokens,
        };
        // Decorators change nothing here.
        let word = match tokens.first() {
            Some(Token::Sign("@")) => return,
            Some(Token::Name(word)) => word.as_str(),
            _ => "",
        };
        if !matches!(
            word,
            "if" | "try"
                | "for"
                | "while"
                | "with"
                | "def"
                | "class"
                | "else"
                | "elif"
                | "except"
                | "finally"
        ) {
            return self.simple_statements(tokens, into);
        }
        let (head, rest) = header(&tokens[1..]);
        match word {
            "if" => {
                let condition = self.expression(head);
                let body = self.body(rest, indent);
                let mut branches = vec![(Some(condition), body)];
                while let Some((word, head, body)) = self.clause(indent, &["elif", "else"]) {
                    let condition = (word == "elif").then(|| self.expression(&head));
                    branches.push((condition, body));
                }
                into.push(Statement::If(branches));
            }
            "try" => {
                let body = self.body(rest, indent);
                let mut handlers = Vec::new();
                let (mut otherwise, mut last) = (Vec::new(), Vec::new());
                while let Some((word, head, body)) =
                    self.clause(indent, &["except", "else", "finally"])
                {
                    match word.as_str() {
                        "except" => handlers.push(Handler {
                            handles: handles(&head),
                            body,
                        }),
                        "else" => otherwise = body,
                        _ => last = body,
                    }
                }
                into.push(Statement::Try {
                    body,
                    handlers,
                    otherwise,
                });
                into.append(&mut last);
            }
            "for" | "while" => {
                let (targets, over) = match position(head, "in") {
                    Some(at) if word == "for" => {
                        (names(&head[..at]), Some(self.expression(&head[at + 1..])))
                    }
                    _ => (Vec::new(), None),
                };
                let body = self.body(rest, indent);
                let otherwise = self.clause(indent, &["else"]);
                into.push(Statement::For {
                    targets,
                    over,
                    body,
                    otherwise: otherwise.map(|(_, _, body)| body).unwrap_or_default(),
                });
            }
            "with" => {
                let items = split(head, ",");
                let values = items.into_iter().map(|item| {
                    let end = position(item, "as").unwrap_or(item.len());
                    self.expression(&item[..end])
                });
                let values = values.collect();
                let body = self.body(rest, indent);
                into.push(Statement::With { values, body });
            }
            "def" => {
                let function = self.function(head, rest, indent);
                into.push(Statement::Function(function));
            }
            "class" => {
                let name = names(head).into_iter().next().unwrap_or_default();
                let body = self.body(rest, indent);
                into.push(Statement::Class(name, body));
            }
            // A clause without its statement.
            _ => drop(self.body(rest, indent)),
        }
    }

    fn function(&mut self, head: &[Token], rest: &[Token], indent: usize) -> Function {
        let name = match head.first() {
            Some(Token::Name(name)) => name.clone(),
            _ => String::new(),
        };
        let open = head.iter().position(|token| *token == Token::Sign("("));
        let inside = open.map_or(&[][..], |open| inner(&head[open..]));
        let mut parameters = Vec::new();
        for parameter in split(inside, ",") {
            let (rest, tokens) = match parameter {
                [Token::Sign("*" | "**"), tokens @ ..] => (true, tokens),
                tokens => (false, tokens),
            };
            let Some(Token::Name(name)) = tokens.first() else {
                continue;
            };
            let equals = position_of_sign(tokens, "=");
            parameters.push(Parameter {
                name: name.clone(),
                rest,
                default: equals.map(|at| self.expression(&tokens[at + 1..])),
            });
        }
        let body = self.body(rest, indent);
        Function {
            name,
            parameters,
            body,
        }
    }

    fn simple_statements(&mut self, tokens: &[Token], into: &mut Vec<Statement>) {
        for tokens in split(tokens, ";") {
            if let Some(statement) = self.simple(tokens) {
                into.push(statement);
            }
        }
    }

    fn simple(&mut self, tokens: &[Token]) -> Option<Statement> {
        let word = match tokens.first()? {
            Token::Name(word) => word.as_str(),
            _ => "",
        };
        let rest = &tokens[1..];
        Some(match word {
            "import" => {
                let names = split(rest, ",").into_iter().filter_map(|one| {
                    let end = position(one, "as").unwrap_or(one.len());
                    let alias = names(one.get(end + 1..).unwrap_or_default());
                    Some((dotted(&one[..end])?, alias.into_iter().next()))
                });
                Statement::Import(names.collect())
            }
            "from" => {
                let at = position(rest, "import")?;
                let module = dotted(&rest[..at])?;
                let list = match &rest[at + 1..] {
                    list @ [Token::Sign("("), ..] => inner(list),
                    list => list,
                };
                let names = split(list, ",").into_iter().filter_map(|one| match one {
                    [Token::Sign("*")] => Some(("*".to_owned(), None)),
                    one => {
                        let mut names = names(one).into_iter();
                        Some((names.next()?, names.next()))
                    }
                });
                Statement::From {
                    module,
                    names: names.collect(),
                }
            }
            "return" => Statement::Return(self.optional(rest), true),
            "yield" => Statement::Return(self.optional(rest), false),
            "raise" => Statement::Raise,
            "break" | "continue" => Statement::Leave,
            "global" | "nonlocal" | "pass" | "del" | "assert" => return None,
            _ => {
                let parts = split(tokens, "=");
                let (value, targets) = parts.split_last()?;
                if targets.is_empty() {
                    if let Some(at) = position_of_sign(tokens, "+=") {
                        let value = self.expression(&tokens[at + 1..]);
                        let name = names(&tokens[..at]).into_iter().next()?;
                        self.expressions.push(Expr::Name(name.clone()));
                        let before = self.expressions.len() - 1;
                        self.expressions.push(Expr::Binary(before, "+", value));
                        return Some(Statement::Assign(
                            vec![name],
                            Vec::new(),
                            self.expressions.len() - 1,
                        ));
                    }
                    // `name: type` without a value.
                    let end = position_of_sign(value, ":").unwrap_or(value.len());
                    return Some(Statement::Expression(self.expression(&value[..end])));
                }
                let mut bound = Vec::new();
                let mut touched = Vec::new();
                for target in targets {
                    // `name: type = value`.
                    let end = position_of_sign(target, ":").unwrap_or(target.len());
                    let target = &target[..end];
                    bound.extend(names(target));
                    if position_of_sign(target, ".").is_some() {
                        touched.push(self.expression(target));
                    }
                }
                Statement::Assign(bound, touched, self.expression(value))
            }
        })
    }

    fn optional(&mut self, tokens: &[Token]) -> Option<Id> {
        (!tokens.is_empty()).then(|| self.expression(tokens))
    }

    /// Reads an expression; what cannot be read is one of which nothing is known.
    fn expression(&mut self, tokens: &[Token]) -> Id {
        let mut reading = Reading {
            tokens,
            at: 0,
            depth: 0,
            expressions: &mut self.expressions,
        };
        match reading.list() {
            Some(id) => id,
            None => reading.add(Expr::Other),
        }
    }
}

/// Whether a handler with this head handles an `OSError`, which is what loading a library raises.
fn handles(head: &[Token]) -> bool {
    let end = position(head, "as").unwrap_or(head.len());
    let types: Vec<&str> = head[..end]
        .iter()
        .filter_map(|token| match token {
            Token::Name(name) => Some(name.as_str()),
            _ => None,
        })
        .collect();
    let is_other = |name: &&str| {
        let others = [
            "ImportError",
            "ModuleNotFoundError",
            "AttributeError",
            "KeyError",
            "IndexError",
            "NameError",
            "TypeError",
            "ValueError",
            "RuntimeError",
            "NotImplementedError",
            "FileNotFoundError",
            "UnicodeError",
            "CalledProcessError",
        ];
        others.contains(name)
    };
    types.is_empty() || !types.iter().all(is_other)
}

/// A statement's head, and what follows its colon.
fn header(tokens: &[Token]) -> (&[Token], &[Token]) {
    match position_of_sign(tokens, ":") {
        Some(at) => (&tokens[..at], &tokens[at + 1..]),
        None => (tokens, &[]),
    }
}

/// Where a sign is, outside of brackets.
fn position_of_sign(tokens: &[Token], sign: &'static str) -> Option<usize> {
    outside(tokens).find(|at| tokens[*at] == Token::Sign(sign))
}

/// Where a word is, outside of brackets.
fn position(tokens: &[Token], word: &str) -> Option<usize> {
    outside(tokens).find(|at| matches!(&tokens[*at], Token::Name(name) if name == word))
}

/// The places outside of brackets.
fn outside(tokens: &[Token]) -> impl Iterator<Item = usize> {
    let mut depth = 0usize;
    tokens.iter().enumerate().filter_map(move |(at, token)| {
        match token {
            Token::Sign("(" | "[" | "{") => depth += 1,
            Token::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ if depth == 0 => return Some(at),
            _ => {}
        }
        None
    })
}

/// What lies between signs, outside of brackets.
fn split<'t>(tokens: &'t [Token], sign: &'static str) -> Vec<&'t [Token]> {
    let mut parts = Vec::new();
    let mut from = 0;
    for at in outside(tokens) {
        if tokens[at] == Token::Sign(sign) {
            parts.push(&tokens[from..at]);
            from = at + 1;
        }
    }
    parts.push(&tokens[from..]);
    parts.retain(|part| !part.is_empty());
    parts
}

/// What lies in the bracket that the words begin with.
fn inner(tokens: &[Token]) -> &[Token] {
    let mut depth = 0usize;
    let end = tokens.iter().position(|token| {
        match token {
            Token::Sign("(" | "[" | "{") => depth += 1,
            Token::Sign(")" | "]" | "}") => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0
    });
    tokens
        .get(1..end.unwrap_or(tokens.len()))
        .unwrap_or_default()
}

/// The names that are assigned to: `a, (b, c)`. Attributes and items are none.
fn names(tokens: &[Token]) -> Vec<String> {
    let mut names = Vec::new();
    for (at, token) in tokens.iter().enumerate() {
        let is_part = at > 0 && tokens[at - 1] == Token::Sign(".");
        let has_part = matches!(tokens.get(at + 1), Some(Token::Sign("." | "[")));
        if let Token::Name(name) = token
            && !is_part
            && !has_part
            && name != "as"
        {
            names.push(name.clone());
        }
    }
    names
}

/// A dotted name.
fn dotted(tokens: &[Token]) -> Option<String> {
    let mut name = String::new();
    for token in tokens {
        match token {
            Token::Name(part) => name.push_str(part),
            Token::Sign(dots @ ("." | "...")) => name.push_str(dots),
            _ => return None,
        }
    }
    (!name.is_empty() && name.len() <= 256).then_some(name)
}

/// Reads the words of one expression.
struct Reading<'t, 'e> {
    tokens: &'t [Token],
    at: usize,
    depth: usize,
    expressions: &'e mut Vec<Expr>,
}

impl Reading<'_, '_> {
    fn add(&mut self, expr: Expr) -> Id {
        self.expressions.push(expr);
        self.expressions.len() - 1
    }

    fn sign(&mut self, sign: &'static str) -> bool {
        let is_next = self.tokens.get(self.at) == Some(&Token::Sign(sign));
        self.at += usize::from(is_next);
        is_next
    }

    fn word(&mut self, word: &str) -> bool {
        let is_next = self.is_word(word);
        self.at += usize::from(is_next);
        is_next
    }

    fn is_word(&self, word: &str) -> bool {
        matches!(self.tokens.get(self.at), Some(Token::Name(name)) if name == word)
    }

    /// One expression, or a tuple of several.
    fn list(&mut self) -> Option<Id> {
        let first = self.starred()?;
        if !self.sign(",") {
            return Some(first);
        }
        let mut items = vec![first];
        while let Some(item) = self.starred() {
            items.push(item);
            if !self.sign(",") {
                break;
            }
        }
        Some(self.add(Expr::Many(items)))
    }

    fn starred(&mut self) -> Option<Id> {
        let _ = self.sign("*") || self.sign("**");
        self.choice()
    }

    fn choice(&mut self) -> Option<Id> {
        if self.depth >= MAX_DEPTH || self.is_word("lambda") {
            return None;
        }
        self.depth += 1;
        let _ = self.word("await") || self.word("yield") || self.word("from");
        let mut found = self.any();
        if let Some(yes) = found
            && self.word("if")
        {
            let condition = self.any();
            let no = if self.word("else") {
                self.choice()
            } else {
                None
            };
            found = match (condition, no) {
                (Some(condition), Some(no)) => Some(self.add(Expr::Choice { condition, yes, no })),
                _ => None,
            };
        }
        if let Some(target) = found
            && self.sign(":=")
        {
            let value = self.choice();
            found = match (&self.expressions[target], value) {
                (Expr::Name(name), Some(value)) => {
                    let bind = Expr::Bind(name.clone(), value);
                    Some(self.add(bind))
                }
                _ => value,
            };
        }
        self.depth -= 1;
        found
    }

    fn any(&mut self) -> Option<Id> {
        let mut all = vec![self.all()?];
        while self.word("or") {
            all.push(self.all()?);
        }
        Some(if let [one] = all[..] {
            one
        } else {
            self.add(Expr::Any(all))
        })
    }

    fn all(&mut self) -> Option<Id> {
        let mut all = vec![self.not()?];
        while self.word("and") {
            all.push(self.not()?);
        }
        Some(if let [one] = all[..] {
            one
        } else {
            self.add(Expr::All(all))
        })
    }

    fn not(&mut self) -> Option<Id> {
        let mut count = 0;
        while self.word("not") {
            count += 1;
        }
        let mut found = self.comparison()?;
        if count % 2 == 1 {
            found = self.add(Expr::Not(found));
        }
        Some(found)
    }

    fn comparison(&mut self) -> Option<Id> {
        let left = self.sum()?;
        let comparison = if self.sign("==") {
            Comparison::Equal
        } else if self.sign("!=") {
            Comparison::Unequal
        } else if self.sign("<=") {
            Comparison::AtMost
        } else if self.sign(">=") {
            Comparison::AtLeast
        } else if self.sign("<") {
            Comparison::Less
        } else if self.sign(">") {
            Comparison::More
        } else if self.word("in") {
            Comparison::In
        } else if self.word("is") {
            if self.word("not") {
                Comparison::Unequal
            } else {
                Comparison::Equal
            }
        } else if self.is_word("not") {
            self.at += 1;
            if !self.word("in") {
                return None;
            }
            Comparison::NotIn
        } else {
            return Some(left);
        };
        let right = self.sum()?;
        Some(self.add(Expr::Compare(left, comparison, right)))
    }

    fn sum(&mut self) -> Option<Id> {
        let mut left = self.product()?;
        loop {
            let sign = ["+", "-", "|", "&", "<<", ">>"]
                .into_iter()
                .find(|sign| self.sign(sign));
            let Some(sign) = sign else { return Some(left) };
            let right = self.product()?;
            left = self.add(Expr::Binary(left, sign, right));
        }
    }

    fn product(&mut self) -> Option<Id> {
        let mut left = self.postfix()?;
        loop {
            let sign = ["/", "%", "*", "//", "**", "@"]
                .into_iter()
                .find(|sign| self.sign(sign));
            let Some(sign) = sign else { return Some(left) };
            let right = self.postfix()?;
            left = self.add(Expr::Binary(left, sign, right));
        }
    }

    fn postfix(&mut self) -> Option<Id> {
        while self.sign("-") || self.sign("+") || self.sign("~") {}
        let mut found = self.atom()?;
        loop {
            if self.sign(".") {
                let Some(Token::Name(name)) = self.tokens.get(self.at) else {
                    return None;
                };
                self.at += 1;
                found = self.add(Expr::Attribute(found, name.clone()));
            } else if self.sign("(") {
                found = self.call(found)?;
            } else if self.sign("[") {
                let item = match self.list() {
                    Some(item) if self.sign("]") => item,
                    // A slice is some part of it.
                    _ => {
                        self.close();
                        self.add(Expr::Other)
                    }
                };
                found = self.add(Expr::Item(found, item));
            } else {
                return Some(found);
            }
        }
    }

    /// Goes behind the bracket that is open here.
    fn close(&mut self) {
        let mut depth = 1usize;
        while depth > 0
            && let Some(token) = self.tokens.get(self.at)
        {
            match token {
                Token::Sign("(" | "[" | "{") => depth += 1,
                Token::Sign(")" | "]" | "}") => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
    }

    fn call(&mut self, callee: Id) -> Option<Id> {
        let (mut args, mut named) = (Vec::new(), Vec::new());
        loop {
            if self.sign(")") {
                break;
            }
            let from = self.at;
            if let (Some(Token::Name(name)), Some(Token::Sign("="))) =
                (self.tokens.get(from), self.tokens.get(from + 1))
            {
                let name = name.clone();
                self.at += 2;
                let value = self.argument()?;
                named.push((name, value));
            } else {
                let value = self.argument()?;
                args.push(value);
            }
            if self.sign(")") {
                break;
            }
            if !self.sign(",") {
                return None;
            }
        }
        Some(self.add(Expr::Call {
            callee,
            args,
            named,
        }))
    }

    /// An argument; of one that cannot be read nothing is known, and the next one follows.
    fn argument(&mut self) -> Option<Id> {
        let from = self.at;
        if let Some(value) = self.starred() {
            if self.is_word("for") || self.is_word("async") {
                return self.each(value);
            }
            if matches!(self.tokens.get(self.at), Some(Token::Sign("," | ")"))) {
                return Some(value);
            }
        }
        let rest = &self.tokens[from..];
        let mut depth = 0usize;
        let length = rest.iter().position(|token| {
            match token {
                Token::Sign("(" | "[" | "{") => depth += 1,
                Token::Sign(")" | "]" | "}") if depth == 0 => return true,
                Token::Sign(")" | "]" | "}") => depth -= 1,
                Token::Sign(",") => return depth == 0,
                _ => {}
            }
            false
        });
        self.at = from + length?;
        Some(self.add(Expr::Other))
    }

    /// The rest of a comprehension, up to its bracket.
    fn each(&mut self, value: Id) -> Option<Id> {
        let _ = self.word("async");
        if !self.word("for") {
            return None;
        }
        let from = self.at;
        while !self.is_word("in") {
            self.tokens.get(self.at)?;
            self.at += 1;
        }
        let targets = names(&self.tokens[from..self.at]);
        self.at += 1;
        let over = self.any()?;
        // Conditions and further names.
        let mut depth = 0usize;
        while let Some(token) = self.tokens.get(self.at) {
            match token {
                Token::Sign("(" | "[" | "{") => depth += 1,
                Token::Sign(")" | "]" | "}") if depth == 0 => break,
                Token::Sign(")" | "]" | "}") => depth -= 1,
                _ => {}
            }
            self.at += 1;
        }
        Some(self.add(Expr::Each {
            value,
            targets,
            over,
        }))
    }

    fn atom(&mut self) -> Option<Id> {
        let token = self.tokens.get(self.at)?;
        self.at += 1;
        match token {
            Token::Name(name) => Some(self.add(Expr::Name(name.clone()))),
            Token::Number(digits) => Some(self.add(Expr::Number(digits.clone()))),
            Token::Text(parts) => {
                let mut parts = parts.clone();
                while let Some(Token::Text(more)) = self.tokens.get(self.at) {
                    self.at += 1;
                    if parts.len() < 64 {
                        parts.extend(more.iter().cloned());
                    }
                }
                Some(self.add(Expr::Text(parts)))
            }
            Token::Sign("(") if self.sign(")") => Some(self.add(Expr::Many(Vec::new()))),
            Token::Sign("(") => {
                let inside = self.list()?;
                let inside = self.comprehended(inside)?;
                self.sign(")").then_some(inside)
            }
            Token::Sign("[") if self.sign("]") => Some(self.add(Expr::Many(Vec::new()))),
            Token::Sign("[") => {
                let inside = self.list()?;
                let inside = self.comprehended(inside)?;
                if !self.sign("]") {
                    return None;
                }
                let is_many = matches!(self.expressions[inside], Expr::Many(_) | Expr::Each { .. });
                Some(if is_many {
                    inside
                } else {
                    self.add(Expr::Many(vec![inside]))
                })
            }
            Token::Sign("{") => self.braces(),
            Token::Sign("...") => Some(self.add(Expr::Other)),
            Token::Sign(_) => {
                // What follows a list's last comma is its bracket.
                self.at -= 1;
                None
            }
        }
    }

    fn comprehended(&mut self, value: Id) -> Option<Id> {
        if self.is_word("for") || self.is_word("async") {
            return self.each(value);
        }
        Some(value)
    }

    /// A dictionary or a set.
    fn braces(&mut self) -> Option<Id> {
        let (mut pairs, mut items) = (Vec::new(), Vec::new());
        while !self.sign("}") {
            let key = self.starred()?;
            if self.sign(":") {
                let value = self.choice()?;
                pairs.push((key, value));
            } else {
                items.push(key);
            }
            if self.is_word("for") || self.is_word("async") {
                let last = pairs.pop().map(|(_, value)| value).or(items.pop())?;
                let each = self.each(last)?;
                return self.sign("}").then_some(each);
            }
            if !self.sign(",") && self.tokens.get(self.at) != Some(&Token::Sign("}")) {
                return None;
            }
        }
        Some(self.add(if items.is_empty() {
            Expr::Dict(pairs)
        } else {
            Expr::Many(items)
        }))
    }
}
