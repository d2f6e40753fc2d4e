//! Places at which a test can end the program, to see what recovery makes of it.
//!
//! Inert unless the crate is built with the feature `fault-injection`, which no shipped program has: an environment
//! variable that stops a root program in the middle must not exist in it. With the feature, `GABION_FAULT` is read
//! once:
//!
//! - `kill:N`: at the N-th point (from 1) the process kills itself by SIGKILL;
//! - `pause:N:FILE`: at the N-th point it creates FILE and sleeps for ever, so that the power can be cut there;
//! - `step:FILE`: at every point it writes the point's name to FILE and waits until FILE is removed, so that the power
//!   can be cut at each in turn;
//! - `trace:FILE`: appends the name of every point to FILE, a line each, so that a test knows how many there are.

/// A point at which a crash is survivable. `name` says what has just been done or is about to be.
#[cfg(not(any(test, feature = "fault-injection")))]
#[inline]
pub(crate) fn point(_name: &'static str) {}

#[cfg(any(test, feature = "fault-injection"))]
pub(crate) use active::point;

#[cfg(any(test, feature = "fault-injection"))]
mod active {
    use std::fs::{File, OpenOptions};
    use std::io::Write as _;
    use std::path::{Path, PathBuf};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    enum Fault {
        Kill(usize),
        Pause(usize, PathBuf),
        Step(PathBuf),
        Trace(PathBuf),
    }

    static FAULT: OnceLock<Option<Fault>> = OnceLock::new();
    static PASSED: AtomicUsize = AtomicUsize::new(0);

    /// A point at which a crash is survivable. `name` says what has just been done or is about to be.
    pub(crate) fn point(name: &'static str) {
        #[cfg(test)]
        super::simulated::point(name);
        let Some(fault) = FAULT.get_or_init(from_environment) else {
            return;
        };
        let nth = PASSED.fetch_add(1, Ordering::SeqCst) + 1;
        match fault {
            Fault::Kill(at) if *at == nth => {
                let this = rustix::process::getpid();
                let _ = rustix::process::kill_process(this, rustix::process::Signal::KILL);
                forever();
            }
            Fault::Pause(at, file) if *at == nth => {
                let _ = File::create(file);
                forever();
            }
            Fault::Step(file) => wait_for_removal(file, name),
            Fault::Trace(file) => {
                let opened = OpenOptions::new().append(true).create(true).open(file);
                let _ = opened.and_then(|mut file| writeln!(file, "{name}"));
            }
            Fault::Kill(_) | Fault::Pause(..) => {}
        }
    }

    fn from_environment() -> Option<Fault> {
        let text = std::env::var("GABION_FAULT").ok()?;
        match text.split_once(':')? {
            ("kill", at) => Some(Fault::Kill(at.parse().ok()?)),
            ("pause", rest) => {
                let (at, file) = rest.split_once(':')?;
                Some(Fault::Pause(at.parse().ok()?, file.into()))
            }
            ("step", file) => Some(Fault::Step(file.into())),
            ("trace", file) => Some(Fault::Trace(file.into())),
            _ => None,
        }
    }

    /// FILE is never seen half written: it gets its name when it is whole.
    fn wait_for_removal(file: &Path, name: &str) {
        let unfinished = file.with_extension("new");
        let written = std::fs::write(&unfinished, name).and_then(|()| std::fs::rename(&unfinished, file));
        while written.is_ok() && file.exists() {
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    fn forever() -> ! {
        loop {
            std::thread::park();
        }
    }
}

/// A crash inside a test's own thread: the stack is unwound, and nothing on it writes while it is.
#[cfg(test)]
pub(crate) mod simulated {
    use std::cell::Cell;

    thread_local! {
        static LEFT: Cell<Option<usize>> = const { Cell::new(None) };
        static PASSED: Cell<usize> = const { Cell::new(0) };
    }

    /// What a simulated crash unwinds with.
    #[derive(Debug)]
    pub(crate) struct Crash(
        #[allow(dead_code, reason = "read by a person when a test fails")] pub(crate) &'static str,
    );

    pub(super) fn point(name: &'static str) {
        PASSED.set(PASSED.get() + 1);
        match LEFT.get() {
            Some(0) => {
                LEFT.set(None);
                std::panic::resume_unwind(Box::new(Crash(name)));
            }
            Some(left) => LEFT.set(Some(left - 1)),
            None => {}
        }
    }

    /// Runs `work` and crashes at the n-th point, from 0. None when it crashed; otherwise what it gave.
    pub(crate) fn crash_at<T>(nth: usize, work: impl FnOnce() -> T) -> Option<T> {
        LEFT.set(Some(nth));
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work));
        LEFT.set(None);
        match result {
            Ok(value) => Some(value),
            Err(payload) if payload.is::<Crash>() => None,
            Err(payload) => std::panic::resume_unwind(payload),
        }
    }

    /// How many points `work` passes.
    pub(crate) fn count<T>(work: impl FnOnce() -> T) -> (usize, T) {
        let before = PASSED.get();
        let value = work();
        (PASSED.get() - before, value)
    }
}
