//! The process's own memory, which holds console tokens and, while they are delivered, keys.

/// Keeps the memory from core dumps and from other processes of the same user, where the platform can. Returns what
/// could not be done.
pub fn protect() -> Vec<&'static str> {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};
        let none = Rlimit { current: Some(0), maximum: Some(0) };
        let dumpable = set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err();
        let core = setrlimit(Resource::Core, none).is_err();
        let failed = [(dumpable, "PR_SET_DUMPABLE"), (core, "RLIMIT_CORE")];
        failed.into_iter().filter_map(|(failed, what)| failed.then_some(what)).collect()
    }
    #[cfg(not(target_os = "linux"))]
    vec!["core dumps"]
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};

    /// Of the process of the tests, which has no use for a core dump either.
    #[test]
    fn no_core_dump_is_written_and_no_other_process_reads_the_memory() {
        assert_eq!(protect(), Vec::<&str>::new());
        assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
        let limit = getrlimit(Resource::Core);
        assert_eq!((limit.current, limit.maximum), (Some(0), Some(0)));
    }
}
