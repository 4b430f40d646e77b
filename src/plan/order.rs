//! The order in which pip installs, which its report does not show.
//!
//! What depends on nothing comes first, then what depends on those alone, and so on; within a round,
//! by name, backwards. Where distributions depend on each other in a circle, pip takes the longest way
//! to each from the start, in an order of ways that it promises nothing about. The order decides which
//! of two distributions has the last word on a path that both bring.
//!
//! Follows `get_installation_order` of pip's resolver, from pip 23.0 to 26.3. Where circles are so
//! entangled that the limits of the walk are reached, pip's own order is another on every run.

use std::collections::{BTreeMap, BTreeSet};

use super::Item;
use crate::requirements::{self, Applies, Dependency, Name, Requirements};
use crate::target::MarkerEnvironment;

/// The first pip whose walk through a circle comes to one node [`VISITS`] times at most. Those before
/// go every way that there is.
const LIMITED: (u32, u32) = (25, 2);
const VISITS: usize = 5;
/// Ways grow exponentially with the edges of a circle: after so many steps the walk ends here,
/// whatever pip would do.
const STEPS: usize = 1_000_000;

/// A node of the graph that pip resolves: a distribution, or one with extras, which depends on the
/// one without. The start has no name.
type Node = (Option<Name>, BTreeSet<Name>);

/// What was asked for.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    /// The names that the user wrote, each with the extras behind it.
    named: BTreeSet<(Name, BTreeSet<Name>)>,
    /// Whether dependencies were not looked at.
    no_deps: bool,
    environment: &'a MarkerEnvironment,
}

impl<'a> Asked<'a> {
    /// With which extras a distribution was asked for by its name; `None` if it was not.
    pub(crate) fn extras(&self, name: &Name) -> Option<BTreeSet<Name>> {
        let mut named = self.named.iter().filter(|(named, _)| named == name);
        let (_, first) = named.next()?;
        let rest = named.flat_map(|(_, extras)| extras);
        Some(first.iter().chain(rest).cloned().collect())
    }

    /// Each of `items`, as in a lock file that does not say which.
    pub(crate) fn all(items: &[Item], environment: &'a MarkerEnvironment) -> Self {
        let named = items
            .iter()
            .map(|item| (item.name.clone(), BTreeSet::new()));
        Self {
            named: named.collect(),
            no_deps: false,
            environment,
        }
    }

    /// What the requirements ask for of this interpreter.
    pub(crate) fn new(
        requirements: &Requirements,
        no_deps: bool,
        environment: &'a MarkerEnvironment,
    ) -> Result<Self, requirements::Error> {
        let mut named = BTreeSet::new();
        for entry in requirements.entries() {
            if let (Some(name), Applies::Yes) = (entry.name(), entry.applies(environment)?) {
                named.insert((name.clone(), entry.extras.clone()));
            }
        }
        Ok(Self {
            named,
            no_deps,
            environment,
        })
    }
}

/// Sorts by the order in which this version of pip installs; the latest one that is known, if it is
/// none.
pub(crate) fn sort(items: &mut [Item], asked: &Asked<'_>, pip: Option<&str>) {
    let mut graph = graph(items, asked);
    let mut weights: BTreeMap<Name, usize> = BTreeMap::new();
    let start: Node = (None, BTreeSet::new());
    loop {
        let leaves: Vec<Node> = graph
            .iter()
            .filter(|(node, children)| **node != start && children.is_empty())
            .map(|(node, _)| node.clone())
            .collect();
        if leaves.is_empty() {
            break;
        }
        let weight = graph.len() - 1;
        for leaf in leaves {
            graph.remove(&leaf);
            for children in graph.values_mut() {
                children.remove(&leaf);
            }
            if let (Some(name), true) = (leaf.0, leaf.1.is_empty()) {
                weights.insert(name, weight);
            }
        }
    }
    let mut walk = Walk {
        graph: &graph,
        path: BTreeSet::new(),
        visits: BTreeMap::new(),
        limit: if pip.is_none_or(is_limited) {
            VISITS
        } else {
            STEPS
        },
        steps: 0,
    };
    walk.visit(&start);
    for (name, (_, longest)) in walk.visits {
        weights.insert(name, longest);
    }
    items.sort_by_cached_key(|item| {
        let weight = weights.get(&item.name).copied().unwrap_or(0);
        std::cmp::Reverse((weight, item.name.clone()))
    });
}

