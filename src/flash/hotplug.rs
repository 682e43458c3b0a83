//! Hot-plug: wakes those who wait for a card when the kernel says that a block device came, went or changed.
//!
//! The kernel's own messages (`NETLINK_KOBJECT_UEVENT`, group 1) need neither root nor udev. Where they are not to be had
//! (some containers, other systems), whoever waits looks again more often. A message is only a reason to look: what is
//! true is read from sysfs, so that a forged or lost message does no harm.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

/// How often it is looked without messages. A person needs a second to change a card.
const POLL: Duration = Duration::from_millis(250);

/// How often it is looked although there are messages: many card readers say that a card was changed only when they are
/// asked, and a container may be sent nothing.
const LOOK_ALSO: Duration = Duration::from_millis(700);

/// A device comes with several messages; the first one is no time to open it.
const SETTLE: Duration = Duration::from_millis(60);

/// News of block devices, for any number of threads that wait.
pub struct Hotplug {
    #[cfg(target_os = "linux")]
    kernel: Option<std::os::fd::OwnedFd>,
    rung: Mutex<u64>,
    bell: Condvar,
}

impl Default for Hotplug {
    fn default() -> Hotplug {
        Hotplug::new()
    }
}

impl Hotplug {
    /// The kernel's messages where they can be had, polling elsewhere.
    pub fn new() -> Hotplug {
        Hotplug {
            #[cfg(target_os = "linux")]
            kernel: kernel::listen().ok(),
            ..Hotplug::polling()
        }
    }

    /// Polling, always.
    pub fn polling() -> Hotplug {
        Hotplug {
            #[cfg(target_os = "linux")]
            kernel: None,
            rung: Mutex::new(0),
            bell: Condvar::new(),
        }
    }

    /// Whether the kernel tells.
    pub fn is_told(&self) -> bool {
        #[cfg(target_os = "linux")]
        return self.kernel.is_some();
        #[cfg(not(target_os = "linux"))]
        return false;
    }

    /// Passes the kernel's messages on to everybody in [`Hotplug::wait`], until `over`. Returns at once without messages.
    pub fn listen(&self, over: &AtomicBool) {
        #[cfg(target_os = "linux")]
        if let Some(kernel) = &self.kernel {
            // It looks up every quarter of a second although nothing came: that is how it hears that the bench is over.
            while !over.load(Ordering::Relaxed) {
                if kernel::block_device_changed(kernel, POLL) {
                    thread::sleep(SETTLE);
                    kernel::drain(kernel);
                    *self.rung.lock().unwrap_or_else(PoisonError::into_inner) += 1;
                    self.bell.notify_all();
                }
            }
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (over, thread::sleep, SETTLE, Ordering::Relaxed);
    }

    /// Waits until there is a reason to look at the devices again. `seen` is the caller's own, from 0.
    pub fn wait(&self, seen: &mut u64) {
        // Counted and not flagged: a ring between two waits of one thread is not lost, and one thread does not take
        // it from another.
        let most = if self.is_told() { LOOK_ALSO } else { POLL };
        let rung = self.rung.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.bell.wait_timeout_while(rung, most, |rung| *rung == *seen);
        *seen = *waited.unwrap_or_else(PoisonError::into_inner).0;
    }
}

#[cfg(target_os = "linux")]
mod kernel {
    use std::io;
    use std::os::fd::OwnedFd;
    use std::time::Duration;

    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use rustix::net::netlink::{KOBJECT_UEVENT, SocketAddrNetlink};
    use rustix::net::{AddressFamily, RecvFlags, SocketFlags, SocketType, bind, recv, socket_with};

    /// `KOBJECT_UEVENT_GROUP_KERNEL`: what the kernel itself says. udev's own words are group 2.
    const FROM_KERNEL: u32 = 1;

    pub(super) fn listen() -> io::Result<OwnedFd> {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = socket_with(AddressFamily::NETLINK, SocketType::DGRAM, flags, Some(KOBJECT_UEVENT))?;
        bind(&socket, &SocketAddrNetlink::new(0, FROM_KERNEL))?;
        Ok(socket)
    }

    /// Waits for messages and answers whether one of them is about a block device.
    pub(super) fn block_device_changed(socket: &OwnedFd, most: Duration) -> bool {
        let most = Timespec { tv_sec: 0, tv_nsec: most.subsec_nanos().into() };
        match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&most)) {
            Ok(0) => false,
            Ok(_) => drain(socket),
            Err(_) => {
                std::thread::sleep(super::POLL);
                false
            }
        }
    }

    /// Takes what is there. Messages that were lost (`ENOBUFS`) may have been about a block device.
    pub(super) fn drain(socket: &OwnedFd) -> bool {
        let mut about_block = false;
        let mut message = [0u8; 8192];
        // Bounded: a bench in a storm of messages still looks at its slots.
        for _ in 0..4096 {
            match recv(socket, &mut message[..], RecvFlags::empty()) {
                Ok((len, _)) => about_block |= is_about_block(message.get(..len).unwrap_or_default()),
                Err(rustix::io::Errno::NOBUFS) => about_block = true,
                Err(_) => break,
            }
        }
        about_block
    }

    /// `add@/devices/…`, then `KEY=value`, each ended by a zero byte (kernel, `lib/kobject_uevent.c`).
    pub(super) fn is_about_block(message: &[u8]) -> bool {
        message.split(|byte| *byte == 0).any(|field| field == b"SUBSYSTEM=block")
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn only_messages_about_block_devices_wake_anybody() {
        let said = |text: &str| kernel::is_about_block(text.replace(' ', "\0").as_bytes());
        assert!(said("add@/devices/virtual/block/loop0 ACTION=add SUBSYSTEM=block DEVNAME=loop0 "));
        assert!(!said("add@/devices/virtual/net/veth0 ACTION=add SUBSYSTEM=net XSUBSYSTEM=block "));
        assert!(!said(""));
        assert!(!kernel::is_about_block(&[0xff; 8192]));
    }

    #[test]
    fn a_ring_wakes_everybody_who_waits_and_each_only_once() {
        let hotplug = Hotplug::polling();
        *hotplug.rung.lock().unwrap() += 1;
        let (mut one, mut other) = (0, 0);
        hotplug.wait(&mut one);
        hotplug.wait(&mut other);
        assert_eq!((one, other), (1, 1));
        hotplug.wait(&mut one);
        assert_eq!(one, 1, "nothing rang again: it was waited until it was time to look");
    }
}
