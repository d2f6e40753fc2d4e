//! Numbers as the C library reads them for sshd.

use crate::version::Version;

/// A port by number (`+22` and ` 22` count) or by the service name `ssh`.
pub(crate) fn port(text: &str) -> Option<u16> {
    match signed(text) {
        Some(number) => u16::try_from(number).ok(),
        None if text == "ssh" => Some(22),
        None => None,
    }
}

/// `strtonum`: a whole decimal number with optional white space and sign before it.
pub(crate) fn signed(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    plain.then(|| text.parse().ok()).flatten()
}

/// A number from 0 to 2^31 - 1.
pub(crate) fn count(text: &str) -> Option<i64> {
    signed(text).filter(|number| (0..=i64::from(i32::MAX)).contains(number))
}

/// A time such as `1h30m` in seconds (TIME FORMATS in `sshd_config(5)`).
pub(crate) fn seconds(text: &str, version: Version) -> Option<i64> {
    const MAX: i64 = i32::MAX as i64;
    if text.is_empty() {
        return None;
    }
    let mut total = 0i64;
    let mut rest = text;
    while !rest.is_empty() {
        // Until 9.4 white space and a sign may stand before each number.
        let lenient = version < Version::new(9, 4);
        let trimmed = if lenient { rest.trim_start_matches([' ', '\t']) } else { rest };
        let unsigned = if lenient { trimmed.strip_prefix('+').unwrap_or(trimmed) } else { trimmed };
        let end = unsigned.find(|c: char| !c.is_ascii_digit()).unwrap_or(unsigned.len());
        let number: i64 = unsigned[..end].parse().ok()?;
        rest = &unsigned[end..];
        let unit = match rest.chars().next() {
            None | Some('s' | 'S') => 1,
            Some('m' | 'M') => 60,
            Some('h' | 'H') => 3600,
            Some('d' | 'D') => 86400,
            Some('w' | 'W') => 604_800,
            Some(_) => return None,
        };
        rest = rest.get(1..).unwrap_or("");
        if number > MAX / unit {
            return None;
        }
        total += number * unit;
        if total > MAX {
            return None;
        }
    }
    Some(total)
}

/// A penalty as `sshd -T` prints it: whole seconds, from 10.3 on with a fraction.
pub(crate) fn penalty_time(text: &str, version: Version) -> Option<String> {
    if version < Version::new(10, 3) {
        return seconds(text, version).map(|seconds| seconds.to_string());
    }
    match text.split_once('.') {
        // Only the seconds may have a fraction, and only as a plain number.
        Some((whole, fraction)) => {
            let digits = fraction.trim_end_matches(['s', 'S']);
            let plain = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let whole: i64 = whole.parse().ok()?;
            plain.then(|| format!("{whole}.{digits:0<6.6}"))
        }
        None => seconds(text, version).map(|seconds| format!("{seconds}.000000")),
    }
}

/// A size such as `1.5G` in bytes (`scan_scaled`).
pub(crate) fn scaled(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let (sign, text) = match text.as_bytes().first() {
        Some(b'-') => (-1, &text[1..]),
        Some(b'+') => (1, &text[1..]),
        Some(_) | None => (1, text),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (digits, suffix) = text.split_at(end);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    if fraction.contains('.') || whole.len() >= 19 {
        return None;
    }
    let whole: i64 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    if suffix.is_empty() {
        return Some(sign * whole);
    }
    let power = "BKMGTPE".find(suffix.chars().next()?.to_ascii_uppercase())?;
    if suffix[1..].bytes().next().is_some_and(|b| b.is_ascii_alphanumeric()) {
        return None;
    }
    let factor = 1i64 << (10 * power);
    let whole = whole.checked_mul(factor)?;
    // The fraction keeps as many digits as fit beside the factor.
    let mut digits = fraction.len().min(17);
    let mut part: i64 = fraction[..digits].parse().unwrap_or(0);
    while part >= i64::MAX / factor {
        part /= 10;
        digits -= 1;
    }
    let part = (0..digits).fold(part * factor, |part, _| part / 10);
    Some(sign * whole + if sign < 0 { -part } else { part })
}

/// What `sscanf("%d")` takes from the front: the number and the rest.
pub(crate) fn leading(text: &str) -> Option<(i64, &str)> {
    let text = text.trim_start_matches([' ', '\t', '\n', '\r', '\x0b', '\x0c']);
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text[sign..].find(|c: char| !c.is_ascii_digit()).map_or(text.len(), |end| end + sign);
    Some((text[..end].parse().ok()?, &text[end..]))
}

/// A number in C notation: decimal, `0x` hexadecimal or `0` octal.
pub(crate) fn any_radix(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t']);
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = text.to_ascii_lowercase();
    let number = match lower.strip_prefix("0x") {
        Some(digits) => i64::from_str_radix(digits, 16),
        None if lower.len() > 1 && lower.starts_with('0') => i64::from_str_radix(&lower[1..], 8),
        None => lower.parse(),
    };
    number.ok().map(|number| if negative { -number } else { number })
}

/// The octal digits at the front, as `strtol(..., 8)` takes them.
pub(crate) fn leading_octal(text: &str) -> Option<i64> {
    let text = text.trim_start_matches([' ', '\t']);
    let sign = usize::from(text.starts_with(['+', '-']));
    let end = text[sign..].find(|c: char| !c.is_digit(8)).map_or(text.len(), |end| end + sign);
    i64::from_str_radix(&text[..end], 8).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_add_up() {
        let new = Version::new(10, 0);
        assert_eq!(seconds("1h30m", new), Some(5400));
        assert_eq!(seconds("2W", new), Some(1_209_600));
        assert_eq!(seconds("90", new), Some(90));
        assert_eq!(seconds("1m5", new), Some(65));
        assert_eq!(seconds("5x", new), None);
        assert_eq!(seconds("", new), None);
        assert_eq!(seconds("99999999999", new), None);
        assert_eq!(seconds("+5", new), None);
        assert_eq!(seconds("+5", Version::new(9, 2)), Some(5));
    }

    #[test]
    fn sizes_take_a_unit_and_a_fraction() {
        assert_eq!(scaled("1G"), Some(1 << 30));
        assert_eq!(scaled("1.5k"), Some(1536));
        assert_eq!(scaled("512"), Some(512));
        assert_eq!(scaled("1GB"), None);
        assert_eq!(scaled("1.2.3"), None);
    }

    #[test]
    fn numbers_follow_the_c_library() {
        assert_eq!(signed(" +22"), Some(22));
        assert_eq!(signed("22x"), None);
        assert_eq!(leading("10:30:100"), Some((10, ":30:100")));
        assert_eq!(any_radix("0x10"), Some(16));
        assert_eq!(leading_octal("0177abc"), Some(0o177));
        assert_eq!(port("ssh"), Some(22));
        assert_eq!(port("65536"), None);
    }
}
