//! Which file or device a loop device is attached to.
//!
//! To answer, the kernel asks the file system that the file is in. One that hangs (a server that is away, FUSE) must not
//! hold up who lists devices, so that it is asked on a thread of its own and waited for only so long. Then the path has to
//! do that sysfs tells.

use std::collections::BTreeSet;
use std::fs::{Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::mpsc::sync_channel;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::fs::OFlags;

use super::host::DeviceNumber;
use super::ioctl;
use super::place::Place;

/// What takes longer hangs: nothing is read from the file.
const ANSWERS_WITHIN: Duration = Duration::from_secs(3);

/// Loop devices whose answer is still waited for. They are not asked again: each time would cost a thread.
static UNANSWERED: Mutex<BTreeSet<DeviceNumber>> = Mutex::new(BTreeSet::new());

/// As the kernel tells it; `None` where `node` is not this device, or may not be opened.
pub(super) fn by_kernel(node: &Path, number: DeviceNumber) -> Option<Place> {
    let is_it =
        move |about: &Metadata| about.file_type().is_block_device() && DeviceNumber::from_raw(about.rdev()) == number;
    std::fs::metadata(node).ok().filter(is_it)?;
    let node = node.to_owned();
    in_time(number, move || {
        let flags = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&node).ok()?;
        file.metadata().ok().filter(is_it)?;
        let told = ioctl::loop_backing(&file)?;
        Some(match told.special {
            0 => Place::File { device: DeviceNumber::from_raw(told.device), inode: told.inode },
            special => Place::Device(DeviceNumber::from_raw(special)),
        })
    })
}

/// By the path that sysfs tells, which may be another file's here.
pub(super) fn by_path(path: &Path, number: DeviceNumber) -> Option<Place> {
    let path = path.to_owned();
    in_time(number, move || Place::of(&path).ok())
}

fn in_time(number: DeviceNumber, ask: impl FnOnce() -> Option<Place> + Send + 'static) -> Option<Place> {
    let unanswered = || UNANSWERED.lock().unwrap_or_else(PoisonError::into_inner);
    if unanswered().contains(&number) {
        return None;
    }
    let (tell, told) = sync_channel(1);
    let asked = thread::Builder::new().name("loop device".to_owned()).spawn(move || {
        // Who asked may have given up.
        let _ = tell.send(ask());
        unanswered().remove(&number);
    });
    asked.ok()?;
    told.recv_timeout(ANSWERS_WITHIN).unwrap_or_else(|_| {
        unanswered().insert(number);
        // It may have answered in this very moment; if it does later, it takes its number out itself.
        let answer = told.try_recv().ok()?;
        unanswered().remove(&number);
        answer
    })
}
