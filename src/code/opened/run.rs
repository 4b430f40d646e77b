//! Follows statements as an interpreter on Linux would, and notes which libraries must be there.

use std::collections::{BTreeSet, HashMap};

use super::Source;
use super::syntax::{Comparison, Expr, Function, Handler, Id, Statement, Syntax};
use super::tokens::Part;
use super::value::{Piece, Value, What};

/// A library without which what is followed fails.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Need {
    /// The texts that may be its name.
    pub(super) pieces: Vec<Piece>,
    /// Whether it may have other names.
    pub(super) unknown: bool,
    /// Whether it is certain that the statement is carried out when the module is imported.
    pub(super) certain: bool,
}

/// What comes of statements.
#[derive(Debug, Default)]
struct Outcome {
    needs: Vec<Need>,
    /// Libraries that were looked for and may be missing; an exception further on makes needs of them.
    tried: Vec<Need>,
}

/// The statements and expressions that are followed in one distribution: more are not worth the time.
const MAX_STEPS: usize = 100_000;
/// How deep calls and expressions lie in each other.
const MAX_CALLS: usize = 10;
const MAX_DEPTH: usize = 64;

type Names<'a> = HashMap<&'a str, Value<'a>>;

pub(super) struct Run<'a> {
    sources: &'a [(&'a Source<'a>, Syntax)],
    modules: HashMap<&'a str, usize>,
    /// The names of each module, and of the calls that are under way, each with its module.
    globals: Vec<Names<'a>>,
    calls: Vec<(usize, Names<'a>, Option<Value<'a>>)>,
    /// The functions that are under way, and those that were called.
    active: Vec<*const Function>,
    called: BTreeSet<*const Function>,
    imported: Vec<bool>,
    /// The module whose statements are followed.
    module: usize,
    outcome: Outcome,
    /// The libraries that are opened by what `find_library` finds, each with its module: without them it is the
    /// program itself that is opened, and only what is taken from it is missing.
    found: Vec<(usize, Option<Need>)>,
    certain: bool,
    /// How many conditions of which nothing is known the statement lies below.
    conditions: usize,
    steps: usize,
    depth: usize,
}

/// Calls that leave the program.
const EXITS: [&str; 4] = ["sys.exit", "exit", "quit", "os._exit"];

impl<'a> Run<'a> {
    pub(super) fn new(sources: &'a [(&'a Source<'a>, Syntax)]) -> Self {
        let modules = sources.iter().enumerate();
        Self {
            sources,
            modules: modules
                .map(|(at, (source, _))| (source.module.as_str(), at))
                .collect(),
            globals: sources.iter().map(|_| Names::new()).collect(),
            calls: Vec::new(),
            active: Vec::new(),
            called: BTreeSet::new(),
            imported: vec![false; sources.len()],
            module: 0,
            outcome: Outcome::default(),
            found: Vec::new(),
            certain: true,
            conditions: 0,
            steps: 0,
            depth: 0,
        }
    }

    /// What each module needs when it is imported, and what its functions need when they are called later.
    pub(super) fn needs(mut self) -> Vec<(usize, Need)> {
        let mut found = Vec::new();
        let mut outcomes = Vec::new();
        for at in 0..self.sources.len() {
            self.import(at, &mut outcomes);
        }
        for (at, outcome) in outcomes {
            found.extend(outcome.needs.into_iter().map(|need| (at, need)));
        }
        for at in 0..self.sources.len() {
            let mut functions = Vec::new();
            functions_of(&self.sources[at].1.body, None, &mut functions);
            for (function, class) in functions {
                if self.called.contains(&std::ptr::from_ref(function)) {
                    continue;
                }
                self.module = at;
                self.certain = false;
                let given = Given::default();
                self.call_function(at, function, class, given);
                let outcome = std::mem::take(&mut self.outcome);
                found.extend(outcome.needs.into_iter().map(|need| (at, need)));
            }
        }
        let opened = std::mem::take(&mut self.found).into_iter();
        found.extend(opened.filter_map(|(at, need)| {
            let need = need?;
            Some((
                at,
                Need {
                    certain: false,
                    ..need
                },
            ))
        }));
        found
    }

    /// Follows the statements of a module, once.
    fn import(&mut self, at: usize, outcomes: &mut Vec<(usize, Outcome)>) {
        if std::mem::replace(&mut self.imported[at], true) {
            return;
        }
        self.module = at;
        self.certain = true;
        let sources = self.sources;
        // What it takes from others is known first.
        for other in self.taken(at) {
            if self.depth < MAX_DEPTH {
                self.depth += 1;
                self.import(other, outcomes);
                self.depth -= 1;
            }
        }
        self.module = at;
        self.certain = true;
        let name = sources[at].0.module.as_str();
        self.globals[at].insert("__name__", Value::text(name));
        self.globals[at].insert("__file__", Value::of([Piece::File(String::new())]));
        self.block(&sources[at].1.body);
        outcomes.push((at, std::mem::take(&mut self.outcome)));
    }

