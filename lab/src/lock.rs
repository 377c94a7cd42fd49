//! Locks between processes. The kernel releases them when their holder dies, however it dies.

use std::fs::{File, OpenOptions, TryLockError};
use std::path::Path;

use crate::error::{Context as _, Result};
use crate::paths::create_dir;

/// An exclusive lock, held until it is dropped.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if nobody holds it.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(error).context(|| format!("locking {}", path.display())),
        }
    }

    /// Takes the lock, waiting for whoever holds it; `waiting` is called once if there is a wait.
    pub(crate) fn take(path: &Path, waiting: impl FnOnce()) -> Result<Self> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        file.lock().context(|| format!("locking {}", path.display()))?;
        Ok(Self { _file: file })
    }

    /// Whether somebody holds the lock now.
    pub(crate) fn is_held(path: &Path) -> Result<bool> {
        Ok(path.exists() && Self::try_take(path)?.is_none())
    }
}

fn open(path: &Path) -> Result<File> {
    if let Some(parent) = path.parent() {
        create_dir(parent)?;
    }
    OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .context(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_holder_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("locks/a");
        assert!(!Lock::is_held(&path).unwrap());
        let held = Lock::take(&path, || panic!("nobody holds it")).unwrap();
        assert!(Lock::is_held(&path).unwrap());
        assert!(Lock::try_take(&path).unwrap().is_none());
        drop(held);
        assert!(!Lock::is_held(&path).unwrap());
    }

    #[test]
    fn a_waiter_is_told_and_gets_it() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = Lock::take(&path, || {}).unwrap();
        let (told, was_told) = std::sync::mpsc::channel();
        let waiter = {
            let path = path.clone();
            std::thread::spawn(move || Lock::take(&path, || told.send(()).unwrap()).map(drop))
        };
        was_told.recv().unwrap();
        drop(held);
        waiter.join().unwrap().unwrap();
    }
}
