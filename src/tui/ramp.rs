//! Colours and shades for values between 0 and 1: heat maps and pictures of matrices.
//! Promises: brightness changes one way from least to most, so that the ramp is safe for colour-blind eyes and in grey;
//! with 16 colours or none, shade characters carry it. Must not know: what the values are.

use ratatui::style::{Color, Modifier, Style};

use super::theme::Depth;
use crate::config::Theme;

/// Viridis (van der Walt and Smith, CC0) at nine equal steps, dark to bright.
const VIRIDIS: [(u8, u8, u8); 9] = [
    (68, 1, 84),
    (71, 44, 122),
    (59, 81, 139),
    (44, 113, 142),
    (33, 144, 141),
    (39, 173, 129),
    (92, 200, 99),
    (170, 220, 50),
    (253, 231, 37),
];

/// The nearest of the xterm cube to each of them.
const INDEXED: [u8; 9] = [53, 54, 60, 66, 30, 36, 77, 149, 220];

/// Little to much ink.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A ramp for one theme and terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    depth: Depth,
    /// On paper much is dark, on a dark screen much is bright.
    dark_is_much: bool,
}

impl Ramp {
    /// The ramp of `theme` on a terminal of `depth`.
    #[must_use]
    pub fn new(theme: Theme, depth: Depth) -> Self {
        let depth = if theme == Theme::Mono { Depth::Mono } else { depth };
        Self { depth, dark_is_much: theme == Theme::Light }
    }

    /// Whether values have colours; if not, they need [`Self::shade`].
    #[must_use]
    pub const fn coloured(self) -> bool {
        matches!(self.depth, Depth::True | Depth::Indexed)
    }

    fn place(self, share: f64) -> f64 {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        8.0 * if self.dark_is_much { 1.0 - share } else { share }
    }

    /// The colour of `share`; `None` where there are too few colours for a ramp.
    #[must_use]
    pub fn colour(self, share: f64) -> Option<Color> {
        let place = self.place(share);
        match self.depth {
            Depth::True => {
                let (low, rest) = (place.floor().min(7.0), place - place.floor().min(7.0));
                let at = low as usize;
                let (from, to) = (VIRIDIS.get(at)?, VIRIDIS.get(at + 1)?);
                let blend = |a: u8, b: u8| (f64::from(a) + rest * (f64::from(b) - f64::from(a))).round() as u8;
                Some(Color::Rgb(blend(from.0, to.0), blend(from.1, to.1), blend(from.2, to.2)))
            }
            Depth::Indexed => INDEXED.get(place.round() as usize).copied().map(Color::Indexed),
            Depth::Ansi | Depth::Mono => None,
        }
    }

    /// Text on the colour of `share`, readable on it; plain where there is no colour.
    #[must_use]
    pub fn on(self, share: f64) -> Style {
        let Some(colour) = self.colour(share) else { return Style::new() };
        let bright = self.place(share) >= 4.0;
        let ink = match (self.depth, bright) {
            (Depth::Indexed, true) => Color::Indexed(16),
            (Depth::Indexed, false) => Color::Indexed(231),
            (_, true) => Color::Rgb(0, 0, 0),
            (_, false) => Color::Rgb(255, 255, 255),
        };
        Style::new().bg(colour).fg(ink)
    }

    /// The same, marked as the one under the cursor; brackets around it say so too.
    #[must_use]
    pub fn chosen(self, share: f64) -> Style {
        self.on(share).add_modifier(Modifier::BOLD)
    }

    /// Ink for `share`: much is full wherever the text is.
    #[must_use]
    pub fn shade(self, share: f64) -> char {
        let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
        SHADES.get((share * 4.0).round() as usize).copied().unwrap_or(' ')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn light(colour: Color) -> f64 {
        let Color::Rgb(r, g, b) = colour else { panic!("{colour:?}") };
        0.2126 * f64::from(r) + 0.7152 * f64::from(g) + 0.0722 * f64::from(b)
    }

    #[test]
    fn brightness_goes_one_way_and_turns_with_the_theme() {
        for (theme, up) in [(Theme::Dark, true), (Theme::Light, false)] {
            let ramp = Ramp::new(theme, Depth::True);
            let lights: Vec<f64> = (0..=100).map(|at| light(ramp.colour(f64::from(at) / 100.0).unwrap())).collect();
            assert!(lights.windows(2).all(|pair| (pair[0] < pair[1]) == up), "{theme:?} {lights:?}");
        }
        assert!(light(Ramp::new(Theme::Dark, Depth::True).colour(f64::NAN).unwrap()) < 30.0);
    }

    #[test]
    fn text_stands_out_from_every_colour() {
        for share in (0..=100).map(|at| f64::from(at) / 100.0) {
            let style = Ramp::new(Theme::Dark, Depth::True).on(share);
            let gap = light(style.bg.unwrap()) - light(style.fg.unwrap());
            assert!(gap.abs() > 90.0, "{share}: {gap}");
        }
    }

    #[test]
    fn fewer_colours_fall_back_step_by_step() {
        let of = |theme, depth| Ramp::new(theme, depth);
        assert_eq!(of(Theme::Dark, Depth::Indexed).colour(1.0), Some(Color::Indexed(220)));
        assert_eq!(of(Theme::Light, Depth::Indexed).colour(1.0), Some(Color::Indexed(53)));
        for ramp in [of(Theme::Dark, Depth::Ansi), of(Theme::Mono, Depth::True), of(Theme::Light, Depth::Mono)] {
            assert!(!ramp.coloured());
            assert_eq!((ramp.colour(0.5), ramp.on(0.5)), (None, Style::new()));
            let shades: Vec<char> = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| ramp.shade(share)).to_vec();
            assert_eq!(shades, SHADES);
        }
    }
}
