//! HTTP: hosts, transport, retries, and the hosts that may receive credentials.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::thread;
use std::time::{Duration, Instant, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD as BASE64;
use http::header::{AUTHORIZATION, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use http::{HeaderMap, StatusCode};
use ureq::tls::{Certificate, ClientCert, PemItem, RootCerts, TlsConfig, parse_pem};
use ureq::unversioned::transport::DefaultConnector;
use ureq::{Agent, Body, Proxy, ProxyProtocol};
use url::{Host, Url};

use super::credentials::{Credentials, Netrc, Origin};
use super::error::{Error, Slow};
use super::resolver::CachingResolver;
use crate::event::Cancel;
use crate::fs;
use crate::requirements::hide_credentials;
use crate::runner::{self, Exec};

/// How far redirects are followed.
const REDIRECTS: usize = 20;
/// The first pause before a request is made again; each further one is twice as long.
pub(super) const PAUSE: Duration = Duration::from_millis(250);
/// The longest pause, also where a server asks for more: then the request fails.
const LONGEST_PAUSE: Duration = Duration::from_secs(120);
/// How often a pause looks at the switch.
const TICK: Duration = Duration::from_millis(25);
/// How many bytes a second a server must send, on average over as many times the timeout as this; headers
/// must have come by then.
const MIN_RATE: u64 = 1024;
const PATIENCE: u32 = 4;
/// How long a keyring may take: it may ask somebody.
const KEYRING: Duration = Duration::from_secs(60);

/// How hosts are reached.
#[derive(Debug, Clone)]
pub struct Network {
    /// The proxy for everything, as `--proxy`; else those for each scheme.
    pub proxy: Option<String>,
    /// `HTTP_PROXY`.
    pub http_proxy: Option<String>,
    /// `HTTPS_PROXY`.
    pub https_proxy: Option<String>,
    /// `NO_PROXY`: hosts and domains with commas between them.
    pub no_proxy: String,
    /// A bundle of certificates in place of the system's.
    pub certificates: Option<PathBuf>,
    /// A certificate of our own, and its key, in one file.
    pub client_certificate: Option<PathBuf>,
    /// Hosts, with or without a port, that need no valid certificate, and no TLS at all.
    pub trusted_hosts: BTreeSet<String>,
    /// How long a connection may take, and how long it may stay silent.
    pub timeout: Duration,
    /// How often a request is made again.
    pub retries: u32,
    /// Whether no host is asked for anything.
    pub offline: bool,
    /// The file with passwords.
    pub netrc: Option<PathBuf>,
    /// The environment of the `keyring` command, if it may be asked for passwords.
    pub keyring: Option<BTreeMap<String, String>>,
    /// Tells the seconds since 1970: the library has no clock of its own.
    pub now: fn() -> u64,
}

impl Default for Network {
    /// As pip has it without any setting. The time is always 1970: what was kept is asked for again.
    fn default() -> Self {
        Self {
            proxy: None,
            http_proxy: None,
            https_proxy: None,
            no_proxy: String::new(),
            certificates: None,
            client_certificate: None,
            trusted_hosts: BTreeSet::new(),
            timeout: Duration::from_secs(15),
            retries: 5,
            offline: false,
            netrc: None,
            keyring: None,
            now: || 0,
        }
    }
}

/// A client for all requests of a build.
#[derive(Debug)]
pub(super) struct Client<'a> {
    network: &'a Network,
    cancel: &'a Cancel,
    /// One that verifies certificates, and one that does not.
    agents: OnceLock<[Agent; 2]>,
    netrc: OnceLock<Netrc>,
    /// Credentials by what they are for.
    known: Mutex<BTreeMap<Origin, Option<Credentials>>>,
}

/// An answer whose body is still to be read.
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    /// Where it came from in the end.
    pub(super) url: Url,
    body: Body,
    window: Duration,
}