    /// The followed modules that a module imports from.
    fn taken(&self, at: usize) -> Vec<usize> {
        let mut taken = Vec::new();
        let mut left: Vec<&Statement> = self.sources[at].1.body.iter().collect();
        while let Some(statement) = left.pop() {
            match statement {
                Statement::From { module, names } => {
                    let Some(base) = self.absolute(at, module) else {
                        continue;
                    };
                    taken.extend(self.modules.get(base.as_str()));
                    for (name, _) in names {
                        taken.extend(self.modules.get(format!("{base}.{name}").as_str()));
                    }
                }
                Statement::Import(names) => {
                    let names = names.iter();
                    taken.extend(names.filter_map(|(name, _)| self.modules.get(name.as_str())));
                }
                Statement::If(branches) => left.extend(branches.iter().flat_map(|(_, body)| body)),
                Statement::Try { body, .. } => left.extend(body),
                _ => {}
            }
        }
        taken
    }

    /// The name of a module as another one imports it.
    fn absolute(&self, at: usize, name: &str) -> Option<String> {
        let source = self.sources[at].0;
        super::super::imports::absolute(name, &source.module, source.is_package)
    }

    fn bind(&mut self, name: &'a str, value: Value<'a>) {
        let names = match self.calls.last_mut() {
            Some((_, names, _)) => names,
            None => &mut self.globals[self.module],
        };
        // `if not path: path = "libfoo.so"`: it is one or the other.
        let before = names.remove(name).filter(|_| self.conditions > 0);
        let value = match before {
            Some(before) => before.or(value),
            None => value,
        };
        names.insert(name, value);
    }

