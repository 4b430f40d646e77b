//! The pieces, installed into a prefix and edited there.

use super::Outputs;
use super::decide::Deciding;
use super::elsewhere::no_builder;
use super::obtain::Obtained;
use super::open::Builder;
use super::watch::Watch;
use crate::error::Result;
use crate::event::{Cancel, Stage};
use crate::install::{self, Installed, Installer};
use crate::layout::Layout;
use crate::piece::{Origin, Piece};
use crate::pip::{self, Driver};
use crate::plan::{self, Asked};
use crate::runner::{self, Session};

/// A build whose requirements were read.
pub(super) struct Building<'a> {
    pub(super) deciding: Deciding<'a>,
    pub(super) outputs: &'a Outputs,
    pub(super) layout: &'a Layout,
    pub(super) cancel: &'a Cancel,
}

/// A prefix, and who installed it.
pub(super) struct Made {
    pub(super) installed: Installed,
    pub(super) installer: Installer,
}

impl Building<'_> {
    /// Installs the distributions, with their bytecode if that was asked for.
    pub(super) fn install(
        &self,
        obtained: Obtained,
        builder: Builder<'_>,
        watch: &mut Watch<'_>,
    ) -> Result<Made> {
        if self.cancel.is_cancelled() {
            return Err(runner::Error::Cancelled.into());
        }
        match obtained {
            Obtained::Pieces(pieces) => Ok(Made {
                installed: self.install_wheels(pieces, builder)?,
                installer: Installer::Wheel,
            }),
            Obtained::ByPip => {
                let (driver, session) =
                    self.builder(builder, "pip installs the requirements itself")?;
                Ok(Made {
                    installed: self.install_by_pip(driver, session, watch)?,
                    installer: Installer::Pip,
                })
            }
        }
    }

    /// The builder, which something needs.
    pub(super) fn builder<'s>(
        &self,
        builder: Builder<'s>,
        why: &str,
    ) -> Result<(&Driver<'_>, &'s mut (dyn Session + 'static))> {
        if let (Some(driver), Some(session)) = (&self.deciding.means.driver, builder) {
            Ok((driver, session))
        } else {
            let target = self.deciding.opened.interpreter.target().to_string();
            Err(no_builder(self.deciding.request, target, why.to_owned()).into())
        }
    }

    fn install_wheels(&self, pieces: Vec<Piece>, builder: Builder<'_>) -> Result<Installed> {
        let (interpreter, layout) = (&self.deciding.opened.interpreter, self.layout);
        let mut installed = install::install_wheels(pieces, interpreter, layout)?;
        if self.deciding.request.how.compile {
            let (_, session) = self.builder(builder, "the interpreter compiles the bytecode")?;
            let store = &self.deciding.means.store;
            let edit = install::bytecode(session, store, &installed, interpreter, layout)?;
            installed.apply(edit, layout)?;
        }
        Ok(installed)
    }

    fn install_by_pip(
        &self,
        driver: &Driver<'_>,
        session: &mut dyn Session,
        watch: &mut Watch<'_>,
    ) -> Result<Installed> {
        watch.stage(Stage::Install, &format!("pip {}", driver.version()));
        let (opened, observe) = (self.deciding.opened, self.deciding.observe);
        let (requirements, interpreter) = (&opened.requirements, &opened.interpreter);
        let outcome = driver.install(session, requirements, observe)?;
        watch.stage(Stage::Collect, &self.layout.dest);
        if self.deciding.request.how.compile {
            install::compile(session, pip::prefix(), self.layout)?;
        }
        let root = session.locate(pip::prefix());
        let prefix = session.get(pip::prefix())?;
        let mut installed = install::install_prefix(prefix, &root, interpreter, self.layout)?;
        let asked = Asked::new(requirements, driver.is_on("no-deps"), &interpreter.markers)?;
        for Piece { item, origin, .. } in &mut installed.pieces {
            let extras = asked.extras(&item.name);
            item.requested = extras.is_some();
            item.extras = extras.unwrap_or_default();
            if outcome.built.iter().any(|name| name == item.name.as_str()) {
                *origin = Origin::Built;
            }
        }
        self.name_requirers(&mut installed.pieces)?;
        Ok(installed)
    }

    /// Notes at each distribution which lines and distributions require it.
    pub(super) fn name_requirers(&self, pieces: &mut [Piece]) -> Result<()> {
        let opened = self.deciding.opened;
        let mut items: Vec<_> = pieces.iter_mut().map(|piece| &mut piece.item).collect();
        let markers = &opened.interpreter.markers;
        Ok(plan::required_by(
            &mut items,
            &opened.requirements,
            markers,
        )?)
    }
}
