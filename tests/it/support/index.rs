//! An index on loopback that behaves as badly as a test wants.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::thread;
use std::time::Duration;

/// What it does with each request.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Behaviour {
    /// Answers with this status and nothing else.
    Status(u16),
    /// Takes the request and is silent.
    Silent,
    /// Takes the request and ends the connection.
    Drop,
}

/// Starts it; returns the URL of its pages. It ends with the process.
pub(crate) fn start(behaviour: Behaviour) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            thread::spawn(move || answer(stream, behaviour));
        }
    });
    format!("http://{address}/simple")
}

/// Serves the files of a folder; returns its URL. It ends with the process.
pub(crate) fn serve(folder: &Path) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let folder = folder.to_path_buf();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let request = lines.next().and_then(Result::ok).unwrap_or_default();
            while lines
                .next()
                .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
            {}
            let path = request.split(' ').nth(1).unwrap_or_default();
            let file = fs::read(folder.join(path.trim_start_matches('/')));
            let (status, bytes) = file.map_or((404, Vec::new()), |bytes| (200, bytes));
            let length = bytes.len();
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Status\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n"
            );
            let _ = stream.write_all(&bytes);
        }
    });
    format!("http://{address}")
}

/// A URL where nothing listens.
pub(crate) fn nowhere() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    format!("http://{}/simple", listener.local_addr().unwrap())
}

fn answer(mut stream: TcpStream, behaviour: Behaviour) {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    while lines
        .next()
        .is_some_and(|line| line.is_ok_and(|line| !line.is_empty()))
    {}
    match behaviour {
        Behaviour::Status(status) => {
            let _ = write!(
                stream,
                "HTTP/1.1 {status} Status\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
        Behaviour::Drop => {}
        Behaviour::Silent => thread::sleep(Duration::from_secs(120)),
    }
}
