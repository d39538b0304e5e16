//! Dates and times of day in words and digits.

/// The names of the months in order.
const MONTHS: &[&str] = &[
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
];

/// A day: the year, if it is given, the month and the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Date {
    year: Option<u32>,
    month: u32,
    day: Option<u32>,
    weekday: Option<u32>,
}

/// The names of the days of the week in order.
const WEEKDAYS: &[&str] = &["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];

/// The date that a text names, if it names nothing else: `March 5`, `the 5th of March, 2024`, `2024-03-05`.
pub(super) fn date(text: &str) -> Option<Date> {
    if text.len() > 80 {
        return None;
    }
    let bare = super::normalise::plain(text);
    if let Some(date) = of_digits(&bare) {
        return Some(date);
    }
    let mut date = Date { year: None, month: 0, day: None, weekday: None };
    for word in bare.split(|next: char| next.is_whitespace() || matches!(next, ',' | '.' | '~')) {
        let word = word.to_lowercase();
        let digits = ["st", "nd", "rd", "th"].iter().find_map(|end| word.strip_suffix(end)).unwrap_or(&word);
        if word.is_empty() || ["the", "of", "on"].contains(&word.as_str()) {
            continue;
        }
        let same =
            |name: &str| word == name || (word.len() >= 3 && word.len() <= 4 && name.starts_with(&word));
        if let Some(month) = MONTHS.iter().position(|name| same(name)).filter(|_| date.month == 0) {
            date.month = month as u32 + 1;
        } else if let Some(day) =
            WEEKDAYS.iter().position(|name| same(name)).filter(|_| date.weekday.is_none())
        {
            date.weekday = Some(day as u32);
        } else {
            let value: u32 = digits.parse().ok()?;
            match digits.len() {
                1 | 2 if date.day.is_none() && (1..=31).contains(&value) => date.day = Some(value),
                4 if date.year.is_none() && digits == word => date.year = Some(value),
                _ => return None,
            }
        }
    }
    (date.month > 0 && (date.day.is_some() || date.year.is_some())).then_some(date)
}

/// `2024-03-05` or `2024/3/5`.
fn of_digits(text: &str) -> Option<Date> {
    let parts: Vec<&str> = text.trim().split(['-', '/']).collect();
    let [year, month, day] = parts.as_slice() else { return None };
    if year.len() != 4 || month.len() > 2 || day.len() > 2 {
        return None;
    }
    let (year, month, day) = (year.parse().ok()?, month.parse().ok()?, day.parse().ok()?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(Date {
        year: Some(year),
        month,
        day: Some(day),
        weekday: None,
    })
}

impl Date {
    /// Whether the other date is this one. What this one leaves out may be there or not.
    pub(super) fn allows(&self, other: &Self) -> bool {
        let agrees = |own: Option<u32>, other: Option<u32>| own.is_none() || own == other;
        self.month == other.month
            && agrees(self.year, other.year)
            && agrees(self.day, other.day)
            && (self.weekday.is_none() || other.weekday.is_none() || self.weekday == other.weekday)
    }
}

/// The minutes after midnight and whether the half of the day is given: `2:30 p.m.`, `14:30`, `2 PM`.
pub(super) fn time(text: &str) -> Option<(u32, u32, bool)> {
    if text.len() > 40 {
        return None;
    }
    let lower = super::normalise::plain(text).to_lowercase().replace('.', "");
    let bare = lower
        .trim()
        .strip_suffix("noon")
        .filter(|rest| rest.trim() == "12:00")
        .map_or(lower.trim(), |_| "noon");
    let (bare, half) = match (bare.strip_suffix("am"), bare.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(0)),
        (_, Some(rest)) => (rest, Some(12)),
        _ => match bare {
            "noon" => return Some((720, 0, true)),
            "midnight" => return Some((0, 0, true)),
            _ => (bare, None),
        },
    };
    let parts: Vec<u32> =
        bare.trim().split(':').map(|part| part.trim().parse().ok()).collect::<Option<_>>()?;
    let (hour, minute, second) = match parts.as_slice() {
        [hour] if half.is_some() => (*hour, 0, 0),
        [hour, minute] => (*hour, *minute, 0),
        [hour, minute, second] => (*hour, *minute, *second),
        _ => return None,
    };
    if minute > 59 || second > 59 || hour > 24 {
        return None;
    }
    match half {
        None => Some((60 * hour + minute, second, hour > 12 || hour == 0)),
        Some(_) if !(1..=12).contains(&hour) => None,
        Some(half) => Some((60 * (hour % 12 + half) + minute, second, true)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_and_times() {
        let same = |a: &str, b: &str| date(a).is_some_and(|a| date(b).is_some_and(|b| a.allows(&b)));
        assert!(same("\\text{March 5}", "5 March"));
        assert!(same("March 5, 2024", "2024-03-05"));
        assert!(same("March 5", "the 5th of March, 2024"));
        assert!(!same("March 5, 2024", "March 5"));
        assert!(!same("March 5", "May 5"));
        assert!(date("5").is_none() && date("March").is_none() && date("may be 3 or 4").is_none());
        assert_eq!(time("2:30 p.m."), time("14:30"));
        assert_ne!(time("2:30 AM"), time("14:30"));
        assert!(time("230").is_none() && time("3:4:5:6").is_none());
    }
}
