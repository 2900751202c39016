//! TAP devices: the kernel's end of an Ethernet cable, opened inside a namespace.
//!
//! Without `IFF_VNET_HDR` a TAP offers no offloads: the kernel segments and sums every packet before we see it.

#![allow(unsafe_code)]

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;

use anyhow::{Context, Result, bail};

use crate::namespace::Namespace;
use crate::splice::{End, MAX_FRAME_BYTES, READ_BUDGET_BYTES};

const NAME_BYTES: usize = 16;
const TUNSETIFF: libc::Ioctl = 0x4004_54ca;
const IFF_TAP: u16 = 0x0002;
const IFF_NO_PI: u16 = 0x1000;

#[repr(C)]
struct InterfaceRequest {
    name: [u8; NAME_BYTES],
    flags: u16,
    reserved: [u8; 22],
}

/// A TAP device; closing it removes it.
#[derive(Debug)]
pub struct Tap {
    file: File,
    buffer: Box<[u8]>,
    refused: u64,
}

impl Tap {
    /// Makes `interface` inside `namespace`, up and without an address.
    ///
    /// # Errors
    /// When `/dev/net/tun` is missing or the name is taken.
    pub fn open(namespace: &Namespace, interface: &str) -> Result<Self> {
        let name = interface.to_owned();
        let file = namespace.run(move || attach(&name))??;
        namespace.ip(&["link", "set", interface, "up"])?;
        Ok(Self { file, buffer: vec![0; MAX_FRAME_BYTES].into(), refused: 0 })
    }

    /// Frames that the kernel did not take, for being too short or because the interface was down.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused
    }
}

fn attach(name: &str) -> Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(libc::O_NONBLOCK)
        .open("/dev/net/tun")
        .context("/dev/net/tun cannot be opened: the kernel needs the tun module")?;
    let mut request =
        InterfaceRequest { name: [0; NAME_BYTES], flags: IFF_TAP | IFF_NO_PI, reserved: [0; 22] };
    if name.len() >= NAME_BYTES {
        bail!("interface name {name} is longer than {} bytes", NAME_BYTES - 1);
    }
    request.name[..name.len()].copy_from_slice(name.as_bytes());
    // SAFETY: TUNSETIFF reads and writes one `struct ifreq`, whose 40 bytes `InterfaceRequest` lays out and which
    // outlives the call; the descriptor is open.
    let done = unsafe { libc::ioctl(file.as_raw_fd(), TUNSETIFF, &raw mut request) };
    if done < 0 {
        return Err(io::Error::last_os_error()).with_context(|| format!("TAP {name} cannot be made"));
    }
    Ok(file)
}

impl End for Tap {
    fn fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    fn receive(&mut self, mut each: impl FnMut(&[u8])) -> io::Result<()> {
        let mut taken_bytes = 0;
        while taken_bytes < READ_BUDGET_BYTES {
            match rustix::io::read(&self.file, &mut *self.buffer) {
                Ok(length) => {
                    taken_bytes += length;
                    each(&self.buffer[..length]);
                }
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => {}
                // The interface is down: there is nothing to read until it is up.
                Err(rustix::io::Errno::IO) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, frame: &[u8]) {
        if rustix::io::write(&self.file, frame).is_err() {
            self.refused += 1;
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn backlog_bytes(&self) -> usize {
        0
    }
}
