//! HTTP on port 8080: `/` and `/healthz` answer, `/crash` ends the process, `/sick` makes `/healthz`
//! fail from then on, `/burn?MILLISECONDS` keeps one thread busy.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

static SICK: AtomicBool = AtomicBool::new(false);
static THREADS: AtomicU32 = AtomicU32::new(0);
/// Connections served at once.
const MOST: u32 = 32;
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) fn serve() {
    let listener = match TcpListener::bind("[::]:8080").or_else(|_| TcpListener::bind("0.0.0.0:8080")) {
        Ok(listener) => listener,
        Err(error) => {
            eprintln!("port 8080: {error}");
            std::process::exit(1);
        }
    };
    println!("listening");
    for stream in listener.incoming().flatten() {
        if THREADS.fetch_add(1, Ordering::SeqCst) >= MOST {
            THREADS.fetch_sub(1, Ordering::SeqCst);
            continue;
        }
        std::thread::spawn(|| {
            let _ = answer(stream);
            THREADS.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

fn answer(stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut reader = BufReader::new(stream.try_clone()?.take(8192));
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let mut line = String::new();
    while reader.read_line(&mut line)? > 2 {
        line.clear();
    }
    let target = first.split(' ').nth(1).unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let (status, text) = match path {
        "/" => ("200 OK", "hello"),
        "/healthz" if SICK.load(Ordering::SeqCst) => ("500 Internal Server Error", "sick"),
        "/healthz" => ("200 OK", "ok"),
        "/sick" => {
            SICK.store(true, Ordering::SeqCst);
            ("200 OK", "sick from now on")
        }
        "/crash" => {
            respond(&stream, "200 OK", "ending")?;
            std::process::exit(3);
        }
        "/burn" => {
            burn(Duration::from_millis(query.parse::<u64>().unwrap_or(100).min(60_000)));
            ("200 OK", "done")
        }
        _ => ("404 Not Found", "no such path"),
    };
    respond(&stream, status, text)
}

fn respond(mut stream: &TcpStream, status: &str, text: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nContent-Length: {}\r\nContent-Type: text/plain\r\nConnection: close\r\n\r\n{text}", text.len())
}

fn burn(time: Duration) {
    let begun = Instant::now();
    let mut x = 1_u64;
    while begun.elapsed() < time {
        for _ in 0..10_000 {
            x = std::hint::black_box(x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1));
        }
    }
}
