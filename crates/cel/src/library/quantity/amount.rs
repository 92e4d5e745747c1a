//! The number behind a quantity.
//!
//! Kubernetes keeps most quantities as `value × 10^scale` in 64 bits and the rest as decimals of any
//! length. Which one a quantity is shows: a decimal never counts as an integer. Decimals here have
//! 128 bits; a quantity that needs more is refused.

use std::cmp::Ordering;

#[derive(Clone, Debug)]
pub struct Quantity {
    value: i128,
    /// Powers of ten.
    scale: i32,
    /// Kept as a decimal by Kubernetes: not an integer, whatever its value.
    decimal: bool,
}

/// Digits that surely fit 64 bits.
const SAFE_DIGITS: i32 = 18;
const NANO: i32 = -9;

// === impl Quantity ===

impl Quantity {
    pub(crate) fn whole(value: i64) -> Quantity {
        Quantity { value: i128::from(value), scale: 0, decimal: false }
    }

    /// Reads sign, digits and suffix; `None` when it is no quantity.
    pub(crate) fn read(text: &str) -> Option<Quantity> {
        let (negative, unsigned) = match text.as_bytes().first()? {
            b'-' => (true, text.get(1..)?),
            b'+' => (false, text.get(1..)?),
            _ => (false, text),
        };
        let digits = unsigned.trim_start_matches('0');
        // Nothing but zeros, and nothing at all behind a sign, is zero.
        if digits.is_empty() {
            return Some(Quantity::whole(0));
        }
        let length = digits.bytes().take_while(u8::is_ascii_digit).count();
        let (whole, rest) = digits.split_at_checked(length)?;
        let (fraction, suffix) = match rest.strip_prefix('.') {
            None => ("", rest),
            Some(rest) => rest.split_at_checked(rest.bytes().take_while(u8::is_ascii_digit).count())?,
        };
        let unit = Unit::read(suffix)?;
        let signed = |magnitude: i128| if negative { -magnitude } else { magnitude };
        let whole = if whole.is_empty() { "0" } else { whole };
        if let Some((magnitude, scale)) = fast(whole, fraction, unit) {
            return Some(Quantity { value: signed(magnitude), scale, decimal: false });
        }
        let (magnitude, scale) = slow(whole, fraction, unit)?;
        Some(Quantity { value: signed(magnitude), scale, decimal: true })
    }

    pub(crate) fn sign(&self) -> i64 {
        self.value.signum() as i64
    }

    pub(crate) fn negated(mut self) -> Quantity {
        self.value = -self.value;
        self
    }

    pub(crate) fn to_i64(&self) -> Option<i64> {
        if self.decimal || self.scale < 0 {
            return None;
        }
        i64::try_from(scaled(self.value, self.scale)?).ok()
    }

    pub(crate) fn to_f64(&self) -> f64 {
        let base = self.value as f64;
        if self.scale == 0 { base } else { base * 10f64.powi(self.scale) }
    }

    pub(crate) fn compare(&self, other: &Quantity) -> Ordering {
        let common = self.scale.min(other.scale);
        match (scaled(self.value, self.scale - common), scaled(other.value, other.scale - common)) {
            (Some(a), Some(b)) => a.cmp(&b),
            // One is too large for the other's scale: signs, then magnitudes decide.
            _ => self.value.signum().cmp(&other.value.signum()).then_with(|| self.to_f64().total_cmp(&other.to_f64())),
        }
    }

    /// The sum; `None` when it does not fit.
    pub(crate) fn plus(&self, other: &Quantity) -> Option<Quantity> {
        if other.value == 0 && !self.decimal && !other.decimal {
            return Some(self.clone());
        }
        if self.value == 0 && !self.decimal && !other.decimal {
            return Some(other.clone());
        }
        let scale = self.scale.min(other.scale);
        let value = scaled(self.value, self.scale - scale)?.checked_add(scaled(other.value, other.scale - scale)?)?;
        let decimal = self.decimal || other.decimal || i64::try_from(value).is_err();
        Some(Quantity { value, scale, decimal })
    }
}