impl Response {
    pub(super) fn header(&self, name: http::HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    pub(super) fn reader(&mut self) -> impl Read + '_ {
        Paced {
            reader: self.body.with_config().limit(u64::MAX).reader(),
            window: self.window,
            since: Instant::now(),
            read: 0,
        }
    }

    /// The body, if it has no more than `limit` bytes.
    pub(super) fn read(mut self, limit: u64) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        let read = self.reader().take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|source| unreachable(&self.url, source))?;
        if bytes.len() as u64 > limit {
            return Err(Error::TooLong {
                url: shown(&self.url),
                limit,
            });
        }
        Ok(bytes)
    }
}

/// A reader that fails where too little comes: a server that sends a byte now and then is silent for no time
/// at all, and would go on for ever.
struct Paced<R> {
    reader: R,
    /// How long the rate is measured for.
    window: Duration,
    since: Instant,
    /// How many bytes came since then.
    read: u64,
}

impl<R: Read> Read for Paced<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.reader.read(buffer)?;
        self.read += read as u64;
        let elapsed = self.since.elapsed();
        if read > 0 && elapsed > self.window {
            if self.read < MIN_RATE * elapsed.as_secs() {
                return Err(io::Error::other(Slow(MIN_RATE)));
            }
            (self.since, self.read) = (Instant::now(), 0);
        }
        Ok(read)
    }
}

impl<'a> Client<'a> {
    pub(super) fn new(network: &'a Network, cancel: &'a Cancel) -> Self {
        Self {
            network,
            cancel,
            agents: OnceLock::new(),
            netrc: OnceLock::new(),
            known: Mutex::default(),
        }
    }

