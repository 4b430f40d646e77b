//! An HTTP server on loopback that answers as a test wants, and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// An answer to one request.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
    /// After how many bytes of the body the connection breaks.
    cut: Option<usize>,
    /// How long nothing comes where it would break.
    silence: Duration,
    /// How long nothing comes behind each byte of the body.
    pace: Duration,
    ranges: bool,
}

impl Answer {
    pub(crate) fn status(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Vec::new(),
            cut: None,
            silence: Duration::ZERO,
            pace: Duration::ZERO,
            ranges: false,
        }
    }

    pub(crate) fn ok(kind: &str, body: impl Into<Vec<u8>>) -> Self {
        let answer = Self {
            body: body.into(),
            ..Self::status(200)
        };
        answer.header("Content-Type", kind)
    }

    /// A page of the Simple API as JSON.
    pub(crate) fn json(body: &serde_json::Value) -> Self {
        Self::ok("application/vnd.pypi.simple.v1+json", body.to_string())
    }

    pub(crate) fn redirect(to: &str) -> Self {
        Self::status(302).header("Location", to)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cut(mut self, after: usize) -> Self {
        self.cut = Some(after);
        self
    }

    pub(crate) fn silent(mut self, after: usize) -> Self {
        self.silence = Duration::from_secs(30);
        self.cut(after)
    }

    /// Sends a byte now and then.
    pub(crate) fn paced(mut self, pace: Duration) -> Self {
        self.pace = pace;
        self
    }

    /// Honours `Range`.
    pub(crate) fn ranges(mut self) -> Self {
        self.ranges = true;
        self
    }
}

/// A request, as it came: the target, behind the host if this is a proxy, and the headers, their names in
/// lower case.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub(crate) target: String,
    pub(crate) headers: BTreeMap<String, String>,
}

/// What each path answers, in turn; the last answer stays. All else is 404.
type Routes = BTreeMap<String, Vec<Answer>>;

/// The server; it ends with the process.
#[derive(Debug, Clone)]
pub(crate) struct Server {
    /// `http://127.0.0.1:PORT`
    pub(crate) url: String,
    routes: Arc<Mutex<Routes>>,
    log: Arc<Mutex<Vec<Asked>>>,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = Self {
            url: format!("http://{}", listener.local_addr().unwrap()),
            routes: Arc::default(),
            log: Arc::default(),
        };
        let serving = server.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let server = serving.clone();
                thread::spawn(move || server.serve(stream));
            }
        });
        server
    }

    pub(crate) fn route(&self, path: &str, answers: impl IntoIterator<Item = Answer>) {
        let answers = answers.into_iter().collect();
        self.routes.lock().unwrap().insert(path.to_owned(), answers);
    }

    /// What was asked since the last time that this was.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// The same, the targets alone, sorted.
    pub(crate) fn targets(&self) -> Vec<String> {
        let mut targets: Vec<_> = self.asked().into_iter().map(|asked| asked.target).collect();
        targets.sort();
        targets
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
        let mut line = || lines.next().and_then(Result::ok).unwrap_or_default();
        let mut through = String::new();
        let (target, headers) = loop {
            let request = line();
            let mut headers = BTreeMap::new();
            while let Some((name, value)) = line().split_once(": ") {
                headers.insert(name.to_lowercase(), value.to_owned());
            }
            let target = request.split(' ').nth(1).unwrap_or_default();
            if !request.starts_with("CONNECT ") {
                break (format!("{through}{target}"), headers);
            }
            // As a proxy: what comes now is for that host.
            target.clone_into(&mut through);
            let _ = stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n");
        };
        let range = headers.get("range").cloned();
        self.log.lock().unwrap().push(Asked {
            target: target.clone(),
            headers,
        });
        let answer = {
            let mut routes = self.routes.lock().unwrap();
            match routes.get_mut(&target) {
                Some(answers) if answers.len() > 1 => answers.remove(0),
                Some(answers) => answers[0].clone(),
                None => Answer::status(404),
            }
        };
        let _ = answer.write(&mut stream, range.as_deref());
    }
}

impl Answer {
    fn write(&self, stream: &mut TcpStream, range: Option<&str>) -> std::io::Result<()> {
        let whole = self.body.len();
        let from = range
            .filter(|_| self.ranges)
            .and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            })
            .unwrap_or(0_usize);
        let (status, body) = match from {
            0 => (self.status, &self.body[..]),
            from if from >= whole => (416, &[][..]),
            from => (206, &self.body[from..]),
        };
        write!(stream, "HTTP/1.1 {status} Status\r\nConnection: close\r\n")?;
        let has_length = self
            .headers
            .iter()
            .any(|(name, _)| name == "Content-Length");
        if !has_length {
            write!(stream, "Content-Length: {}\r\n", body.len())?;
        }
        if status == 206 {
            write!(
                stream,
                "Content-Range: bytes {from}-{}/{whole}\r\n",
                whole - 1
            )?;
        }
        for (name, value) in &self.headers {
            write!(stream, "{name}: {value}\r\n")?;
        }
        stream.write_all(b"\r\n")?;
        let end = self.cut.unwrap_or(body.len()).min(body.len());
        if self.pace.is_zero() {
            stream.write_all(&body[..end])?;
        } else {
            for byte in &body[..end] {
                stream.write_all(&[*byte])?;
                thread::sleep(self.pace);
            }
        }
        stream.flush()?;
        if self.cut.is_some() {
            thread::sleep(self.silence);
        }
        Ok(())
    }
}
