//! What runs in the containers of drills: a small server that can be made to fail and to work hard,
//! and an attacker that knocks at the ways out of a container without doing harm.
//!
//! Standard library only, linked statically, compiled by this crate's build script and carried in it:
//! an image of this one file needs nothing else. No crate, so that no dependency can creep into it.

mod act;
mod escape;
mod serve;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve::serve(),
        Some("escape") => escape::report(),
        Some("act") => act::act(&argument(2)),
        Some("dropped") => act::dropped(),
        Some("spread") => act::spread(&argument(2), &argument(3), &argument(4)),
        Some("send") => act::send(&argument(2), &argument(3)),
        Some("call") => act::call(&argument(2)),
        Some("burn") => act::burn(argument(2).parse().unwrap_or(10)),
        Some("true") => {}
        other => {
            eprintln!("probe serve | escape | act NAME | dropped | spread WAY ADDRESS CONTENT | send ADDRESS CONTENT | call ADDRESS | burn SECONDS | true, not {other:?}");
            std::process::exit(2);
        }
    }
}

fn argument(at: usize) -> String {
    std::env::args().nth(at).unwrap_or_default()
}