    pub(super) fn network(&self) -> &'a Network {
        self.network
    }

    pub(super) fn check_cancelled(&self) -> Result<(), Error> {
        if self.cancel.is_cancelled() {
            return Err(Error::Cancelled);
        }
        Ok(())
    }

    /// Takes note of the credentials in the URL of an index: they are for all that is on its host.
    pub(super) fn learn(&self, url: &Url) {
        if let Some(credentials) = Credentials::of(url) {
            self.known().insert(Origin::of(url), Some(credentials));
        }
    }

    /// Ends all requests at once; later ones fail.
    pub(super) fn stop(&self) {
        for agent in self.agents.get().into_iter().flatten() {
            agent.clone().shutdown();
        }
    }

    /// Asks until there is an answer that another request would not change: one of success, of a
    /// redirect's end, or of a failure that lasts.
    pub(super) fn get(
        &self,
        url: &Url,
        headers: &[(http::HeaderName, String)],
    ) -> Result<Response, Error> {
        let mut pause = PAUSE;
        let mut left = self.network.retries;
        loop {
            self.check_cancelled()?;
            let failed = match self.follow(url, headers) {
                Ok(response) if !is_passing(response.status) => return Ok(response),
                Ok(response) => {
                    pause = self.asked_to_wait(&response).unwrap_or(pause);
                    if pause > LONGEST_PAUSE {
                        left = 0;
                    }
                    Error::Status {
                        url: shown(&response.url),
                        status: response.status.as_u16(),
                    }
                }
                Err(error) if error.may_pass() => error,
                Err(error) => return Err(error),
            };
            if left == 0 {
                return Err(failed);
            }
            left -= 1;
            self.pause(pause)?;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Waits, and looks at the switch meanwhile.
    pub(super) fn pause(&self, time: Duration) -> Result<(), Error> {
        let mut left = time;
        while !left.is_zero() {
            self.check_cancelled()?;
            let step = left.min(TICK);
            thread::sleep(step);
            left -= step;
        }
        self.check_cancelled()
    }

    /// What a server asks for by `Retry-After`: seconds, or a date.
    fn asked_to_wait(&self, response: &Response) -> Option<Duration> {
        let value = response.header(RETRY_AFTER)?.trim();
        if let Ok(seconds) = value.parse() {
            return Some(Duration::from_secs(seconds));
        }
        let date = httpdate::parse_http_date(value).ok()?;
        let now = UNIX_EPOCH + Duration::from_secs((self.network.now)());
        Some(date.duration_since(now).unwrap_or_default())
    }

    /// Asks once, and goes where the answer leads.
    fn follow(&self, url: &Url, headers: &[(http::HeaderName, String)]) -> Result<Response, Error> {
        let mut url = url.clone();
        let mut been = BTreeSet::new();
        loop {
            let response = self.ask(&url, headers)?;
            let target = response.header(LOCATION).map(str::to_owned);
            let (true, Some(target)) = (is_redirect(response.status), target) else {
                return Ok(response);
            };
            let refuse = |why| Error::Redirect {
                url: shown(&url),
                to: hide_credentials(&target),
                why,
            };
            let mut next = url.join(&target).map_err(|_| refuse("that is not a URL"))?;
            if next.fragment().is_none() {
                next.set_fragment(url.fragment());
            }
            if !matches!(next.scheme(), "http" | "https") {
                return Err(refuse("that is another scheme"));
            }
            if url.scheme() == "https" && next.scheme() == "http" && !self.is_trusted(&next) {
                return Err(refuse("that is not encrypted"));
            }
            // A server cannot make us say who we are to another one.
            if Credentials::of(&next).is_some() && Origin::of(&next) != Origin::of(&url) {
                return Err(refuse("that names credentials for another host"));
            }
            been.insert(url.to_string());
            if been.contains(next.as_str()) || been.len() > REDIRECTS {
                return Err(refuse("the redirects have no end"));
            }
            url = next;
        }
    }

    /// Asks one host, with credentials if it is one that has some.
    fn ask(&self, url: &Url, headers: &[(http::HeaderName, String)]) -> Result<Response, Error> {
        let own = Credentials::of(url);
        let credentials = own.clone().or_else(|| self.credentials(url));
        let response = self.send(url, headers, credentials.as_ref())?;
        let basic = response
            .header(WWW_AUTHENTICATE)
            .is_none_or(|asked| asked.to_ascii_lowercase().contains("basic"));
        if response.status != StatusCode::UNAUTHORIZED || !basic {
            return Ok(response);
        }
        match self.keyring_password(url, credentials.as_ref()) {
            Some(found) => self.send(url, headers, Some(&found)),
            None => Ok(response),
        }
    }

    fn credentials(&self, url: &Url) -> Option<Credentials> {
        if let Some(known) = self.known().get(&Origin::of(url)) {
            return known.clone();
        }
        self.netrc().get(url.host_str()?).cloned()
    }

    fn netrc(&self) -> &Netrc {
        self.netrc.get_or_init(|| {
            let path = self.network.netrc.as_deref();
            path.map(Netrc::read).unwrap_or_default()
        })
    }

    /// All passwords that hosts may have been told, or pip in our place.
    pub(super) fn passwords(&self) -> Vec<String> {
        let known = self.known();
        let told = known.values().flatten().chain(self.netrc().all());
        told.map(|one| one.password.clone()).collect()
    }

    fn known(&self) -> std::sync::MutexGuard<'_, BTreeMap<Origin, Option<Credentials>>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The password that the `keyring` command has for a name, asked for once.
    ///
    /// As pip does: for the whole URL first, then for the host.
    fn keyring_password(&self, url: &Url, refused: Option<&Credentials>) -> Option<Credentials> {
        let env = self.network.keyring.as_ref()?;
        let user = refused.map(|credentials| credentials.user.clone())?;
        let origin = Origin::of(url);
        let host = url.host_str()?;
        let netloc = match url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        };
        // Held while the command runs: it is not to ask somebody twice.
        let mut known = self.known();
        if let Some(Some(found)) = known.get(&origin)
            && Some(found) != refused
        {
            return Some(found.clone());
        }
        let services = [shown(url), netloc];
        let password = services.iter().find_map(|service| {
            let exec = Exec::new("keyring")
                .args(["get", service, &user])
                .envs(env.clone())
                .within(KEYRING);
            let answer = runner::ask(&exec, self.cancel).ok()?;
            let password = answer.trim_end_matches(['\r', '\n']).to_owned();
            (!password.is_empty()).then_some(password)
        })?;
        let found = Credentials { user, password };
        known.insert(origin, Some(found.clone()));
        Some(found)
    }

    fn send(
        &self,
        url: &Url,
        headers: &[(http::HeaderName, String)],
        credentials: Option<&Credentials>,
    ) -> Result<Response, Error> {
        if self.network.offline {
            return Err(Error::Offline(vec![shown(url)]));
        }
        let agent = self.agent(url)?;
        let mut plain = without_credentials(url);
        plain.set_fragment(None);
        let mut request = agent.get(plain.as_str());
        for (name, value) in headers {
            request = request.header(name, value);
        }
        if let Some(Credentials { user, password }) = credentials {
            let pair = BASE64.encode(format!("{user}:{password}"));
            request = request.header(AUTHORIZATION, format!("Basic {pair}"));
        }
        let proxy = self.proxy(url)?;
        let by = proxy
            .as_ref()
            .filter(|proxy| !request.uri_ref().is_some_and(|uri| proxy.is_no_proxy(uri)))
            .map(|proxy| format!("{}:{}", proxy.host(), proxy.port()));
        if let Some(proxy) = proxy {
            request = request.config().proxy(Some(proxy)).build();
        }
        let response = request.call().map_err(|source| {
            if self.cancel.is_cancelled() {
                Error::Cancelled
            } else {
                Error::unreachable(url, source).through(by)
            }
        })?;
        let (parts, body) = response.into_parts();
        Ok(Response {
            status: parts.status,
            headers: parts.headers,
            url: plain,
            body,
            window: self.network.timeout * PATIENCE,
        })
    }

    /// Whether pages of this host may be believed: it is reached by TLS, or it is this machine, or
    /// the user says so.
    pub(super) fn is_secure(&self, url: &Url) -> bool {
        let local = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => IpAddr::V4(address).is_loopback(),
            Some(Host::Ipv6(address)) => IpAddr::V6(address).is_loopback(),
            None => true,
        };
        url.scheme() != "http" || local || self.is_trusted(url)
    }

    fn is_trusted(&self, url: &Url) -> bool {
        let hosts = &self.network.trusted_hosts;
        url.host_str().is_some_and(|host| {
            let port = url.port_or_known_default().unwrap_or(0);
            hosts.contains(host) || hosts.contains(&format!("{host}:{port}"))
        })
    }

    /// The proxy by which a URL is reached.
    fn proxy(&self, url: &Url) -> Result<Option<Proxy>, Error> {
        let network = self.network;
        let of_scheme = match url.scheme() {
            "https" => &network.https_proxy,
            _ => &network.http_proxy,
        };
        let Some(text) = network.proxy.as_ref().or(of_scheme.as_ref()) else {
            return Ok(None);
        };
        let bad = |_| Error::Proxy(hide_credentials(text));
        let with_scheme = if text.contains("://") {
            text.clone()
        } else {
            format!("http://{text}")
        };
        let read = Proxy::new(&with_scheme).map_err(bad)?;
        let mut proxy = Proxy::builder(match read.protocol() {
            ProxyProtocol::Https => ProxyProtocol::Https,
            _ => ProxyProtocol::Http,
        })
        .host(read.host())
        .port(read.port());
        if let Some(user) = read.username() {
            proxy = proxy.username(user);
        }
        if let Some(password) = read.password() {
            proxy = proxy.password(password);
        }
        for host in network.no_proxy.split(',').map(str::trim) {
            // A domain stands for all that is below it, as with Python.
            let domain = host.trim_start_matches('.');
            if !domain.is_empty() {
                proxy = proxy.no_proxy(domain);
                if domain != "*" {
                    proxy = proxy.no_proxy(&format!(".{domain}"));
                }
            }
        }
        proxy.build().map(Some).map_err(bad)
    }

    fn agent(&self, url: &Url) -> Result<&Agent, Error> {
        let agents = if let Some(agents) = self.agents.get() {
            agents
        } else {
            let made = self.make_agents()?;
            self.agents.get_or_init(|| made)
        };
        let [verifying, trusting] = agents;
        Ok(if self.is_trusted(url) {
            trusting
        } else {
            verifying
        })
    }

    fn make_agents(&self) -> Result<[Agent; 2], Error> {
        let network = self.network;
        let roots = match &network.certificates {
            Some(path) => {
                let found = pem(path)?.into_iter().filter_map(|item| match item {
                    PemItem::Certificate(certificate) => Some(certificate),
                    _ => None,
                });
                let found: Vec<Certificate<'static>> = found.collect();
                if found.is_empty() {
                    return Err(Error::Certificates(path.clone()));
                }
                RootCerts::new_with_certs(&found)
            }
            None => RootCerts::PlatformVerifier,
        };
        let client = match &network.client_certificate {
            Some(path) => Some(client_certificate(path)?),
            None => None,
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let agent = |verify: bool| {
            let tls = TlsConfig::builder()
                .unversioned_rustls_crypto_provider(Arc::clone(&provider))
                .root_certs(roots.clone())
                .client_cert(client.clone())
                .disable_verification(!verify)
                .build();
            let config = Agent::config_builder()
                .tls_config(tls)
                .http_status_as_error(false)
                .max_redirects(0)
                .max_redirects_will_error(false)
                .proxy(None)
                .user_agent(concat!("prebuild/", env!("CARGO_PKG_VERSION")))
                .timeout_resolve(Some(network.timeout))
                .timeout_connect(Some(network.timeout))
                .timeout_recv_response(Some(network.timeout * PATIENCE))
                .timeout_per_read(Some(network.timeout))
                .timeout_per_write(Some(network.timeout))
                .max_idle_connections_per_host(super::WORKERS)
                .max_idle_connections(super::WORKERS * 2)
                .build();
            Agent::with_parts(
                config,
                DefaultConnector::default(),
                CachingResolver::default(),
            )
        };
        Ok([agent(true), agent(false)])
    }
}

