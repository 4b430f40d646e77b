//! Checks that a set of distributions contains all its dependencies.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::plan::Item;
use crate::requirements::{Dependency, Name, Version};
use crate::target::MarkerEnvironment;

/// A dependency that is not met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unmet {
    /// The distributions that lead to it, the one that the user named first.
    pub(super) chain: Vec<Name>,
    /// The `Requires-Dist` that is not met.
    pub(super) requires: String,
    /// The version that there is, if it is the wrong one.
    pub(super) has: Option<String>,
    /// Whether it is a URL that must be met, or cannot be read: pip knows what to do.
    pub(super) is_odd: bool,
}

/// A distribution, and the extra of it that is wanted, if it is one.
type Node = (Name, Option<Name>);

/// Follows every `Requires-Dist` that counts from the distributions that were asked for, with the
/// extras behind them; returns the first that is not met, by the shortest way.
pub(super) fn unmet(items: &[Item], environment: &MarkerEnvironment) -> Option<Unmet> {
    let by_name: BTreeMap<&Name, &Item> = items.iter().map(|item| (&item.name, item)).collect();
    let mut came_from: BTreeMap<Node, Option<Node>> = BTreeMap::new();
    let mut todo: VecDeque<Node> = VecDeque::new();
    for item in items.iter().filter(|item| item.requested) {
        let extras = item.extras.iter().map(|extra| Some(extra.clone()));
        for node in [None].into_iter().chain(extras) {
            let node = (item.name.clone(), node);
            came_from.insert(node.clone(), None);
            todo.push_back(node);
        }
    }
    while let Some(node) = todo.pop_front() {
        let Some(item) = by_name.get(&node.0) else {
            continue;
        };
        let extras: BTreeSet<Name> = node.1.iter().cloned().collect();
        for text in &item.requires {
            let unmet = |has, is_odd| {
                Some(Unmet {
                    chain: chain(&node, &came_from),
                    requires: text.clone(),
                    has,
                    is_odd,
                })
            };
            let Some(dependency) = Dependency::parse(text) else {
                return unmet(None, true);
            };
            if !dependency.applies(environment, &extras) {
                continue;
            }
            let Some(found) = by_name.get(&dependency.name) else {
                return unmet(None, false);
            };
            let version = Version::parse(&found.version)
                .map_or_else(|| found.version.clone(), |version| version.to_string());
            if !dependency.specifiers.admit(&version) {
                return unmet(Some(version), false);
            }
            if let Some(url) = &dependency.url
                && *url != found.url
            {
                return unmet(Some(version), true);
            }
            let wanted = dependency.extras.into_iter().map(Some);
            for extra in [None].into_iter().chain(wanted) {
                let next = (dependency.name.clone(), extra);
                if !came_from.contains_key(&next) {
                    came_from.insert(next.clone(), Some(node.clone()));
                    todo.push_back(next);
                }
            }
        }
    }
    None
}

/// The way to a distribution from one that the user named.
fn chain(node: &Node, came_from: &BTreeMap<Node, Option<Node>>) -> Vec<Name> {
    let steps = std::iter::successors(Some(node), |node| came_from.get(*node)?.as_ref());
    let mut chain: Vec<Name> = steps.map(|(name, _)| name.clone()).collect();
    chain.reverse();
    chain.dedup();
    chain
}
