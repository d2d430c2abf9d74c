//! The log lines of one thread, at the finest level.

use std::cell::RefCell;
use std::io::Write;
use std::rc::Rc;
use std::sync::Once;
use tracing_subscriber::filter::dynamic_filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;

type Lines = Rc<RefCell<Vec<u8>>>;

thread_local! {
    static LINES: RefCell<Option<Lines>> = const { RefCell::new(None) };
}

/// A log that is recorded until it is dropped.
pub struct Log(Lines);

impl Log {
    /// The recorded lines.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.borrow()).into_owned()
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        LINES.set(None);
    }
}

struct Line;

impl Write for Line {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        LINES.with_borrow(|lines| lines.as_ref().map(|lines| lines.borrow_mut().extend_from_slice(bytes)));
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// Records the log of this thread from now on, which includes every task of a single-threaded runtime.
///
/// The subscriber is global: with a thread-local one, tracing may cache that a line is disabled if another thread reaches
/// it first. Lines of other threads cost only the check whether they are enabled.
pub fn by_this_thread() -> Log {
    static START: Once = Once::new();
    START.call_once(|| {
        let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(|| Line);
        let wanted = dynamic_filter_fn(|_, _| LINES.with_borrow(Option::is_some));
        let subscriber = tracing_subscriber::registry().with(wanted).with(lines);
        tracing::subscriber::set_global_default(subscriber).unwrap();
    });
    let lines = Lines::default();
    LINES.set(Some(Rc::clone(&lines)));
    Log(lines)
}
