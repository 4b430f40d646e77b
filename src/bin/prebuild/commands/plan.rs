//! `prebuild plan`.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use indicatif::HumanBytes;
use prebuild::error::Error;
use prebuild::event::{Cancel, Event};
use prebuild::lock::{self, Recorded};
use prebuild::pipeline;
use prebuild::plan::{Form, Item, Plan, Planned};
use prebuild::requirements::What;

use crate::args::{Common, Format};
use crate::environment::Environment;
use crate::printer::{Printer, print_json};
use crate::settings::Settings;

/// Prints what a build would install.
pub(crate) fn run(
    args: Common,
    environment: &Environment,
    printer: &Printer,
    cancel: &Cancel,
) -> anyhow::Result<ExitCode> {
    let settings = Settings::common(args, environment, cancel)?;
    printer.warnings(&settings.warnings);
    let observe = |event: &Event<'_>| printer.event(event);
    for request in settings.requests() {
        let runner = settings.runner.as_ref();
        let (plan, recorded) = pipeline::plan(
            &request.what,
            &request.destination,
            &request.how,
            runner,
            &observe,
            cancel,
        )?;
        print(printer, &plan, &recorded, &request.what.cwd)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Prints a plan.
fn print(printer: &Printer, plan: &Plan, recorded: &Recorded, folder: &Path) -> anyhow::Result<()> {
    printer.finish();
    match printer.format {
        Format::Json => return Ok(print_json(plan)?),
        Format::Requirements => return Ok(printer.text(&lock::requirements(plan))?),
        Format::Pylock => {
            let text = lock::text(plan, recorded, folder).map_err(Error::Unhashed)?;
            return Ok(printer.text(&text)?);
        }
        Format::Text => {}
    }
    let mut out = io::stdout().lock();
    match &plan.builder {
        Some(builder) => writeln!(out, "builder  {builder}")?,
        None => writeln!(out, "builder  none")?,
    }
    writeln!(out, "target   {}", plan.target)?;
    if let Some(pip) = &plan.pip {
        writeln!(out, "pip      {pip}")?;
    }
    for setting in &plan.settings {
        writeln!(
            out,
            "setting  {} = {} (from {})",
            setting.name, setting.value, setting.from
        )?;
    }
    for line in options(plan) {
        writeln!(out, "option   {line}")?;
    }
    for entry in &plan.requirements {
        writeln!(out, "require  {}", entry_line(entry))?;
    }
    for entry in &plan.constraints {
        writeln!(out, "limit    {}", entry_line(entry))?;
    }
    for item in &plan.distributions {
        writeln!(out, "install  {}", item_line(item))?;
    }
    Ok(out.flush()?)
}

/// A requirement on one line: what was written, where, and whether it applies.
fn entry_line(planned: &Planned) -> String {
    let entry = &planned.entry;
    let at = format!("{}:{}", entry.at.file.display(), entry.at.line);
    let mut line = format!("{:<40} {at}", entry.written.to_string());
    if !entry.hashes.is_empty() {
        line.push_str(&format!(", {} hashes", entry.hashes.len()));
    }
    if let What::Path { path, .. } = &entry.what {
        line.push_str(&format!(", {}", path.display()));
    }
    if let Some(reason) = &planned.reason {
        line.push_str(&format!(", left out: {reason}"));
    }
    line
}

/// A distribution on one line: what it is, how it will be had, from where, and who wants it.
fn item_line(item: &Item) -> String {
    let what = format!("{} {}", item.name, item.version);
    let how = match item.form {
        Form::Wheel => "wheel",
        Form::Sdist => "build from source",
    };
    let mut line = format!("{what:<40} {how}");
    if let Some(size) = item.size {
        line.push_str(&format!(", {}", HumanBytes(size)));
    }
    let by: Vec<_> = item.required_by.iter().map(ToString::to_string).collect();
    line.push_str(&format!(", {}, for {}", item.url, by.join(", ")));
    line
}

/// The options as one JSON value a line: their forms are many, and each knows where it stands.
fn options(plan: &Plan) -> Vec<String> {
    let Ok(serde_json::Value::Object(options)) = serde_json::to_value(&plan.options) else {
        return Vec::new();
    };
    options
        .into_iter()
        .filter(|(_, value)| {
            !value.is_null() && value.as_array().is_none_or(|list| !list.is_empty())
        })
        .map(|(name, value)| format!("{} {value}", name.replace('_', "-")))
        .collect()
}