/// The largest file of certificates, in bytes.
const MAX_PEM: u64 = 64 << 20;

fn pem(path: &Path) -> Result<Vec<PemItem<'static>>, Error> {
    let bytes = fs::read_to(path, MAX_PEM)?;
    let items: Result<Vec<_>, _> = parse_pem(&bytes).collect();
    items.map_err(|_| Error::Certificates(path.to_path_buf()))
}

fn client_certificate(path: &Path) -> Result<ClientCert, Error> {
    let mut chain = Vec::new();
    let mut key = None;
    for item in pem(path)? {
        match item {
            PemItem::Certificate(certificate) => chain.push(certificate),
            PemItem::PrivateKey(found) => key = key.or(Some(found)),
            _ => {}
        }
    }
    match key {
        Some(key) if !chain.is_empty() => Ok(ClientCert::new_with_certs(&chain, key)),
        _ => Err(Error::Certificates(path.to_path_buf())),
    }
}

/// Whether another try may give another answer.
fn is_passing(status: StatusCode) -> bool {
    matches!(
        status,
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS
    ) || status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

pub(super) fn unreachable(url: &Url, source: io::Error) -> Error {
    Error::unreachable(url, ureq::Error::Io(source))
}

/// A URL as it may be kept.
pub(super) fn without_credentials(url: &Url) -> Url {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// A URL as it may be shown.
pub(super) fn shown(url: &Url) -> String {
    let mut url = url.clone();
    if Credentials::of(&url).is_some() {
        let _ = url.set_password(None);
        let _ = url.set_username("****");
    }
    url.set_fragment(None);
    url.into()
}
