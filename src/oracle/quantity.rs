//! Quantities of Kubernetes, exactly: `100m`, `1.5Gi`, `2e3`.

use std::{cmp::Ordering, fmt, iter::Sum, ops, str::FromStr};

/// An amount in billionths, which is the finest that Kubernetes keeps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity {
    nano: i128,
}

/// A text that is no quantity.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no quantity: {why}")]
pub struct QuantityError {
    /// The text.
    pub text: String,
    /// What is wrong with it.
    pub why: &'static str,
}

const NANO: i128 = 1_000_000_000;

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0 };

    /// So many whole ones.
    pub const fn whole(count: i64) -> Self {
        Self { nano: count as i128 * NANO }
    }

    /// So many thousandths.
    pub const fn milli(count: i64) -> Self {
        Self { nano: count as i128 * 1_000_000 }
    }

    /// How many times the other fits into this one; none where the other is not positive.
    pub fn holds(self, each: Self) -> Option<u64> {
        if each.nano <= 0 {
            return None;
        }
        u64::try_from(self.nano.max(0) / each.nano).ok()
    }

    /// This amount in whole bytes or pieces, rounded down, as a text that Kubernetes reads back exactly.
    pub fn to_plain(self) -> String {
        if self.nano % NANO == 0 {
            (self.nano / NANO).to_string()
        } else if self.nano % 1_000_000 == 0 {
            format!("{}m", self.nano / 1_000_000)
        } else {
            format!("{}n", self.nano)
        }
    }
}

impl ops::Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_add(other.nano) }
    }
}

impl ops::Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self { nano: self.nano.saturating_sub(other.nano) }
    }
}

impl ops::Mul<u64> for Quantity {
    type Output = Self;

    fn mul(self, count: u64) -> Self {
        Self { nano: self.nano.saturating_mul(i128::from(count)) }
    }
}

impl Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, ops::Add::add)
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_plain())
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let wrong = |why| QuantityError { text: text.to_owned(), why };
        let end =
            text.find(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | '+' | '-'))).unwrap_or(text.len());
        let (number, suffix) = text.split_at(end);
        let (negative, digits) = match number.as_bytes().first() {
            Some(b'-') => (true, &number[1..]),
            Some(b'+') => (false, &number[1..]),
            _ => (false, number),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        let numeric = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !numeric(whole) || !numeric(fraction) {
            return Err(wrong("it does not begin with a number"));
        }
        let (numerator, denominator) = factor(suffix).ok_or_else(|| wrong("its suffix is unknown"))?;
        let mantissa: i128 = format!("{whole}{fraction}").parse().map_err(|_| wrong("it is too large"))?;
        let places = u32::try_from(fraction.len()).map_err(|_| wrong("it is too long"))?;
        let scaled = mantissa
            .checked_mul(numerator)
            .zip(10_i128.checked_pow(places).and_then(|power| power.checked_mul(denominator)))
            .ok_or_else(|| wrong("it is too large"))?;
        // Kubernetes rounds up what is finer than a billionth.
        let (dividend, divisor) = scaled;
        let nano = dividend / divisor + i128::from(dividend % divisor != 0);
        Ok(Self { nano: if negative { -nano } else { nano } })
    }
}

/// The factor of a suffix, in billionths, as numerator and denominator.
fn factor(suffix: &str) -> Option<(i128, i128)> {
    let decimal = |power: u32| Some((NANO.checked_mul(10_i128.checked_pow(power)?)?, 1));
    let binary = |power: u32| Some((NANO.checked_mul(1024_i128.checked_pow(power)?)?, 1));
    match suffix {
        "" => decimal(0),
        "n" => Some((1, 1)),
        "u" => Some((1_000, 1)),
        "m" => Some((1_000_000, 1)),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let exponent: i32 = suffix.strip_prefix(['e', 'E'])?.parse().ok()?;
            let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
            match exponent.cmp(&0) {
                Ordering::Less => Some((NANO, power)),
                _ => Some((NANO.checked_mul(power)?, 1)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn q(text: &str) -> Quantity {
        text.parse().unwrap()
    }

    #[test]
    fn the_same_amount_in_other_words_is_equal() {
        for (one, other) in [
            ("1", "1000m"),
            ("0.5", "500m"),
            (".5", "500m"),
            ("1Gi", "1024Mi"),
            ("1.5Gi", "1536Mi"),
            ("2e3", "2k"),
            ("2E3", "2000"),
            ("1E", "1e18"),
            ("5e-3", "5m"),
            ("+7", "7"),
            ("-1k", "-1000"),
        ] {
            assert_eq!(q(one), q(other), "{one} and {other}");
        }
        assert!(q("1G") < q("1Gi"));
        assert_eq!(q("0.1n"), q("1n"));
    }

    #[test]
    fn what_is_no_quantity_says_why() {
        for text in
            ["", "Gi", "1 Gi", "1gi", "1.2.3", "--1", "1e", "9999999999999999999999999999999999999999"]
        {
            assert!(text.parse::<Quantity>().is_err(), "{text}");
        }
        insta::assert_snapshot!("1gb".parse::<Quantity>().unwrap_err(), @"`1gb` is no quantity: its suffix is unknown");
    }

    #[test]
    fn room_is_counted_in_whole_objects() {
        assert_eq!(q("1").holds(q("300m")), Some(3));
        assert_eq!(q("-1").holds(q("1")), Some(0));
        assert_eq!(q("1").holds(Quantity::ZERO), None);
    }

    proptest! {
        #[test]
        fn a_quantity_survives_its_text(nano in -1_000_000_000_000_000_000_i128..1_000_000_000_000_000_000) {
            let quantity = Quantity { nano };
            prop_assert_eq!(q(&quantity.to_plain()), quantity);
        }

        #[test]
        fn what_it_holds_fits_and_one_more_does_not(room in 0_i128..1_000_000_000_000, each in 1_i128..1_000_000_000) {
            let (room, each) = (Quantity { nano: room }, Quantity { nano: each });
            let count = room.holds(each).unwrap();
            prop_assert!(each * count <= room);
            prop_assert!(each * (count + 1) > room);
        }
    }
}