    fn lookup(&self, name: &str) -> Value<'a> {
        // A function in a function sees the names of the outer one.
        let calls = self.calls.iter().rev();
        let mut calls = calls.take_while(|(module, ..)| *module == self.module);
        let local = calls.find_map(|(_, names, _)| names.get(name));
        if let Some(value) = local.or_else(|| self.globals[self.module].get(name)) {
            return value.clone();
        }
        match name {
            "None" => Value::none(),
            "True" => Value::truth(Some(true)),
            "False" => Value::truth(Some(false)),
            name => Value::dotted(name.to_owned()),
        }
    }

    /// Notes what statements come to by themselves, with what is certain as it is said.
    fn apart(&mut self, certain: bool, follow: impl FnOnce(&mut Self)) -> Outcome {
        let outer = std::mem::take(&mut self.outcome);
        let before = self.certain;
        self.certain &= certain;
        self.conditions += usize::from(!certain);
        follow(self);
        self.conditions -= usize::from(!certain);
        self.certain = before;
        std::mem::replace(&mut self.outcome, outer)
    }

    fn add(&mut self, outcome: Outcome) {
        self.outcome.needs.extend(outcome.needs);
        self.outcome.tried.extend(outcome.tried);
    }

    /// An exception: what was looked for had to be there.
    fn fail(&mut self) {
        let tried = std::mem::take(&mut self.outcome.tried);
        let Some(need) = either(tried) else { return };
        self.outcome.needs.push(need);
    }

    /// Follows statements; returns whether they leave the block before its end.
    fn block(&mut self, statements: &'a [Statement]) -> bool {
        if self.depth >= MAX_DEPTH {
            return false;
        }
        self.depth += 1;
        let leaves = statements.iter().any(|statement| {
            self.steps += 1;
            self.steps > MAX_STEPS || self.statement(statement)
        });
        self.depth -= 1;
        leaves
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of statement")]
    fn statement(&mut self, statement: &'a Statement) -> bool {
        match statement {
            Statement::Import(names) => {
                for (name, alias) in names {
                    let (top, _) = name.split_once('.').unwrap_or((name, ""));
                    let (bound, what) = match alias {
                        Some(alias) => (alias.as_str(), name.as_str()),
                        None => (top, top),
                    };
                    let value = match self.modules.get(what) {
                        Some(at) => Value::what(What::Module(*at)),
                        None => Value::dotted(what.to_owned()),
                    };
                    self.bind(bound, value);
                }
            }
            Statement::From { module, names } => {
                let base = self.absolute(self.module, module);
                let base = base.unwrap_or_else(|| module.clone());
                for (name, alias) in names {
                    let bound = alias.as_deref().unwrap_or(name);
                    let value = self.imported(&base, name);
                    if bound != "*" {
                        self.bind(bound, value);
                    } else if let Some(at) = self.modules.get(base.as_str()) {
                        let all = self.globals[*at].clone();
                        for (name, value) in all {
                            self.bind(name, value);
                        }
                    }
                }
            }
            Statement::Assign(targets, touched, value) => {
                let value = self.eval(*value);
                for touched in touched {
                    self.eval(*touched);
                }
                for target in targets {
                    self.bind(target, value.clone());
                }
            }
            Statement::Expression(value) => {
                let value = self.eval(*value);
                // What leaves the program is as good as an exception.
                if EXITS
                    .iter()
                    .any(|exit| value.path().strip_suffix("()") == Some(*exit))
                {
                    self.fail();
                    return true;
                }
            }
            Statement::Return(value, leaves) => {
                if let Some(value) = value {
                    let value = self.eval(*value);
                    if let Some((.., returned)) = self.calls.last_mut() {
                        *returned = Some(match returned.take() {
                            Some(before) => before.or(value),
                            None => value,
                        });
                    }
                }
                return *leaves;
            }
            Statement::Raise => {
                self.fail();
                return true;
            }
            Statement::Leave => return true,
            Statement::Function(function) => {
                let what = What::Function(self.module, function, None);
                self.bind(&function.name, Value::what(what));
            }
            Statement::Class(name, body) => {
                let what = What::Class(self.module, body);
                self.calls.push((self.module, Names::new(), None));
                self.block(body);
                self.calls.pop();
                self.bind(name, Value::what(what));
            }
            Statement::If(branches) => return self.branches(branches),
            Statement::Try {
                body,
                handlers,
                otherwise,
            } => {
                self.guarded(body, handlers);
                return self.block(otherwise);
            }
            Statement::For {
                targets,
                over,
                body,
                otherwise,
            } => {
                let value = over.map_or_else(Value::unknown, |over| self.eval(over));
                let one = element(value);
                for target in targets {
                    self.bind(target, one.clone());
                }
                self.block(body);
                self.block(otherwise);
            }
            Statement::With { values, body } => {
                let mut suppresses = false;
                for value in values {
                    let value = self.eval(*value);
                    suppresses |= value.path().ends_with("suppress()");
                }
                let mut leaves = false;
                let mut outcome = self.apart(true, |run| leaves = run.block(body));
                if suppresses {
                    let needs = std::mem::take(&mut outcome.needs);
                    outcome.tried.extend(needs);
                }
                self.add(outcome);
                return leaves && !suppresses;
            }
        }
        false
    }

    fn imported(&mut self, base: &str, name: &str) -> Value<'a> {
        let full = format!("{base}.{name}");
        if let Some(at) = self.modules.get(full.as_str()) {
            return Value::what(What::Module(*at));
        }
        if let Some(value) = self
            .modules
            .get(base)
            .and_then(|at| self.globals[*at].get(name))
        {
            return value.clone();
        }
        Value::dotted(full)
    }

    fn branches(&mut self, branches: &'a [(Option<Id>, Vec<Statement>)]) -> bool {
        let mut certain = true;
        let mut leaves = true;
        // Whether the branches so far asked whether something is there.
        let mut asked = false;
        for (condition, body) in branches {
            let (truth, lacks, has) = match condition {
                None => (Some(true), false, false),
                Some(condition) => {
                    let value = self.eval(*condition);
                    (
                        value.truth,
                        self.is_lack(*condition),
                        self.is_presence(*condition),
                    )
                }
            };
            match truth {
                Some(false) => continue,
                Some(true) if certain => return self.block(body),
                _ => {}
            }
            // Either it is said that something is missing, or that it is there was asked before.
            if (lacks || asked && condition.is_none()) && self.raises(body) {
                let outcome = self.apart(false, |run| {
                    run.block(body);
                });
                // Another name is tried before.
                let other = either([outcome.needs, outcome.tried].concat());
                self.outcome.tried.extend(other);
                self.fail();
            } else {
                let mut left = false;
                let outcome = self.apart(false, |run| left = run.block(body));
                leaves &= left;
                self.add(outcome);
            }
            certain = false;
            asked |= has;
            if truth == Some(true) {
                return leaves;
            }
        }
        false
    }

    /// Whether statements end in an exception of their own, or leave the program, at some place.
    fn raises(&self, statements: &[Statement]) -> bool {
        statements.iter().any(|statement| match statement {
            Statement::Raise => true,
            Statement::Expression(value) => self.is_exit(*value),
            Statement::If(branches) => branches.iter().any(|(_, body)| self.raises(body)),
            Statement::For {
                body, otherwise, ..
            } => self.raises(body) || self.raises(otherwise),
            Statement::With { body, .. } => self.raises(body),
            _ => false,
        })
    }

    /// Whether an expression calls what leaves the program, by its name.
    fn is_exit(&self, value: Id) -> bool {
        let expressions = &self.sources[self.module].1.expressions;
        let Expr::Call { callee, .. } = &expressions[value] else {
            return false;
        };
        let written = match &expressions[*callee] {
            Expr::Name(name) => name.clone(),
            Expr::Attribute(of, name) => match &expressions[*of] {
                Expr::Name(of) => format!("{of}.{name}"),
                _ => return false,
            },
            _ => return false,
        };
        EXITS.contains(&written.as_str())
    }

    /// Whether a condition says that something is missing: `not x`, `x is None`.
    fn is_lack(&self, condition: Id) -> bool {
        match &self.sources[self.module].1.expressions[condition] {
            Expr::Not(_) => true,
            Expr::Compare(_, Comparison::Equal, right) => {
                let right = &self.sources[self.module].1.expressions[*right];
                matches!(right, Expr::Name(name) if name == "None")
                    || matches!(right, Expr::Number(digits) if digits == "0")
            }
            Expr::Any(all) | Expr::All(all) => all.iter().all(|one| self.is_lack(*one)),
            _ => false,
        }
    }

    /// Whether a condition says that something is there: `x`, `x is not None`.
    fn is_presence(&self, condition: Id) -> bool {
        match &self.sources[self.module].1.expressions[condition] {
            Expr::Name(_) | Expr::Attribute(..) | Expr::Call { .. } => true,
            Expr::Compare(_, Comparison::Unequal, right) => {
                let right = &self.sources[self.module].1.expressions[*right];
                matches!(right, Expr::Name(name) if name == "None")
            }
            _ => false,
        }
    }

    /// Statements whose exceptions are handled.
    fn guarded(&mut self, body: &'a [Statement], handlers: &'a [Handler]) {
        let outcome = self.apart(true, |run| {
            run.block(body);
        });
        let mut handlers = handlers.iter().filter(|handler| handler.handles).peekable();
        if handlers.peek().is_none() {
            self.add(outcome);
            return;
        }
        let Outcome { needs, tried } = outcome;
        let mut fails = false;
        let mut instead = Outcome::default();
        for handler in handlers {
            fails |= self.raises(&handler.body);
            let outcome = self.apart(true, |run| {
                run.block(&handler.body);
            });
            instead.needs.extend(outcome.needs);
            instead.tried.extend(outcome.tried);
        }
        if needs.is_empty() && tried.is_empty() {
            // Something else failed, which nobody can tell.
            let one = |mut need: Need| {
                need.certain = false;
                need
            };
            let needs = instead.needs.into_iter().map(one).collect();
            let tried = instead.tried.into_iter().map(one).collect();
            self.add(Outcome { needs, tried });
            return;
        }
        let other = either([instead.needs.clone(), instead.tried.clone()].concat());
        let is_needed = fails || !instead.needs.is_empty();
        for need in needs {
            let need = match &other {
                Some(other) => either(vec![need, other.clone()]).unwrap_or_default(),
                None => need,
            };
            if is_needed {
                self.outcome.needs.push(need);
            } else {
                self.outcome.tried.push(need);
            }
        }
        self.outcome.tried.extend(tried);
        if self.outcome.needs.is_empty() && !is_needed {
            self.outcome.tried.extend(instead.tried);
        }
    }

    fn eval(&mut self, id: Id) -> Value<'a> {
        self.steps += 1;
        if self.depth >= MAX_DEPTH || self.steps > MAX_STEPS {
            return Value::unknown();
        }
        self.depth += 1;
        let sources = self.sources;
        let value = self.expression(&sources[self.module].1.expressions[id]);
        self.depth -= 1;
        value
    }

    #[expect(clippy::too_many_lines, reason = "one arm for each kind of expression")]
    fn expression(&mut self, expression: &'a Expr) -> Value<'a> {
        match expression {
            Expr::Text(parts) => self.text(parts, &[], &[]),
            Expr::Number(digits) => {
                let is_zero = digits == "0";
                Value::truth(Some(!is_zero))
            }
            Expr::Name(name) => self.lookup(name),
            Expr::Attribute(of, name) => {
                let of = self.eval(*of);
                self.attribute(&of, name)
            }
            Expr::Call {
                callee,
                args,
                named,
            } => self.call(*callee, args, named),
            Expr::Item(of, key) => self.item(*of, *key),
            Expr::Many(items) => {
                let mut all = Value::default();
                for item in items {
                    let item = self.eval(*item);
                    all.extend(item.pieces);
                    all.unknown |= item.unknown;
                }
                all.is_many = true;
                all.truth = Some(!items.is_empty());
                all
            }
            Expr::Dict(pairs) => {
                let mut all = Value::default();
                for (_, value) in pairs {
                    let value = self.eval(*value);
                    all.extend(value.pieces);
                    all.unknown |= value.unknown;
                }
                all.is_many = true;
                all
            }
            Expr::Each {
                value,
                targets,
                over,
            } => {
                let one = element(self.eval(*over));
                for target in targets {
                    self.bind(target, one.clone());
                }
                let mut all = self.eval(*value);
                all.is_many = true;
                all.truth = None;
                all
            }
            Expr::Binary(left, sign, right) => {
                let (left, right) = (self.eval(*left), self.eval(*right));
                match *sign {
                    "+" => left.plus(right),
                    "/" => left.below(&right),
                    "%" => percent(&left, right),
                    _ => Value::unknown(),
                }
            }
            Expr::Compare(left, comparison, right) => self.compare(*left, *comparison, *right),
            Expr::Not(value) => {
                let truth = self.eval(*value).truth;
                Value::truth(truth.map(|truth| !truth))
            }
            Expr::Any(all) => {
                let mut found = Value::none();
                for one in all {
                    let value = self.eval(*one);
                    if value.truth == Some(true) {
                        return found.or(value);
                    }
                    let is_false = value.truth == Some(false);
                    found = if is_false && found.is_none {
                        value
                    } else {
                        found.or(value)
                    };
                }
                found
            }
            Expr::All(all) => {
                let mut last = Value::truth(Some(true));
                let mut unknown = false;
                for one in all {
                    last = self.eval(*one);
                    if last.truth == Some(false) {
                        return last;
                    }
                    unknown |= last.truth.is_none();
                }
                if unknown {
                    last.truth = None;
                }
                last
            }
            Expr::Choice { condition, yes, no } => match self.eval(*condition).truth {
                Some(true) => self.eval(*yes),
                Some(false) => self.eval(*no),
                None => {
                    let yes = self.eval(*yes);
                    yes.or(self.eval(*no))
                }
            },
            Expr::Bind(name, value) => {
                let value = self.eval(*value);
                self.bind(name, value.clone());
                value
            }
            Expr::Other => Value::unknown(),
        }
    }

    /// A text with what is filled in; what has no name comes from `args`, one after another.
    fn text(
        &mut self,
        parts: &[Part],
        args: &[Value<'a>],
        named: &[(&str, Value<'a>)],
    ) -> Value<'a> {
        let mut text = Value::text("");
        let mut next = args.iter();
        let is_filled = !args.is_empty() || !named.is_empty();
        self.steps += parts.len();
        for part in parts {
            let value = match part {
                Part::Literal(literal) => Value::text(literal.clone()),
                Part::Value(Some(name)) if is_filled => {
                    let given = named.iter().find(|(given, _)| given == name);
                    let numbered = name.parse().ok().and_then(|at: usize| args.get(at));
                    let given = given.map(|(_, value)| value).or(numbered);
                    given.or_else(|| next.next()).cloned().unwrap_or_default()
                }
                Part::Value(Some(name)) => self.lookup(name),
                Part::Value(None) => Value::unknown(),
            };
            text = text.plus(value);
        }
        let is_one = text.only_text().map(|text| !text.is_empty());
        text.truth = is_one;
        text
    }

    fn attribute(&mut self, of: &Value<'a>, name: &'a str) -> Value<'a> {
        let found = of.path().strip_prefix("ctypes.CDLL#");
        let found = found.and_then(|at| self.found.get_mut(at.parse::<usize>().ok()?));
        if let Some(mut need) = found.and_then(|(_, need)| need.take()) {
            need.certain &= self.certain;
            self.outcome.needs.push(need);
        }
        match &of.what {
            Some(What::Module(at)) => match self.globals[*at].get(name) {
                Some(value) => value.clone(),
                None => Value::dotted(format!("?.{name}")),
            },
            Some(What::Class(module, body)) => match method(body, name) {
                Some(function) => Value::what(What::Function(*module, function, Some(body))),
                None => Value::unknown(),
            },
            Some(What::Dotted(path)) => {
                let path = format!("{path}.{name}");
                match path.as_str() {
                    "sys.platform" => Value::text("linux"),
                    "os.name" => Value::text("posix"),
                    "os.sep" => Value::text("/"),
                    "typing.TYPE_CHECKING" | "six.PY2" => Value::truth(Some(false)),
                    "six.PY3" => Value::truth(Some(true)),
                    _ => {
                        let mut value = Value::dotted(path);
                        value.pieces.clone_from(&of.pieces);
                        value
                    }
                }
            }
            _ => {
                let mut value = Value::dotted(format!("?.{name}"));
                value.pieces.clone_from(&of.pieces);
                value
            }
        }
    }

    fn item(&mut self, of: Id, key: Id) -> Value<'a> {
        let sources = self.sources;
        if let Expr::Dict(pairs) = &sources[self.module].1.expressions[of] {
            return self.pick(pairs, key, None);
        }
        let value = self.eval(of);
        let key = self.eval(key);
        if value.path() == "os.environ" || value.path() == "environ" {
            return Value::unknown();
        }
        if matches!(value.path(), "sys.version_info") {
            return value;
        }
        if value.path().ends_with("cdll") {
            let name = Value {
                is_many: false,
                ..key
            };
            return self.open(name, false);
        }
        element(value)
    }

    /// The value of a dictionary for a key, or any if the key is not known.
    fn pick(&mut self, pairs: &'a [(Id, Id)], key: Id, default: Option<Id>) -> Value<'a> {
        let key = self.eval(key);
        if let Some(key) = key.only_text() {
            for (name, value) in pairs {
                if self.eval(*name).only_text() == Some(key) {
                    return self.eval(*value);
                }
            }
            return default.map_or_else(Value::none, |default| self.eval(default));
        }
        let mut all = Value::default();
        for (_, value) in pairs {
            all = all.or(self.eval(*value));
        }
        all
    }

    fn compare(&mut self, left: Id, comparison: Comparison, right: Id) -> Value<'a> {
        let sources = self.sources;
        let number = |id: Id| match &sources[self.module].1.expressions[id] {
            Expr::Number(digits) => digits.parse::<u32>().ok().map(|number| vec![number]),
            Expr::Many(items) => items
                .iter()
                .map(|item| match &sources[self.module].1.expressions[*item] {
                    Expr::Number(digits) => digits.parse().ok(),
                    _ => None,
                })
                .collect(),
            _ => None,
        };
        let numbers = number(right);
        let (left, right) = (self.eval(left), self.eval(right));
        let truth = match comparison {
            Comparison::Equal | Comparison::Unequal => {
                let equal = if right.is_none && right.pieces.is_empty() {
                    (left.is_none && left.pieces.is_empty() && !left.unknown)
                        .then_some(true)
                        .or_else(|| left.only_text().map(|_| false))
                } else if let (Some(left), Some(right)) = (left.only_text(), right.only_text()) {
                    Some(left == right)
                } else if left.path().starts_with("sys.version_info") && numbers == Some(vec![2]) {
                    Some(false)
                } else {
                    None
                };
                equal.map(|equal| equal == (comparison == Comparison::Equal))
            }
            Comparison::In | Comparison::NotIn => {
                let is_in = if right.path() == "os.environ" || right.path() == "environ" {
                    Some(false)
                } else if let (Some(part), Some(whole)) = (left.only_text(), right.only_text()) {
                    Some(whole.contains(part))
                } else if let (Some(one), true, false) =
                    (left.only_text(), right.is_many, right.unknown)
                {
                    Some(right.pieces.iter().any(|piece| piece.text() == one))
                } else {
                    None
                };
                is_in.map(|is_in| is_in == (comparison == Comparison::In))
            }
            // Pythons from 3.8 on, of 64 bits.
            Comparison::More | Comparison::AtLeast if left.path() == "sys.maxsize" => Some(true),
            _ if left.path().starts_with("sys.version_info") => {
                let numbers = numbers.filter(|numbers| !numbers.is_empty());
                let is_old = numbers.map(|numbers| {
                    numbers[0] < 3
                        || numbers[0] == 3 && numbers.get(1).is_none_or(|minor| *minor <= 8)
                });
                match (comparison, is_old) {
                    (Comparison::AtLeast, Some(true)) => Some(true),
                    (Comparison::Less, Some(true)) => Some(false),
                    _ => None,
                }
            }
            _ => None,
        };
        Value::truth(truth)
    }

    fn call(&mut self, callee: Id, args: &'a [Id], named: &'a [(String, Id)]) -> Value<'a> {
        let sources = self.sources;
        let expressions = &sources[self.module].1.expressions;
        // A dictionary's `get`, and a text's methods.
        if let Expr::Attribute(of, name) = &expressions[callee] {
            if let (Expr::Dict(pairs), "get", Some(key)) =
                (&expressions[*of], name.as_str(), args.first())
            {
                return self.pick(pairs, *key, args.get(1).copied());
            }
            if let (Expr::Text(parts), "format") = (&expressions[*of], name.as_str()) {
                let literal: String = parts
                    .iter()
                    .map(|part| match part {
                        Part::Literal(literal) => literal.as_str(),
                        Part::Value(_) => "",
                    })
                    .collect();
                let args: Vec<Value<'a>> = args.iter().map(|arg| self.eval(*arg)).collect();
                let named: Vec<(&str, Value<'a>)> = named
                    .iter()
                    .map(|(name, value)| (name.as_str(), self.eval(*value)))
                    .collect();
                return self.text(&super::tokens::filled(&literal), &args, &named);
            }
        }
        if let Expr::Attribute(of, name) = &expressions[callee]
            && let Expr::Name(list) = &expressions[*of]
            && matches!(name.as_str(), "append" | "extend" | "insert" | "add")
        {
            let mut all = self.lookup(list);
            if all.is_many {
                for arg in args {
                    let value = self.eval(*arg);
                    all.extend(value.pieces);
                    all.unknown |= value.unknown;
                }
                all.truth = None;
                self.bind(list, all);
                return Value::none();
            }
        }
        let receiver = match &expressions[callee] {
            Expr::Attribute(of, name) => Some((self.eval(*of), name.as_str())),
            _ => None,
        };
        let function = match &receiver {
            Some((of, name)) => self.attribute(of, name),
            None => self.eval(callee),
        };
        let given = Given {
            args: args.iter().map(|arg| self.eval(*arg)).collect(),
            named: named
                .iter()
                .map(|(name, value)| (name.as_str(), self.eval(*value)))
                .collect(),
        };
        match function.what {
            Some(What::Function(module, function, class)) => {
                self.call_function(module, function, class, given)
            }
            Some(What::Class(module, body)) => {
                if let Some(function) = method(body, "__init__") {
                    self.call_function(module, function, Some(body), given);
                }
                Value::what(What::Class(module, body))
            }
            Some(What::Dotted(path)) => self.outside(&path, receiver, given),
            Some(What::Module(_)) | None => Value::unknown(),
        }
    }

    fn call_function(
        &mut self,
        module: usize,
        function: &'a Function,
        class: Option<&'a [Statement]>,
        given: Given<'a>,
    ) -> Value<'a> {
        let key = std::ptr::from_ref(function);
        self.called.insert(key);
        if self.active.contains(&key) || self.active.len() >= MAX_CALLS {
            return Value::unknown();
        }
        let mut names = Names::new();
        let mut args = given.args.into_iter();
        let mut parameters = function.parameters.iter().peekable();
        if let (Some(body), Some(own)) = (class, parameters.peek())
            && ["self", "cls"].contains(&own.name.as_str())
        {
            names.insert(&own.name, Value::what(What::Class(module, body)));
            parameters.next();
        }
        let before = std::mem::replace(&mut self.module, module);
        for parameter in parameters {
            let by_name = given.named.iter().find(|(name, _)| *name == parameter.name);
            let value = if parameter.rest {
                let mut all = Value {
                    is_many: true,
                    ..Value::default()
                };
                for value in args.by_ref() {
                    all.extend(value.pieces);
                    all.unknown |= value.unknown;
                }
                all
            } else if let Some((_, value)) = by_name {
                value.clone()
            } else if let Some(value) = args.next() {
                value
            } else if let Some(default) = parameter.default {
                self.eval(default)
            } else {
                Value::unknown()
            };
            names.insert(&parameter.name, value);
        }
        self.active.push(key);
        self.calls.push((module, names, None));
        self.block(&function.body);
        self.active.pop();
        let (.., returned) = self.calls.pop().unwrap_or_default();
        self.module = before;
        returned.unwrap_or_else(Value::none)
    }

    /// A call of what comes from outside.
    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each function that opens or finds libraries"
    )]
    fn outside(
        &mut self,
        path: &str,
        receiver: Option<(Value<'a>, &str)>,
        given: Given<'a>,
    ) -> Value<'a> {
        let (_, last) = path.rsplit_once('.').unwrap_or(("", path));
        let mut args = given.args.into_iter();
        let is_windows = ["windll", "oledll", "WinDLL"]
            .iter()
            .any(|part| path.contains(part));
        match last {
            _ if is_windows => return Value::unknown(),
            // `ctypes.cdll` and its type are given to functions, which call what they are given.
            "CDLL" | "PyDLL" | "LoadLibrary" | "cdll" | "pydll" | "_dlltype" => {
                let name = given.named.iter().find(|(name, _)| *name == "name");
                let name = name.map(|(_, value)| value.clone()).or_else(|| args.next());
                return self.open(name.unwrap_or_default(), false);
            }
            "dlopen" => return self.open(args.next().unwrap_or_default(), true),
            "load_library" if path.contains("ctypeslib") => {
                let name = args.next().unwrap_or_default();
                let file = |piece: &Piece| Piece::file(&format!("{}*", piece.text()));
                let name = Value::of(name.pieces.iter().map(file));
                return self.open(name, false);
            }
            "find_library" => {
                let name = args.next().unwrap_or_default();
                let pieces = name.pieces.iter().filter_map(|piece| match piece {
                    Piece::Text(text) => Some(Piece::Found(text.clone())),
                    _ => None,
                });
                let mut found = Value::of(pieces);
                found.unknown = name.unknown;
                self.outcome.tried.push(Need {
                    pieces: found.pieces.clone(),
                    unknown: found.unknown,
                    certain: self.certain,
                });
                return found;
            }
            _ => {}
        }
        match path {
            "platform.system" => return Value::text("Linux"),
            "os.environ.get" | "os.getenv" | "environ.get" | "getenv" => {
                return args.nth(1).unwrap_or_else(Value::none);
            }
            "hasattr" | "getattr" => {
                let of = args.next().unwrap_or_default();
                let name = args.next().unwrap_or_default();
                let is_frozen = ["frozen", "_MEIPASS", "getwindowsversion", "winver"];
                if of.path() == "sys" && name.only_text().is_some_and(|it| is_frozen.contains(&it))
                {
                    return Value::truth(Some(false));
                }
                return args.next().map_or_else(Value::unknown, |mut value| {
                    value.unknown = true;
                    value.truth = None;
                    value
                });
            }
            _ => {}
        }
        if let Some((of, _)) = &receiver
            && let Some(text) = of.only_text()
        {
            let argument = args.clone().next().unwrap_or_default();
            let starts = |test: &dyn Fn(&str) -> bool| {
                let is_known = !argument.unknown && !argument.pieces.is_empty();
                let any = argument.pieces.iter().any(|piece| test(piece.text()));
                Value::truth(is_known.then_some(any))
            };
            match last {
                "lower" | "casefold" => return Value::text(text.to_lowercase()),
                "upper" => return Value::text(text.to_uppercase()),
                "title" | "capitalize" | "strip" => return Value::text(text),
                "startswith" => return starts(&|start| text.starts_with(start)),
                "endswith" => return starts(&|end| text.ends_with(end)),
                _ => {}
            }
        }
        if last == "join" && path.contains("path") || last == "joinpath" {
            let mut parts = receiver
                .filter(|_| last == "joinpath")
                .map(|(of, _)| of)
                .into_iter()
                .chain(args);
            let first = parts.next().unwrap_or_default();
            return parts.fold(first, |path, part| path.below(&part));
        }
        // Most of what is called gives back what it is given, in another form.
        let mut value = Value::dotted(format!("{path}()"));
        if let Some((of, _)) = receiver {
            value.extend(of.pieces);
        }
        let is_plain = [
            "Path",
            "PurePath",
            "abspath",
            "absolute",
            "as_posix",
            "bytes",
            "decode",
            "encode",
            "expanduser",
            "filter",
            "fsdecode",
            "fsencode",
            "fspath",
            "iter",
            "list",
            "next",
            "normpath",
            "realpath",
            "resolve",
            "reversed",
            "set",
            "sorted",
            "str",
            "tuple",
        ];
        value.unknown = !is_plain.contains(&last);
        for arg in args {
            value.unknown |= arg.unknown;
            value.extend(arg.pieces);
        }
        value.is_many = matches!(
            last,
            "list" | "tuple" | "set" | "sorted" | "glob" | "iglob" | "split"
        );
        value
    }

    /// Opens a library; `linked` if it is found as linkers find it.
    fn open(&mut self, name: Value<'a>, linked: bool) -> Value<'a> {
        let pieces = name.pieces.into_iter().map(|piece| match piece {
            Piece::Text(text) if linked => Piece::Linked(text),
            piece => piece,
        });
        let need = Need {
            pieces: pieces.collect(),
            unknown: name.unknown,
            certain: self.certain,
        };
        // `CDLL(None)` is the program itself, and `None` is what `find_library` gives for what it does not find.
        let is_found = |piece: &Piece| matches!(piece, Piece::Found(_));
        if !linked && !need.unknown && !need.pieces.is_empty() && need.pieces.iter().all(is_found) {
            let value = Value::dotted(format!("ctypes.CDLL#{}", self.found.len()));
            self.found.push((self.module, Some(need)));
            return value;
        }
        if !need.pieces.is_empty() || need.unknown {
            self.outcome.needs.push(need);
        }
        Value::dotted("ctypes.CDLL()".to_owned())
    }
}