#[derive(Clone, Copy)]
enum Unit {
    /// A power of ten.
    Decimal(i32),
    /// A power of two.
    Binary(u32),
}

// === impl Unit ===

impl Unit {
    fn read(suffix: &str) -> Option<Unit> {
        Some(match suffix {
            "" => Unit::Decimal(0),
            "n" => Unit::Decimal(-9),
            "u" => Unit::Decimal(-6),
            "m" => Unit::Decimal(-3),
            "k" => Unit::Decimal(3),
            "M" => Unit::Decimal(6),
            "G" => Unit::Decimal(9),
            "T" => Unit::Decimal(12),
            "P" => Unit::Decimal(15),
            "E" => Unit::Decimal(18),
            "Ki" => Unit::Binary(10),
            "Mi" => Unit::Binary(20),
            "Gi" => Unit::Binary(30),
            "Ti" => Unit::Binary(40),
            "Pi" => Unit::Binary(50),
            "Ei" => Unit::Binary(60),
            other => {
                let exponent = other.strip_prefix(['e', 'E'])?;
                let signed = exponent.strip_prefix(['+', '-']).unwrap_or(exponent);
                if signed.is_empty() || !signed.bytes().all(|b| b.is_ascii_digit()) {
                    return None;
                }
                Unit::Decimal(exponent.parse().ok()?)
            }
        })
    }
}

fn scaled(value: i128, by: i32) -> Option<i128> {
    if value == 0 {
        return Some(0);
    }
    value.checked_mul(10i128.checked_pow(u32::try_from(by).ok()?)?)
}

/// Magnitude and scale when Kubernetes keeps the quantity in 64 bits.
fn fast(whole: &str, fraction: &str, unit: Unit) -> Option<(i128, i32)> {
    let digits = (whole.len() + fraction.len()) as i32;
    let (multiplier, scale, precision) = match unit {
        Unit::Decimal(exponent) => (1, exponent, SAFE_DIGITS - digits),
        Unit::Binary(exponent) if fraction.is_empty() => {
            (1i128 << exponent, 0, 15 - whole.len() as i32 - (exponent as f32 * 3.0 / 10.0) as i32 - 1)
        }
        Unit::Binary(_) => return None,
    };
    let scale = scale.checked_sub(fraction.len() as i32)?;
    if precision < 0 || scale < NANO {
        return None;
    }
    let magnitude = format!("{whole}{fraction}").parse::<i128>().ok()?.checked_mul(multiplier)?;
    i64::try_from(magnitude).is_ok().then_some((magnitude, scale))
}

/// Magnitude and scale of a decimal: rounded up to nano, binary ones at most the largest 64-bit number.
fn slow(whole: &str, fraction: &str, unit: Unit) -> Option<(i128, i32)> {
    // Digits far behind the point only decide whether there is something to round up.
    let mut kept: String = fraction.chars().take(24).collect();
    let beyond = fraction.bytes().skip(24).any(|b| b != b'0');
    if beyond {
        kept.push('1');
    }
    let mut scale = -(kept.len() as i32);
    let trimmed = format!("{whole}{kept}");
    let mut magnitude: i128 = trimmed.parse().ok()?;
    match unit {
        Unit::Decimal(exponent) => scale = scale.checked_add(exponent)?,
        Unit::Binary(exponent) => magnitude = magnitude.checked_mul(1i128 << exponent)?,
    }
    if magnitude == 0 {
        return Some((0, scale.max(NANO)));
    }
    while scale < NANO {
        magnitude = magnitude / 10 + i128::from(magnitude % 10 != 0);
        scale += 1;
        if magnitude <= 1 {
            scale = NANO;
        }
    }
    if matches!(unit, Unit::Binary(_)) && scaled(i128::from(i64::MAX), -scale).is_some_and(|most| magnitude > most) {
        return Some((i128::from(i64::MAX), 0));
    }
    Some((magnitude, scale))
}
