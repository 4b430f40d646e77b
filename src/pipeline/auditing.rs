//! The prefix held against its runtime, and what is done about what that finds.

use super::install::{Building, Made};
use super::open::Builder;
use super::secrets;
use crate::audit::{Finding, Severity, Subject, Unfit, audit};
use crate::bundle::{self, Bundled};
use crate::error::{Error, Result};

impl Building<'_> {
    /// What the audit finds, once the libraries are there that are to be bundled. Errors end the build.
    pub(super) fn audited(
        &self,
        made: &mut Made,
        builder: Builder<'_>,
    ) -> Result<(Vec<Finding>, Vec<Bundled>)> {
        let mut findings = self.findings(made);
        let Some(runtime) = &self.deciding.opened.runtime else {
            let is_error = |finding: &Finding| finding.severity == Severity::Error;
            if findings.iter().any(is_error) {
                return Err(Error::Findings(findings));
            }
            return Ok((findings, Vec::new()));
        };
        let mut bundled = Vec::new();
        if let Some(session) = builder {
            if self.deciding.request.how.bundle_libs {
                let tree = &made.installed.tree;
                let (edit, copied) =
                    bundle::bundle(session, tree, self.layout, runtime, &findings)?;
                if !edit.is_empty() {
                    made.installed.apply(edit, self.layout)?;
                    bundled = copied;
                    findings = self.findings(made);
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
    fn findings(&self, made: &Made) -> Vec<Finding> {
        let opened = self.deciding.opened;
        let index = self.deciding.index.decided();
        let mut findings = audit(&Subject {
            tree: &made.installed.tree,
            layout: self.layout,
            pieces: &made.installed.pieces,
            markers: &opened.interpreter.markers,
            no_deps: self.deciding.means.settings.is_on("no-deps"),
            runtime: opened.runtime.as_ref(),
            secrets: &secrets::of(opened, self.deciding.request, index),
            allowed: &self.deciding.request.destination.allow,
        });
        for finding in &mut findings {
            let name = finding.distribution.as_ref().map(|one| one.name.as_str());
            let mut pieces = made.installed.pieces.iter();
            let piece = pieces.find(|piece| Some(piece.item.name.as_str()) == name);
            let by = piece.into_iter().flat_map(|piece| &piece.item.required_by);
            finding.required_by = by.map(ToString::to_string).collect();
        }
        findings
    }
}
