//! Colours and shades for values between 0 and 1: heat maps and pictures of matrices.
//! Promises: brightness changes one way from least to most, so that the ramp is safe for colour-blind eyes and in grey;
//! with 16 colours or none, shade characters carry it. Must not know: what the values are.

use ratatui::style::{Color, Modifier, Style};

use super::theme::Depth;
use crate::config::Theme;

/// Nine equal steps from least to most, each with the nearest colour of the xterm cube.
type Steps = [((u8, u8, u8), u8); 9];

/// Viridis (van der Walt and Smith, CC0): on a dark screen much is bright.
const DARK: Steps = [
    ((68, 1, 84), 53),
    ((71, 44, 122), 54),
    ((59, 81, 139), 60),
    ((44, 113, 142), 66),
    ((33, 144, 141), 30),
    ((39, 173, 129), 36),
    ((92, 200, 99), 77),
    ((170, 220, 50), 149),
    ((253, 231, 37), 220),
];

/// Green to blue (Brewer and Harrower): on paper much is dark, and nothing is nearly paper.
const LIGHT: Steps = [
    ((247, 252, 240), 255),
    ((224, 243, 219), 194),
    ((204, 235, 197), 151),
    ((168, 221, 181), 115),
    ((123, 204, 196), 79),
    ((78, 179, 211), 74),
    ((43, 140, 190), 31),
    ((8, 104, 172), 25),
    ((8, 64, 129), 24),
];

/// Little to much ink.
const SHADES: [char; 5] = [' ', '░', '▒', '▓', '█'];

/// A ramp for one theme and terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ramp {
    depth: Depth,
    steps: &'static Steps,
}

impl Ramp {
    /// The ramp of `theme` on a terminal of `depth`.
    #[must_use]
    pub const fn new(theme: Theme, depth: Depth) -> Self {
        match theme {
            Theme::Dark => Self { depth, steps: &DARK },
            Theme::Light => Self { depth, steps: &LIGHT },
            Theme::Mono => Self { depth: Depth::Mono, steps: &DARK },
        }
    }

    /// Whether values have colours; if not, they need [`Self::shade`].
    #[must_use]
    pub const fn coloured(self) -> bool {
        matches!(self.depth, Depth::True | Depth::Indexed)
    }

    /// The colour of `share` in 24 bits, between two steps.
    fn blended(self, share: f64) -> (u8, u8, u8) {
        let place = within(share) * 8.0;
        let low = place.floor().min(7.0);
        let at = |step: f64| self.steps.get(step as usize).map_or((0, 0, 0), |(rgb, _)| *rgb);
        let (from, to) = (at(low), at(low + 1.0));
        let blend = |a: u8, b: u8| (f64::from(a) + (place - low) * (f64::from(b) - f64::from(a))).round() as u8;
        (blend(from.0, to.0), blend(from.1, to.1), blend(from.2, to.2))
    }

    /// The colour of `share`; `None` where there are too few colours for a ramp.
    #[must_use]
    pub fn colour(self, share: f64) -> Option<Color> {
        match self.depth {
            Depth::True => {
                let (red, green, blue) = self.blended(share);
                Some(Color::Rgb(red, green, blue))
            }
            Depth::Indexed => {
                self.steps.get((within(share) * 8.0).round() as usize).map(|(_, indexed)| Color::Indexed(*indexed))
            }
            Depth::Ansi | Depth::Mono => None,
        }
    }

    /// Text on the colour of `share`, readable on it; plain where there is no colour.
    #[must_use]
    pub fn on(self, share: f64) -> Style {
        let Some(colour) = self.colour(share) else { return Style::new() };
        let (red, green, blue) = self.blended(share);
        // Uniform causal attention, where every run begins, must not lie on the edge between the two inks.
        let bright = 0.2126 * f64::from(red) + 0.7152 * f64::from(green) + 0.0722 * f64::from(blue) > 108.0;
        let ink = match (self.depth, bright) {
            (Depth::Indexed, true) => Color::Indexed(16),
            (Depth::Indexed, false) => Color::Indexed(231),
            (Depth::True | Depth::Ansi | Depth::Mono, true) => Color::Rgb(0, 0, 0),
            (Depth::True | Depth::Ansi | Depth::Mono, false) => Color::Rgb(255, 255, 255),
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
        SHADES.get((within(share) * 4.0).round() as usize).copied().unwrap_or(' ')
    }
}

fn within(share: f64) -> f64 {
    if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 }
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
            for theme in [Theme::Dark, Theme::Light] {
                let style = Ramp::new(theme, Depth::True).on(share);
                let gap = light(style.bg.unwrap()) - light(style.fg.unwrap());
                assert!(gap.abs() > 100.0, "{theme:?} {share}: {gap}");
            }
        }
    }

    #[test]
    fn fewer_colours_fall_back_step_by_step() {
        let of = |theme, depth| Ramp::new(theme, depth);
        assert_eq!(of(Theme::Dark, Depth::Indexed).colour(1.0), Some(Color::Indexed(220)));
        assert_eq!(of(Theme::Light, Depth::Indexed).colour(1.0), Some(Color::Indexed(24)));
        for ramp in [of(Theme::Dark, Depth::Ansi), of(Theme::Mono, Depth::True), of(Theme::Light, Depth::Mono)] {
            assert!(!ramp.coloured());
            assert_eq!((ramp.colour(0.5), ramp.on(0.5)), (None, Style::new()));
            let shades: Vec<char> = [0.0, 0.25, 0.5, 0.75, 1.0].map(|share| ramp.shade(share)).to_vec();
            assert_eq!(shades, SHADES);
        }
    }
}
