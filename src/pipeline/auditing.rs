//! The prefix held against its runtime, and what is done about what that finds.

use super::Request;
use super::install::Made;
use super::open::Opened;
use super::secrets;
use crate::audit::{Finding, Severity, Subject, Unfit, audit};
use crate::bundle::{self, Bundled};
use crate::error::{Error, Result};
use crate::index::Index;
use crate::layout::Layout;
use crate::plan;
use crate::runner::Session;

/// What the audit looks at besides the prefix.
pub(super) struct Auditing<'a> {
    opened: &'a Opened,
    request: &'a Request,
    layout: &'a Layout,
    /// The credentials that were used.
    secrets: Vec<String>,
}

impl<'a> Auditing<'a> {
    pub(super) fn new(
        opened: &'a Opened,
        request: &'a Request,
        layout: &'a Layout,
        index: Option<&Index<'_>>,
    ) -> Self {
        Self {
            opened,
            request,
            layout,
            secrets: secrets::of(opened, request, index),
        }
    }

    /// What the audit finds, once the libraries are there that are to be bundled. Errors end the build.
    pub(super) fn audited(
        &self,
        made: &mut Made,
        session: Option<&mut (dyn Session + 'static)>,
    ) -> Result<(Vec<Finding>, Vec<Bundled>)> {
        for one in &mut made.installed.described {
            one.built_here |= made.built.contains(&one.distribution.name);
        }
        let mut findings = self.findings(made)?;
        let Some(runtime) = &self.opened.runtime else {
            let is_error = |finding: &Finding| finding.severity == Severity::Error;
            if findings.iter().any(is_error) {
                return Err(Error::Findings(findings));
            }
            return Ok((findings, Vec::new()));
        };
        let mut bundled = Vec::new();
        if let Some(session) = session {
            if self.request.bundle_libs {
                let installed = &mut made.installed;
                bundled = bundle::bundle(session, installed, self.layout, runtime, &findings)?;
                if !bundled.is_empty() {
                    findings = self.findings(made)?;
                }
            }
            bundle::name_packages(session, runtime, &mut findings)?;
        }
        match Unfit::of(findings.clone(), runtime) {
            Some(unfit) => Err(Error::Unfit(Box::new(unfit))),
            None => Ok((findings, bundled)),
        }
    }

    /// What the audit finds, and who wants what it is about.
    fn findings(&self, made: &mut Made) -> Result<Vec<Finding>> {
        let opened = self.opened;
        let markers = &opened.interpreter.markers;
        let mut findings = audit(&Subject {
            tree: &made.installed.tree,
            layout: self.layout,
            equal: &made.installed.equal,
            described: &made.installed.described,
            markers,
            no_deps: opened.settings(self.request)?.is_on("no-deps"),
            runtime: opened.runtime.as_ref(),
            secrets: &self.secrets,
            allowed: &self.request.allow,
        });
        if findings
            .iter()
            .any(|finding| finding.distribution.is_some())
        {
            plan::required_by(&mut made.items, &opened.requirements, markers)?;
            for finding in &mut findings {
                let name = finding.distribution.as_ref().map(|one| one.name.as_str());
                let item = made
                    .items
                    .iter()
                    .find(|item| Some(item.name.as_str()) == name);
                let by = item.into_iter().flat_map(|item| &item.required_by);
                finding.required_by = by.map(ToString::to_string).collect();
            }
        }
        Ok(findings)
    }
}
