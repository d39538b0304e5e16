//! The energy of a run: read from the processor's meter, or estimated from given watts.
//!
//! This build uses no accelerator, so it reads no NVML meters.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::clock::Moment;

/// Where Linux exposes the processors' energy meters.
const POWERCAP: &str = "/sys/class/powercap";

/// The source of an amount of energy, the most reliable first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnergySource {
    /// The meter of the processor's packages, which includes other programs.
    Rapl,
    /// Given watts times time.
    TdpEstimate,
}

/// An amount of energy, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Energy {
    joules: f64,
    source: Option<EnergySource>,
    /// Whether a part of the energy is unknown.
    is_unknown: bool,
}

impl Energy {
    /// A known amount.
    pub fn known(joules: f64, source: EnergySource) -> Self {
        Self { joules, source: Some(source), is_unknown: false }
    }

    /// An unknown amount.
    pub fn unknown() -> Self {
        Self { is_unknown: true, ..Self::default() }
    }

    /// Adds another amount. The sum has the less reliable source of the two.
    pub fn add(&mut self, other: Self) {
        self.joules += other.joules;
        self.source = self.source.max(other.source);
        self.is_unknown |= other.is_unknown;
    }

    /// The energy since `earlier`, an earlier value of this sum.
    pub fn beyond(self, earlier: Self) -> Self {
        Self { joules: (self.joules - earlier.joules).max(0.0), ..self }
    }

    /// Joules and their source; `None` where a part is unknown or nothing was added.
    pub fn reported(&self) -> Option<(f64, EnergySource)> {
        self.source.filter(|_| !self.is_unknown).map(|source| (self.joules, source))
    }
}

/// One package's meter: microjoules that wrap around.
#[derive(Debug)]
struct Package {
    counter: PathBuf,
    range_uj: u64,
    last_uj: u64,
}

#[derive(Debug)]
struct Rapl(Vec<Package>);

impl Rapl {
    /// The packages under `root`; `None` where there is none or this user may not read one.
    ///
    /// Only packages are added up: the core domains are parts of a package, and the platform's domain includes the packages.
    fn open(root: &Path) -> Option<Self> {
        let mut packages = Vec::new();
        for entry in fs::read_dir(root).ok()?.flatten() {
            let folder = entry.path();
            let is_package =
                fs::read_to_string(folder.join("name")).is_ok_and(|name| name.starts_with("package"));
            if is_package {
                let counter = folder.join("energy_uj");
                let range_uj = number(&folder.join("max_energy_range_uj"))?;
                let last_uj = number(&counter)?;
                packages.push(Package { counter, range_uj, last_uj });
            }
        }
        (!packages.is_empty()).then_some(Self(packages))
    }

    /// Joules since the last call.
    fn advance(&mut self) -> Option<f64> {
        let mut passed_uj = 0;
        for package in &mut self.0 {
            let now = number(&package.counter)?;
            passed_uj += since(package.last_uj, now, package.range_uj);
            package.last_uj = now;
        }
        Some(passed_uj as f64 * 1e-6)
    }
}

/// The count between two readings of a counter that wraps around after `range`.
fn since(before: u64, after: u64, range: u64) -> u64 {
    if after >= before { after - before } else { range.saturating_sub(before) + after }
}

fn number(path: &Path) -> Option<u64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// Measures energy as a run goes on.
#[derive(Debug)]
pub struct EnergyMeter {
    rapl: Option<Rapl>,
    watts: Option<f64>,
    last: Moment,
}

impl EnergyMeter {
    /// Reads the machine's meter if this user may, else estimates from `watts` if they are given.
    pub fn new(watts: Option<f64>, from: Moment) -> Self {
        Self::at(Path::new(POWERCAP), watts, from)
    }

    fn at(root: &Path, watts: Option<f64>, from: Moment) -> Self {
        Self { rapl: Rapl::open(root), watts, last: from }
    }

    /// Whether energy will be known.
    pub fn is_known(&self) -> bool {
        self.rapl.is_some() || self.watts.is_some()
    }

    /// Energy since the last call.
    pub fn advance(&mut self) -> Energy {
        let now = Moment::now();
        let wall_s = now.since(&self.last).wall_s;
        self.last = now;
        if let Some(joules) = self.rapl.as_mut().and_then(Rapl::advance) {
            return Energy::known(joules, EnergySource::Rapl);
        }
        self.watts
            .map_or_else(Energy::unknown, |watts| Energy::known(watts * wall_s, EnergySource::TdpEstimate))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn domain(root: &Path, folder: &str, name: &str, energy_uj: u64) {
        let folder = root.join(folder);
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("name"), format!("{name}\n")).unwrap();
        fs::write(folder.join("max_energy_range_uj"), "1000000\n").unwrap();
        fs::write(folder.join("energy_uj"), format!("{energy_uj}\n")).unwrap();
    }

    #[test]
    fn packages_are_added_and_their_parts_and_the_platform_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        domain(root, "intel-rapl:0", "package-0", 900_000);
        domain(root, "intel-rapl:1", "package-1", 100);
        domain(root, "intel-rapl:0:0", "core", 5);
        domain(root, "intel-rapl:2", "psys", 5);
        let mut meter = EnergyMeter::at(root, Some(1e9), Moment::now());
        // The first package's counter wraps around; the others' do not count.
        domain(root, "intel-rapl:0", "package-0", 400_000);
        domain(root, "intel-rapl:1", "package-1", 300_100);
        domain(root, "intel-rapl:0:0", "core", 900_000);
        domain(root, "intel-rapl:2", "psys", 900_000);
        let (joules, source) = meter.advance().reported().unwrap();
        assert!((joules - 0.8).abs() < 1e-9, "{joules}");
        assert_eq!(source, EnergySource::Rapl);
    }

    #[test]
    fn without_a_meter_watts_are_an_estimate_and_nothing_is_unknown() {
        let folder = tempfile::tempdir().unwrap();
        let missing = folder.path().join("none");
        let mut stated = EnergyMeter::at(&missing, Some(100.0), Moment::now());
        assert!(stated.is_known());
        let (joules, source) = stated.advance().reported().unwrap();
        assert!(joules > 0.0 && source == EnergySource::TdpEstimate);
        let mut silent = EnergyMeter::at(&missing, None, Moment::now());
        assert!(!silent.is_known());
        assert_eq!(silent.advance().reported(), None);
        // A meter that cannot be read counts as missing.
        domain(folder.path(), "intel-rapl:0", "package-0", 1);
        fs::write(folder.path().join("intel-rapl:0/energy_uj"), "").unwrap();
        assert!(!EnergyMeter::at(folder.path(), None, Moment::now()).is_known());
    }

    #[test]
    fn a_sum_is_as_well_known_as_its_weakest_part() {
        let mut sum = Energy::default();
        assert_eq!(sum.reported(), None);
        sum.add(Energy::known(2.0, EnergySource::Rapl));
        assert_eq!(sum.reported(), Some((2.0, EnergySource::Rapl)));
        let earlier = sum;
        sum.add(Energy::known(1.0, EnergySource::TdpEstimate));
        assert_eq!(sum.reported(), Some((3.0, EnergySource::TdpEstimate)));
        assert_eq!(sum.beyond(earlier).reported(), Some((1.0, EnergySource::TdpEstimate)));
        sum.add(Energy::unknown());
        assert_eq!(sum.reported(), None);
    }
}