/// What a function is called with.
#[derive(Debug, Default)]
struct Given<'a> {
    args: Vec<Value<'a>>,
    named: Vec<(&'a str, Value<'a>)>,
}

/// One need that any of several meets; certain if one is.
fn either(needs: Vec<Need>) -> Option<Need> {
    let mut needs = needs
        .into_iter()
        .filter(|need| !need.pieces.is_empty() || need.unknown);
    let mut one = needs.next()?;
    for need in needs {
        one.certain |= need.certain;
        one.unknown |= need.unknown;
        for piece in need.pieces {
            if !one.pieces.contains(&piece) {
                one.pieces.push(piece);
            }
        }
    }
    Some(one)
}

/// The functions among statements, with the class of each that has one.
fn functions_of<'a>(
    statements: &'a [Statement],
    class: Option<&'a [Statement]>,
    into: &mut Vec<(&'a Function, Option<&'a [Statement]>)>,
) {
    for statement in statements {
        match statement {
            Statement::Function(function) => into.push((function, class)),
            Statement::Class(_, body) => functions_of(body, Some(body), into),
            Statement::If(branches) => {
                for (_, body) in branches {
                    functions_of(body, class, into);
                }
            }
            Statement::Try {
                body, otherwise, ..
            } => {
                functions_of(body, class, into);
                functions_of(otherwise, class, into);
            }
            _ => {}
        }
    }
}

/// A method of a class.
fn method<'a>(body: &'a [Statement], name: &str) -> Option<&'a Function> {
    body.iter().find_map(|statement| match statement {
        Statement::Function(function) if function.name == name => Some(function),
        _ => None,
    })
}

/// Any of a list's.
fn element(value: Value<'_>) -> Value<'_> {
    Value {
        is_many: false,
        truth: None,
        ..value
    }
}

/// `left % right`: each `%s` is filled in, and what a number is stays open.
fn percent<'a>(left: &Value<'a>, right: Value<'a>) -> Value<'a> {
    let Some(text) = left.only_text() else {
        return Value::unknown();
    };
    let mut parts = text.split('%');
    let mut filled = Value::text(parts.next().unwrap_or_default());
    let one = element(right);
    for part in parts {
        let (value, rest) = match part.strip_prefix('s') {
            Some(rest) => (one.clone(), rest),
            None => (Value::unknown(), part.trim_start_matches(is_conversion)),
        };
        filled = filled.plus(value).plus(Value::text(rest));
    }
    filled
}

/// Whether a character belongs to a conversion of a number, such as `%02d`.
fn is_conversion(c: char) -> bool {
    c.is_ascii_digit() || matches!(c, 'd' | 'i' | 'x' | '.')
}
