//! Moments: wall time for people, time since boot for deadlines.

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

/// One moment on this machine.
///
/// A deadline compares `since_boot` where the boot is the same, so that setting the clock neither saves nor dooms a
/// change; another `boot` means that the machine went down in between.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Moment {
    /// Wall time.
    pub wall: Timestamp,
    /// Milliseconds since boot, sleep included (`CLOCK_BOOTTIME`).
    pub since_boot: u64,
    /// `/proc/sys/kernel/random/boot_id`; empty where it cannot be read.
    pub boot: String,
}

impl Moment {
    /// Now.
    pub fn now() -> Self {
        let boottime = clock_gettime(ClockId::Boottime);
        let seconds = u64::try_from(boottime.tv_sec).unwrap_or(0);
        let millis = u64::try_from(boottime.tv_nsec / 1_000_000).unwrap_or(0);
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        Self { wall: Timestamp::now(), since_boot: seconds * 1000 + millis, boot: boot.trim().to_owned() }
    }

    /// In clock ticks since boot, as proc(5) gives the start of a process (field 22 of `/proc/PID/stat`), rounded
    /// up: a process that started in this very tick does not count as started after it.
    pub fn ticks(&self) -> u64 {
        (self.since_boot * rustix::param::clock_ticks_per_second()).div_ceil(1000)
    }

    /// This many milliseconds later, in the same boot.
    #[must_use]
    pub fn plus_millis(&self, millis: u64) -> Self {
        let span = jiff::SignedDuration::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
        Self {
            wall: self.wall.checked_add(span).unwrap_or(Timestamp::MAX),
            since_boot: self.since_boot.saturating_add(millis),
            boot: self.boot.clone(),
        }
    }

    /// Milliseconds from `now` until this moment; zero where it has passed or belongs to another boot.
    pub fn millis_after(&self, now: &Self) -> u64 {
        if self.boot == now.boot { self.since_boot.saturating_sub(now.since_boot) } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_of_another_boot_has_passed() {
        let now = Moment::now();
        let later = now.plus_millis(1500);
        assert_eq!(later.millis_after(&now), 1500);
        assert_eq!(now.millis_after(&later), 0);
        let rebooted = Moment { boot: "another".to_owned(), ..now.clone() };
        assert_eq!(later.millis_after(&rebooted), 0);
    }

    #[test]
    fn a_process_started_later_has_later_ticks() {
        let before = Moment::now();
        std::thread::sleep(std::time::Duration::from_millis(30));
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
        let started: u64 = fields[19].parse().unwrap();
        let after = Moment::now();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(before.ticks() < started, "{} < {started}", before.ticks());
        assert!(started <= after.ticks(), "{started} <= {}", after.ticks());
    }
}