/// Whether this pip's walk has a limit.
fn is_limited(pip: &str) -> bool {
    let mut numbers = pip.split('.').map(|part| part.parse().unwrap_or(0));
    (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= LIMITED
}

/// Which node depends on which.
fn graph(items: &[Item], asked: &Asked<'_>) -> BTreeMap<Node, BTreeSet<Node>> {
    let by_name: BTreeMap<&Name, &Item> = items.iter().map(|item| (&item.name, item)).collect();
    let requires: BTreeMap<&Name, Vec<Dependency>> = items
        .iter()
        .map(|item| {
            let texts = item.requires.iter().filter(|_| !asked.no_deps);
            let parsed = texts.filter_map(|text| Dependency::parse(text));
            (&item.name, parsed.collect())
        })
        .collect();
    let mut graph: BTreeMap<Node, BTreeSet<Node>> = BTreeMap::new();
    let is_named = |item: &&Item| asked.named.iter().any(|(name, _)| *name == item.name);
    // What was asked for by a path or a URL has its name, and its extras, from the report; there, the
    // extras of what has a name are all that anybody wants.
    let nameless = items
        .iter()
        .filter(|item| item.requested && !is_named(item))
        .map(|item| (item.name.clone(), item.extras.clone()));
    let roots: BTreeSet<Node> = asked
        .named
        .iter()
        .filter(|(name, _)| by_name.contains_key(name))
        .cloned()
        .chain(nameless)
        .map(|(name, extras)| (Some(name), extras))
        .collect();
    let mut todo: Vec<Node> = roots.iter().cloned().collect();
    graph.insert((None, BTreeSet::new()), roots);
    // What nothing leads to is there all the same.
    todo.extend(
        items
            .iter()
            .map(|item| (Some(item.name.clone()), BTreeSet::new())),
    );
    while let Some(node) = todo.pop() {
        let (Some(name), extras) = &node else {
            continue;
        };
        if graph.contains_key(&node) {
            continue;
        }
        let mut children = BTreeSet::new();
        if !extras.is_empty() {
            children.insert((Some(name.clone()), BTreeSet::new()));
        }
        for dependency in requires.get(name).into_iter().flatten() {
            if by_name.contains_key(&dependency.name)
                && dependency.applies(asked.environment, extras)
            {
                children.insert((Some(dependency.name.clone()), dependency.extras.clone()));
            }
        }
        todo.extend(children.iter().cloned());
        graph.insert(node, children);
    }
    graph
}

/// pip's walk through what is left when all leaves are gone: circles.
struct Walk<'a> {
    graph: &'a BTreeMap<Node, BTreeSet<Node>>,
    path: BTreeSet<&'a Node>,
    /// How often it came to each, and the longest way.
    visits: BTreeMap<Name, (usize, usize)>,
    /// How often it comes to one node.
    limit: usize,
    steps: usize,
}

impl Walk<'_> {
    fn visit(&mut self, node: &Node) {
        let Some((node, children)) = self.graph.get_key_value(node) else {
            return;
        };
        let name = node.0.as_ref().filter(|_| node.1.is_empty());
        let often = name
            .and_then(|name| self.visits.get(name))
            .map_or(0, |(often, _)| *often);
        self.steps += 1;
        if self.path.contains(node) || often >= self.limit || self.steps > STEPS {
            return;
        }
        self.path.insert(node);
        for child in children {
            self.visit(child);
        }
        self.path.remove(node);
        if let Some(name) = name {
            let (often, longest) = self.visits.entry(name.clone()).or_default();
            *often += 1;
            *longest = self.path.len().max(*longest);
        }
    }
}
