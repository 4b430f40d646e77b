//! Resolves each host name once.
//!
//! All requests go to two or three hosts, many of them at the same time, and a name server that is asked
//! the same thing by sixteen threads may drop some of the questions; the next try comes five seconds
//! later.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// Asks the system's resolver for a host and port, and remembers what it said.
#[derive(Debug, Default)]
pub(super) struct CachingResolver {
    system: DefaultResolver,
    known: Mutex<BTreeMap<String, Answer>>,
}

/// What is known of a host. Whoever is first holds the lock until there is an answer.
type Answer = Arc<Mutex<Option<ResolvedSocketAddrs>>>;

impl Resolver for CachingResolver {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, Error> {
        let host = uri.scheme().zip(uri.authority());
        let Some(key) =
            host.and_then(|(scheme, authority)| DefaultResolver::host_and_port(scheme, authority))
        else {
            return self.system.resolve(uri, config, timeout);
        };
        let answer = {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(known.entry(key).or_default())
        };
        let mut answer = answer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = answer.as_ref() {
            return Ok(known.clone());
        }
        // The system's resolver starts a thread, and panics where it cannot.
        thread::Builder::new().spawn(|| {}).map_err(Error::Io)?;
        let found = self.system.resolve(uri, config, timeout)?;
        *answer = Some(found.clone());
        Ok(found)
    }
}
