//! What runs in the containers of drills: a small server that can be made to fail and to work hard,
//! and an attacker that knocks at the ways out of a container without doing harm.
//!
//! Standard library only, linked statically, compiled by this crate's build script and carried in it:
//! an image of this one file needs nothing else. No crate, so that no dependency can creep into it.

mod escape;
mod serve;

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("serve") => serve::serve(),
        Some("escape") => escape::report(),
        Some("true") => {}
        other => {
            eprintln!("probe serve | escape | true, not {other:?}");
            std::process::exit(2);
        }
    }
}
